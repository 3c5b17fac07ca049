"""One's own images, in any of the formats, and their identity: the SHA-256 of what was decoded.

To know the identity, the images must be decoded. That is done once: what was decoded goes to the cache, and a
note there tells the identity of a folder that has not changed since (same names, sizes, times, inodes).
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from trainer.catalog import DATASETS
from trainer.datasets import cifar, idx, image_folder, tiny_imagenet
from trainer.datasets.arrays import Arrays, content_checksum
from trainer.datasets.cache import cache_is_writable, cache_root, cached, make_shared
from trainer.datasets.errors import DataError, readable
from trainer.datasets.images import ENDINGS
from trainer.datasets.memory import bytes_of, check_fits
from trainer.files import write_atomically

PREPARATION = "1"
"""Part of the identity; raised only where all images would be decoded otherwise."""

DECODING = 2
"""Raised when some files would be decoded otherwise: everything is decoded anew, and what stays equal keeps
its identity."""


@dataclass(frozen=True)
class OwnImages:
    """What a planner needs to know of a folder of images."""

    checksum: str
    num_classes: int
    image_size: int
    train_images: int
    test_images: int
    num_ignored: int = 0
    ignored: str = ""
    """Files that lie among the images and are none: how many, and one of them."""


def read_own(form: str, folder: Path, image_size: int | None) -> Arrays:
    """Decode a folder of images of one's own.

    Raises:
        DataError: the folder is missing, or not in this format, or its images do not fit in memory.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    readers: Mapping[str, Callable[[], Arrays]] = {
        "imagefolder": lambda: image_folder.read(folder, image_size or 0),
        "parquet": lambda: _parquet(folder, image_size or 0),
        "cifar10": lambda: _cifar("cifar10", folder),
        "cifar100": lambda: _cifar("cifar100", folder),
        "fashion_mnist": lambda: _idx(folder),
        "tinyimagenet": lambda: _tiny_imagenet(folder),
    }
    return readers[form]()


def _parquet(folder: Path, image_size: int) -> Arrays:
    # pyarrow takes its time, and only this format needs it.
    from trainer.datasets import parquet_images

    return parquet_images.read(folder, image_size)


def _cifar(name: str, folder: Path) -> Arrays:
    layout = cifar.LAYOUTS[name]
    files = [folder / file for file in (*layout.train, layout.test)]
    # A half's files are joined: for a moment its images are there twice.
    check_fits(2 * sum(map(_size, files)), folder)
    return cifar.read(layout, cifar.files_of_folder(folder), folder)


def _idx(folder: Path) -> Arrays:
    check_fits(sum(idx.unpacked_size(folder, file) for file in idx.FILES), folder)
    return idx.read(lambda file: idx.read_file(folder, file), folder)


def _tiny_imagenet(folder: Path) -> Arrays:
    files = tiny_imagenet.files_of_folder(folder)
    count = sum(PurePath(name).suffix.lower() in ENDINGS for name in files)
    check_fits(bytes_of(count, DATASETS["tinyimagenet"].image_size), folder)
    return tiny_imagenet.read(files, folder)


def _size(path: Path) -> int:
    """Of a file; what is missing is told by whoever reads it."""
    return path.stat().st_size if path.is_file() else 0


def identify(form: str, folder: Path, image_size: int | None) -> OwnImages:
    """What a folder holds; decodes it, into the cache, unless an unchanged folder was seen before.

    Raises:
        DataError: as `read_own`.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    with readable(folder):
        note = cache_root() / "seen" / f"{listing(folder, form, image_size)}.json"
        if note.exists():
            return OwnImages(**json.loads(note.read_text()))
        arrays = read_own(form, folder, image_size)
        checksum = content_checksum(arrays, PREPARATION)
        cached(checksum, lambda: arrays)
    seen = OwnImages(
        checksum=checksum,
        num_classes=len(arrays.class_names),
        image_size=arrays.image_size,
        train_images=len(arrays.train.labels),
        test_images=len(arrays.test.labels),
        num_ignored=arrays.ignored.count,
        ignored=arrays.ignored.example,
    )
    with cache_is_writable(note):
        make_shared(note.parent)
        write_atomically(note, json.dumps(asdict(seen)).encode())
    return seen


def open_own(checksum: str, form: str, folder: Path, image_size: int) -> Arrays:
    """The images that were planned, from the cache of this node, or decoded again.

    Raises:
        DataError: as `read_own`, or the folder holds other images than were planned.
    """

    def build() -> Arrays:
        arrays = read_own(form, folder, image_size)
        found = content_checksum(arrays, PREPARATION)
        if found != checksum:
            raise DataError(f"{folder}: not the images that were planned: {found}, not {checksum}")
        return arrays

    with readable(folder):
        return cached(checksum, build)


def listing(folder: Path, *preparation: object) -> str:
    """A fingerprint of a folder's names, sizes and times of change, and of how it is prepared."""
    digest = hashlib.sha256(json.dumps([PREPARATION, DECODING, *preparation]).encode())
    for path, status in sorted(_files(folder)):
        # Times can be set and sizes be equal (cp -p, layers of images); what changed has another of these.
        change = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        digest.update(json.dumps([path, *change]).encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files below a folder, through links as the readers go, but never in a circle."""
    waiting, seen = [str(folder)], set[str]()
    while waiting:
        real = os.path.realpath(top := waiting.pop())
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(top) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.is_file():
                    yield entry.path, entry.stat()
