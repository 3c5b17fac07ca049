"""A data set as decoded arrays, checked, and the identity of what was decoded."""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainer.datasets.errors import DataError
from trainer.datasets.images import Ignored


@dataclass(frozen=True)
class Half:
    """Training or test half: `images` uint8 [N, S, S] (grey) or [N, 3, S, S], `labels` int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Arrays:
    """A whole data set. `ignored` lay beside the images when they were decoded."""

    class_names: tuple[str, ...]
    train: Half
    test: Half
    ignored: Ignored = field(default_factory=Ignored, kw_only=True)

    @property
    def image_size(self) -> int:
        return int(self.train.images.shape[-1])


def checked(arrays: Arrays, where: object) -> Arrays:
    """The same arrays, if they are a data set: square images of one size, every class with images.

    Raises:
        DataError: they are not; `where` names their place.
    """
    size = arrays.train.images.shape[-1]
    for name, half in (("training", arrays.train), ("test", arrays.test)):
        if half.images.dtype != np.uint8 or half.images.shape[-2:] != (size, size):
            shape, dtype = half.images.shape, half.images.dtype
            raise DataError(
                f"{where}: {name} images are {dtype} {shape}; expected uint8, {size}x{size}"
            )
        if len(half.images) != len(half.labels):
            raise DataError(
                f"{where}: {len(half.images)} {name} images, but {len(half.labels)} labels"
            )
        counts = np.bincount(half.labels, minlength=len(arrays.class_names))
        if len(counts) > len(arrays.class_names):
            raise DataError(
                f"{where}: a {name} image has the label {len(counts) - 1}, "
                f"there are {len(arrays.class_names)} classes"
            )
        if not counts.all():
            empty = arrays.class_names[int(np.argmin(counts))]
            raise DataError(f"{where}: the class {empty!r} has no {name} image")
    return arrays


def content_checksum(arrays: Arrays, preparation: str) -> str:
    """`sha256:...` over images, labels and how the images were prepared: the identity of one's own data."""
    digest = hashlib.sha256()
    for half in (arrays.train, arrays.test):
        header = json.dumps([preparation, half.images.shape, len(half.labels)])
        digest.update(header.encode())
        digest.update(np.ascontiguousarray(half.images).data)
        digest.update(np.ascontiguousarray(half.labels, dtype="<i8").data)
    return f"sha256:{digest.hexdigest()}"
