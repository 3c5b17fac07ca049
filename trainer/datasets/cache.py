"""Decoded images on this node's disk: decoded once, memory-mapped by every process.

    ROOT/CHECKSUM/train_images.npy train_labels.npy test_images.npy test_labels.npy about.json

An entry is made under another name and renamed when it is whole, so it is there or it is not. Processes that
want one at the same time wait for the first of them; a lock of a dead process is free.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError, readable
from trainer.files import write_atomically

HALVES = ("train", "test")


def cache_root() -> Path:
    """`KDSWEEP_CACHE`, or `kdsweep` in the user's cache folder."""
    if "KDSWEEP_CACHE" in os.environ:
        return Path(os.environ["KDSWEEP_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdsweep"


def _entry(checksum: str) -> Path:
    return cache_root() / "data" / checksum.replace(":", "-")


def cached(checksum: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays of a data set, from the cache; `build` decodes them where they are not there yet.

    Raises:
        DataError: what `build` raises, or there is no room for the cache.
    """
    entry = _entry(checksum)
    with readable(entry):
        entry.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{entry}.lock"):
        arrays = _open(entry)
        if arrays is None:
            shutil.rmtree(entry, ignore_errors=True)
            _write(entry, build())
            arrays = _open(entry)
    if arrays is None:
        raise DataError(f"{entry}: the cache cannot be read back")
    return arrays


def _write(entry: Path, arrays: Arrays) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
    try:
        for name, half in zip(HALVES, (arrays.train, arrays.test), strict=True):
            np.save(folder / f"{name}_images.npy", half.images)
            np.save(folder / f"{name}_labels.npy", half.labels)
        about = json.dumps({"class_names": arrays.class_names})
        write_atomically(folder / "about.json", about.encode())
        folder.rename(entry)
    except OSError as error:
        raise DataError(f"{entry}: the cache cannot be written: {error.strerror}") from error
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
