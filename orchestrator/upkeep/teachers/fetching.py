"""The authors' published teachers: fetched, unpacked, and pinned at first use.

Nobody publishes checksums of them. So the lock beside them holds what came the first time, and whatever differs
later is told and not taken (`trainer.pins`).
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock

from orchestrator.upkeep.teachers.archive import architecture_in, unpack
from orchestrator.upkeep.teachers.download import Tell, fetch
from trainer.datasets.cache import cache_root
from trainer.files import write_atomically
from trainer.pins import LOCK, Lock, read_lock
from trainer.problems import PlacedError, UserError, did_you_mean

RELEASE = "https://github.com/MingSun-Tse/Good-DA-in-KD/releases/download/v0.1/"
ARCHIVES: Mapping[str, str] = MappingProxyType(
    {"cifar100": "teachers_cifar100.zip", "tinyimagenet": "teachers_tinyimagenet.zip"}
)


@dataclass(frozen=True)
class Fetched:
    """Teachers that are there, pinned."""

    folder: Path
    files: Mapping[str, str]
    """The SHA-256 of each, by its path below the folder."""
    is_new: bool
    left: tuple[str, ...]
    """What the archive holds besides."""

    @property
    def pattern(self) -> str | None:
        """The path of all of them with `{teacher}` in place of their names; None where they have none in common."""
        patterns = set()
        for name in self.files:
            architecture = architecture_in(Path(name))
            patterns.add(name.replace(str(architecture), "{teacher}", 1))
        return f"{self.folder}/{patterns.pop()}" if len(patterns) == 1 else None


def fetched_folder(dataset: str) -> Path:
    """Where a data set's published teachers are kept on this machine."""
    return cache_root() / "teachers" / dataset


def fetch_teachers(
    dataset: str, folder: Path, tell: Tell, *, source: str | None = None, again: bool = False
) -> Fetched:
    """Have a data set's published teachers in a folder.

    Args:
        dataset: a key of `ARCHIVES`.
        folder: where they go; made.
        tell: told how far the download is.
        source: another address of the archive, as of a mirror.
        again: download also where all are there, and compare.

    Raises:
        UserError: the data set is unknown, the archive cannot be had or is refused, or what it holds is not what was
            pinned, or not what is there already; nothing was changed then.
    """
    if dataset not in ARCHIVES:
        raise UserError(
            f"{dataset}: no teachers are published for it{did_you_mean(dataset, ARCHIVES)}"
        )
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{LOCK}.lock"):
        lock = read_lock(folder)
        if lock is not None and lock.dataset != dataset:
            raise PlacedError(
                folder / LOCK,
                f"pins teachers for {lock.dataset}; fetch {dataset} into another folder",
            )
        if lock is not None and not again and _all_there(folder, lock):
            return Fetched(folder, lock.files, is_new=False, left=())
        return _fetch(dataset, folder, lock, tell, source or f"{RELEASE}{ARCHIVES[dataset]}")


def _all_there(folder: Path, lock: Lock) -> bool:
    """Whether all pinned files are there; raises where one is another."""
    there = {name: _sha256(folder / name) for name in lock.files if (folder / name).is_file()}
    _refuse_changed(folder, there, lock.files, f"but {{pinned}} is pinned in {folder / LOCK}")
    return len(there) == len(lock.files)


def _fetch(dataset: str, folder: Path, lock: Lock | None, tell: Tell, url: str) -> Fetched:
    archive = folder / f".{ARCHIVES[dataset]}"
    fetch(url, archive, tell)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
        try:
            unpacked = unpack(archive, Path(temporary))
            sha256 = _sha256(archive)
        finally:
            # A whole archive that is refused would be refused again.
            archive.unlink()
        if lock is not None:
            _refuse_changed(
                folder,
                unpacked.files,
                lock.files,
                f"from {url}, but {{pinned}} is pinned in {folder / LOCK}",
            )
        there = {
            name: _sha256(folder / name) for name in unpacked.files if (folder / name).is_file()
        }
        _refuse_changed(
            folder, there, unpacked.files, "but {pinned} was fetched; move it away first"
        )
        pins = {**(lock.files if lock else {}), **unpacked.files}
        for name in unpacked.files:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.move(Path(temporary) / name, folder / name)
        new = Lock(
            dataset=dataset, source=url, archive_sha256=sha256, files=dict(sorted(pins.items()))
        )
        write_atomically(folder / LOCK, json.dumps(new.model_dump(), indent=1).encode() + b"\n")
    return Fetched(folder, new.files, is_new=True, left=unpacked.left)


def _refuse_changed(
    folder: Path, found: Mapping[str, str], expected: Mapping[str, str], told: str
) -> None:
    """Raise `UserError` with a line per file that is another than was expected."""
    changed = [
        f"{folder / name}: its SHA-256 is {sha256} {told.format(pinned=expected[name])}"
        for name, sha256 in found.items()
        if expected.get(name, sha256) != sha256
    ]
    if changed:
        raise UserError("\n".join([*changed, "nothing was changed"]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
