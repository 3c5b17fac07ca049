"""The sweeps that come with kdsweep: found by name wherever a sweep file is asked for, listed, copied.

    find("sweeps/mine.yaml")     a file that is there
    find("paper_cifar100")       a shipped one

In a checkout they lie in its `sweeps/`; in an installed package inside of it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from trainer.problems import PlacedError, UserError, did_you_mean

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


def shipped_sweeps() -> list[ShippedSweep]:
    """All of them, by name."""
    paths = sorted(_folder().glob(f"*{ENDING}"))
    return [ShippedSweep(path.stem, _about(path), path) for path in paths]


def _about(path: Path) -> str:
    """The first sentence of the comment at its top."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in lines if line.startswith("# ")]
    words = " ".join(line for line in comment if "yaml-language-server" not in line)
    return words.partition(". ")[0].removesuffix(".")


def find(given: str | Path) -> Path:
    """The sweep file that a user names: a file that is there or, by its name, one that comes with kdsweep.

    Raises:
        UserError: it is neither.
    """
    path = Path(given)
    if path.is_file() or (path.name != str(given) and path.exists()):
        return path
    shipped = {sweep.name: sweep.path for sweep in shipped_sweeps()}
    if str(given) in shipped:
        return shipped[str(given)]
    reason = "Is a directory" if path.is_dir() else "No such file or directory"
    if path.name == str(given):
        name = path.stem if path.suffix == ENDING else path.name
        hint = did_you_mean(name, shipped).replace("known are", "kdsweep comes with")
        raise PlacedError(given, f"cannot be read: {reason}{hint}")
    raise PlacedError(given, f"cannot be read: {reason}")


def copy(name: str, folder: Path) -> list[Path]:
    """Copy a shipped sweep into a folder, with those that it extends and their schema; returns what was written.

    Raises:
        UserError: none has this name, or another file of one of the names is there already; nothing is written.
    """
    shipped = {sweep.name: sweep.path for sweep in shipped_sweeps()}
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
