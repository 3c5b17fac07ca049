"""Anybody's own images: `train/CLASS/*` and `test/CLASS/*` (or `val/CLASS/*`), of any size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError
from trainer.datasets.images import ENDINGS, Ignored, decode, is_foreign
from trainer.datasets.memory import check_images_fit

TEST_FOLDERS = ("test", "val")


def read(folder: Path, image_size: int) -> Arrays:
    """Decode all images, each cut to its centred square and resized to `image_size`, in order of name.

    Raises:
        DataError: a folder is missing or empty, an image is unreadable, or the halves' classes differ,
            or they do not fit in memory.
    """
    train = folder / "train"
    test = next(
        (folder / name for name in TEST_FOLDERS if (folder / name).is_dir()), folder / "test"
    )
    names = _classes(train)
    strange = sorted(set(_classes(test)).symmetric_difference(names))
    if strange:
        raise DataError(
            f"{folder}: the class {strange[0]!r} is not in both {train.name}/ and {test.name}/"
        )
    files = [_files(half, names) for half in (train, test)]
    check_images_fit(sum(map(len, files)), image_size, folder)
    halves = (_half(half, image_size) for half in files)
    ignored = sum((_ignored(half, names) for half in (train, test)), Ignored())
    return checked(Arrays(names, *halves, ignored=ignored), folder)


def _classes(half: Path) -> tuple[str, ...]:
    if not half.is_dir():
        raise DataError(f"{half}: no such folder; expected {half.name}/CLASS/IMAGE files")
    found = (entry.name for entry in half.iterdir() if entry.is_dir())
    names = tuple(sorted(name for name in found if not is_foreign(name)))
    if len(names) < 2:
        raise DataError(f"{half}: {len(names)} folders of classes; two are needed at least")
    return names


def _files(half: Path, names: Sequence[str]) -> list[tuple[Path, int]]:
    """The images of a half in order of class and name, with their labels."""
    found = []
    for label, name in enumerate(names):
        paths = sorted(filter(_is_image, (half / name).iterdir()))
        if not paths:
            raise DataError(f"{half / name}: no image in it")
        found += [(path, label) for path in paths]
    return found


def _half(files: Sequence[tuple[Path, int]], image_size: int) -> Half:
    images = np.empty((len(files), 3, image_size, image_size), dtype=np.uint8)
    for index, (path, _) in enumerate(files):
        images[index] = decode(path.read_bytes(), path, image_size)
    return Half(images, np.asarray([label for _, label in files], dtype=np.int64))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not is_foreign(path.name)


def _ignored(half: Path, names: Sequence[str]) -> Ignored:
    """What lies in the folders of classes, is not hidden, and is no image."""
    return Ignored.of(
        path
        for name in names
        for path in (half / name).iterdir()
        if not _is_image(path) and not is_foreign(path.name)
    )
