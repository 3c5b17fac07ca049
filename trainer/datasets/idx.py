"""Fashion-MNIST's format, IDX: four files, as they are or compressed by gzip."""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

_BYTES = 0x08
"""The type code of unsigned bytes."""


def read_file(folder: Path, name: str) -> bytes:
    """The content of a file, unpacked if only its `.gz` is there.

    Raises:
        DataError: neither is there, or it is damaged.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        if plain.is_file():
            return plain.read_bytes()
        return gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{packed}: no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed}: damaged: {error}") from error


def unpacked_size(folder: Path, name: str) -> int:
    """How long a file's content is, as its header says; 0 where that cannot be read, which `read_file` tells."""
    plain, packed = folder / name, folder / f"{name}.gz"
    dimensions = 3 if "idx3" in name else 1
    header = 4 + 4 * dimensions
    try:
        with plain.open("rb") if plain.is_file() else gzip.open(packed) as file:
            shape = np.frombuffer(file.read(header), ">u4", dimensions, 4)
    except (OSError, EOFError, ValueError, zlib.error):
        return 0
    return header + math.prod(map(int, shape))


def read(content: Callable[[str], bytes], where: Path) -> Arrays:
    """Decode a data set whose files `content` gives by name.

    Raises:
        DataError: a file is missing, damaged, or not of this format.
    """
    arrays = [_array(content(name), where / name) for name in FILES]
    train, test = (
        Half(images, labels.astype(np.int64)) for images, labels in (arrays[:2], arrays[2:])
    )
    return checked(Arrays(CLASS_NAMES, train, test), where)


def _array(raw: bytes, path: Path) -> NDArray[np.uint8]:
    dimensions = 3 if "idx3" in path.name else 1
    header = 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes((0, 0, _BYTES, dimensions)):
        raise DataError(f"{path}: not an IDX file of bytes with {dimensions} dimensions")
    shape = tuple(np.frombuffer(raw, ">u4", dimensions, 4).tolist())
    if len(raw) - header != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"{path}: {len(raw) - header} bytes for {' x '.join(map(str, shape))}: truncated?"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
