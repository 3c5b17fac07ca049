"""Tiny ImageNet in its official layout, as a folder or as the zip file it comes in.

    wnids.txt                          the classes, a WordNet id per line
    train/WNID/images/*.JPEG           (other endings of images will do)
    val/images/*.JPEG, val/val_annotations.txt     the test images, and their classes

The zip is read in place, never unpacked.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError
from trainer.datasets.images import ENDINGS, Ignored, decode, is_foreign

Files = Mapping[str, Callable[[], bytes]]
"""The files of a data set: their names below its top folder, and how to read each."""


def files_of_folder(folder: Path) -> Files:
    """All files below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in paths}


def files_of_zip(archive: zipfile.ZipFile) -> Files:
    """All files of a zip file, without its single top folder."""

    def reader(name: str) -> Callable[[], bytes]:
        return lambda: archive.read(name)

    names = (name for name in archive.namelist() if not name.endswith("/"))
    return {name.partition("/")[2]: reader(name) for name in names}


def read(files: Files, where: Path) -> Arrays:
    """Decode all images, in order of class and name.

    Raises:
        DataError: a file is missing or damaged, or an image has another size than the first.
    """
    classes = tuple(_text(files, "wnids.txt", where).split())
    labels = {wnid: label for label, wnid in enumerate(classes)}
    train = [
        (name, labels[path.parts[1]])
        for name, path in _images(files, "train")
        if path.parts[1] in labels
    ]
    test = _test(files, labels, where)
    used = {name for name, _ in (*train, *test)}
    ignored = Ignored.of(
        where / name for name in files if name not in used and _is_strange(PurePosixPath(name))
    )
    halves = (_half(files, train, where), _half(files, test, where))
    return checked(Arrays(classes, *halves, ignored=ignored), where)


def _is_strange(path: PurePosixPath) -> bool:
    """Not one of the texts of the layout, and below a folder of images that is read."""
    is_hidden = any(map(is_foreign, path.parts))
    return path.parts[0] in ("train", "val") and path.suffix != ".txt" and not is_hidden


def _images(files: Files, half: str) -> list[tuple[str, PurePosixPath]]:
    named = ((name, PurePosixPath(name)) for name in sorted(files))
    return [
        (name, path)
        for name, path in named
        if path.parts[0] == half
        and path.suffix.lower() in ENDINGS
        and "images" in path.parts
        and not any(map(is_foreign, path.parts))
    ]


def _test(files: Files, labels: Mapping[str, int], where: Path) -> list[tuple[str, int]]:
    annotations = _text(files, "val/val_annotations.txt", where)
    of_image = dict(line.split("\t")[:2] for line in annotations.splitlines() if "\t" in line)
    labelled = []
    for name, path in _images(files, "val"):
        wnid = of_image.get(path.name, "")
        if wnid not in labels:
            raise DataError(
                f"{where / name}: val/val_annotations.txt gives it no class of wnids.txt"
            )
        labelled.append((name, labels[wnid]))
    return labelled


def _half(files: Files, named: list[tuple[str, int]], where: Path) -> Half:
    if not named:
        raise DataError(f"{where}: no images in the layout of Tiny ImageNet")
    first = decode(files[named[0][0]](), where / named[0][0], upright=False)
    images = np.empty((len(named), *first.shape), dtype=np.uint8)
    for index, (name, _) in enumerate(named):
        image = decode(files[name](), where / name, upright=False)
        if image.shape != first.shape:
            actual, expected = (f"{s[2]}x{s[1]}" for s in (image.shape, first.shape))
            raise DataError(f"{where / name}: {actual} pixels, expected {expected}")
        images[index] = image
    return Half(images, np.asarray([label for _, label in named], dtype=np.int64))


def _text(files: Files, name: str, where: Path) -> str:
    if name not in files:
        raise DataError(f"{where / name}: no such file; expected the layout of tiny-imagenet-200")
    try:
        return files[name]().decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where / name}: not a text file in UTF-8") from error
