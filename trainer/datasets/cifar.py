"""CIFAR-10 and CIFAR-100 in their official python format: pickled batches.

They are read with an unpickler that knows nothing but numpy's arrays, so a file can hold no code. An archive
is read in place, never unpacked.
"""

import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError


@dataclass(frozen=True)
class Layout:
    """The files of one of the two, and the keys of what is in them."""

    train: tuple[str, ...]
    test: str
    meta: str
    labels: bytes
    names: bytes


LAYOUTS: Mapping[str, Layout] = {
    "cifar10": Layout(
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test="test_batch",
        meta="batches.meta",
        labels=b"labels",
        names=b"label_names",
    ),
    "cifar100": Layout(
        train=("train",),
        test="test",
        meta="meta",
        labels=b"fine_labels",
        names=b"fine_label_names",
    ),
}

ReadFile = Callable[[str], bytes]

_HARMLESS = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a file of images")
        return super().find_class(module, name)


def read(layout: Layout, read_file: ReadFile, where: Path) -> Arrays:
    """Decode a data set whose files `read_file` gives by name.

    Raises:
        DataError: a file is missing, damaged, or not of this format.
    """
    names = _entry(where / layout.meta, read_file(layout.meta), layout.names)
    if not isinstance(names, list | tuple):
        raise DataError(f"{where / layout.meta}: {layout.names.decode()} is no list of names")
    train = [_half(layout, name, read_file, where) for name in layout.train]
    arrays = Arrays(
        class_names=tuple(map(_text, names)),
        train=Half(
            np.concatenate([half.images for half in train]),
            np.concatenate([half.labels for half in train]),
        ),
        test=_half(layout, layout.test, read_file, where),
    )
    return checked(arrays, where)


def _text(name: object) -> str:
    """A class's name: bytes in UTF-8 or else in Latin-1, in which every byte is a letter."""
    if not isinstance(name, bytes):
        return str(name)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _half(layout: Layout, name: str, read_file: ReadFile, where: Path) -> Half:
    path, raw = where / name, read_file(name)
    rows = _entry(path, raw, b"data")
    labels = _entry(path, raw, layout.labels)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype != np.uint8:
        raise DataError(f"{path}: 'data' is no uint8 array with one row per image")
    size = isqrt(rows.shape[1] // 3)
    if 3 * size * size != rows.shape[1]:
        raise DataError(f"{path}: rows of {rows.shape[1]} bytes are no square RGB images")
    return Half(rows.reshape(-1, 3, size, size), _labels(path, labels))


def _labels(path: Path, labels: Sequence[Any]) -> NDArray[np.int64]:
    try:
        array = np.asarray(labels)
    except ValueError:
        array = np.empty((0, 0))
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
        raise DataError(f"{path}: the labels are no list of class numbers")
    return array.astype(np.int64)


def _entry(path: Path, raw: bytes, key: bytes) -> Any:
    try:
        content = _ArraysOnly(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:  # damaged pickles raise almost anything
        raise DataError(f"{path}: damaged, or not a file of images: {error}") from error
    keys = (key, key.decode())
    if not isinstance(content, dict) or not any(k in content for k in keys):
        raise DataError(f"{path}: has no entry {key.decode()!r}")
    return next(content[k] for k in keys if k in content)


def files_of_folder(folder: Path) -> ReadFile:
    """Reads the files of an unpacked data set."""

    def read_file(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / name}: cannot be read: {error.strerror}") from error

    return read_file
