"""The sweeps that come with kdsweep: found by name wherever a sweep file is asked for, listed, copied.

    find("sweeps/mine.yaml")     a file that is there
    find("paper_cifar100")       a shipped one

In a checkout they lie in its `sweeps/`; in an installed package inside of it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from trainer.problems import PlacedError, UserError, did_you_mean, nearest

ENDING = ".yaml"
SCHEMA = "sweep.schema.json"
"""Beside the sweeps: editors check and complete by it."""


@dataclass(frozen=True)
class ShippedSweep:
    """A sweep that comes with kdsweep, and what it is for, in a line."""

    name: str
    about: str
    path: Path


def _folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    inside = package / "sweeps"
    return inside if inside.is_dir() else package.parent / "sweeps"


def _files() -> dict[str, Path]:
    """By name; without what editors leave there, and dead links."""
    paths = sorted(_folder().glob(f"[!.]*{ENDING}"))
    return {path.stem: path for path in paths if path.is_file()}


def shipped_sweeps() -> list[ShippedSweep]:
    """All of them, by name."""
    return [ShippedSweep(name, _about(path), path) for name, path in _files().items()]


def _about(path: Path) -> str:
    """The first sentence of the comment at its top."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    comment = [line.lstrip("# ") for line in lines if line.startswith("# ")]
    words = " ".join(line for line in comment if "yaml-language-server" not in line)
    return words.partition(". ")[0].removesuffix(".")


def find(given: str | Path) -> Path:
    """The sweep file that a user names: a file that is there or, by its name, one that comes with kdsweep.

    Raises:
        UserError: a word without a folder is neither. Of a path, whoever reads it tells.
    """
    path, name = Path(given), str(given)
    shipped = _files()
    if name in shipped and not path.is_file():
        return shipped[name]
    if path.exists() or path.name != name:
        return path
    near = nearest(name.removesuffix(ENDING), shipped)
    hint = f"; did you mean {near!r}?" if near else "; kdsweep sweeps lists those of its own"
    raise PlacedError(path, f"cannot be read: No such file or directory{hint}")


def copy(name: str, folder: Path) -> list[Path]:
    """Copy a shipped sweep into a folder, with those that it extends and their schema; returns what was written.

    Raises:
        UserError: none has this name, or another file of one of the names is there already; nothing is written.
    """
    shipped = _files()
    if name not in shipped:
        raise UserError(f"{name}: no sweep of kdsweep's own{did_you_mean(name, shipped)}")
    sources = [*_with_bases(shipped[name]), _folder() / SCHEMA]
    for source in sources:
        target = folder / source.name
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise PlacedError(target, "another file is there already; nothing was copied")
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(source, folder / source.name)) for source in sources]


def _with_bases(path: Path) -> list[Path]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    base = content.get("extends")
    return [path, *(_with_bases(path.parent / base) if base else [])]
