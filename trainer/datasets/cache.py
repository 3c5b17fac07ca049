"""Decoded images on this node's disk: decoded once, memory-mapped by every process.

    ROOT/data/CHECKSUM/train_images.npy train_labels.npy test_images.npy test_labels.npy about.json

An entry is made under another name and renamed when it is whole, so it is there or it is not. Processes that
want one at the same time wait for the first of them; a lock of a dead process is free. Whoever may read or write
ROOT may do so with all that is in it: users can share one.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError
from trainer.files import write_atomically
from trainer.private_folder import private_folder

HALVES = ("train", "test")
OTHERS = stat.S_IRWXG | stat.S_IRWXO
READ_AND_WRITE = 0o666


def cache_root() -> Path:
    """`KDSWEEP_CACHE`, or `kdsweep` in the user's cache folder; a temporary one where there is no such folder.

    Raises:
        NotOursError: the temporary one is not this user's alone.
    """
    if given := os.environ.get("KDSWEEP_CACHE"):
        return Path(given)
    usual = _of_the_user()
    return usual if usual is not None and _can_be_made(usual) else private_folder("cache")


def _of_the_user() -> Path | None:
    """None for a user without a home, as in a container."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "kdsweep"
    try:
        return Path.home() / ".cache" / "kdsweep"
    except RuntimeError:
        return None


def _can_be_made(folder: Path) -> bool:
    """Whether it is there and can be written; it is made where that is possible."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK | os.X_OK)
    return False


def _entry(checksum: str) -> Path:
    return cache_root() / "data" / checksum.replace(":", "-")


def is_cached(checksum: str) -> bool:
    """Whether a data set is in the cache, whole."""
    return _open(_entry(checksum)) is not None


def cached(checksum: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays of a data set, from the cache; `build` decodes them where they are not there yet.

    Raises:
        DataError: what `build` raises, or the cache cannot be written.
    """
    entry = _entry(checksum)
    # First of all, so that a cache that only others may write is of use.
    if (arrays := _open(entry)) is not None:
        return arrays
    with cache_is_writable(entry):
        make_shared(entry.parent)
    with alone(entry):
        arrays = _open(entry)
        if arrays is None:
            shutil.rmtree(entry, ignore_errors=True)
            _write(entry, build())
            arrays = _open(entry)
    if arrays is None:
        raise DataError(f"{entry}: the cache cannot be read back")
    return arrays


@contextmanager
def cache_is_writable(path: Path) -> Iterator[None]:
    """Tell what the file system refuses, and which setting helps."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or path}: the cache cannot be written: {error.strerror or error}; "
            "KDSWEEP_CACHE sets another folder for it"
        ) from error


def make_shared(folder: Path) -> None:
    """Make a folder, which is open to whom the one is that holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(_mode(folder.parent))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def alone(entry: Path) -> Iterator[None]:
    """Wait for others that make this entry; without a lock, where another user has made it for themselves, do not."""
    lock = FileLock(f"{entry}.lock", mode=mode_of_files(entry.parent))
    with cache_is_writable(entry), suppress(PermissionError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def mode_of_files(folder: Path) -> int:
    """The mode of a file that those may read and write who may do so with the folder."""
    return stat.S_IRUSR | stat.S_IWUSR | (_mode(folder) & OTHERS & READ_AND_WRITE)


def _write(entry: Path, arrays: Arrays) -> None:
    with cache_is_writable(entry):
        folder = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
        try:
            for name, half in zip(HALVES, (arrays.train, arrays.test), strict=True):
                np.save(folder / f"{name}_images.npy", half.images)
                np.save(folder / f"{name}_labels.npy", half.labels)
            about = json.dumps({"class_names": arrays.class_names})
            write_atomically(folder / "about.json", about.encode())
            for path in folder.iterdir():
                path.chmod(mode_of_files(entry.parent))
            folder.chmod(_mode(entry.parent))
            try:
                folder.rename(entry)
            except OSError:
                # Somebody without our lock, on another machine perhaps, was first.
                if _open(entry) is None:
                    raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _open(entry: Path) -> Arrays | None:
    """An entry, or None where there is none or it is damaged."""
    try:
        about = json.loads((entry / "about.json").read_text())
        halves = (
            Half(_map(entry / f"{name}_images.npy"), _map(entry / f"{name}_labels.npy"))
            for name in HALVES
        )
        return checked(Arrays(tuple(about["class_names"]), *halves), entry)
    except (OSError, ValueError, KeyError, DataError):
        return None


def _map(path: Path) -> NDArray[Any]:
    """Copy-on-write: torch takes it without a copy, and no write ever reaches the file."""
    return np.load(path, mmap_mode="c", allow_pickle=False)  # type: ignore[no-any-return]
