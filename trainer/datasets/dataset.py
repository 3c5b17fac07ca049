"""A data set in memory, and how one is loaded and cut down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.datasets import fashion_mini
from trainer.trial import Data


class DataError(Exception):
    """Data that cannot be read, are damaged, or are not what their name promises."""


@dataclass(frozen=True)
class Part:
    """Training or test half: `images` uint8 [N, 3, S, S], `labels` int64 [N]."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Part":
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """`mean` and `std` are per channel, of pixels in 0..1, measured on the training images."""

    name: str
    class_names: tuple[str, ...]
    train: Part
    test: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        return int(self.train.images.shape[-1])

    @classmethod
    def measured(cls, name: str, class_names: tuple[str, ...], train: Part, test: Part) -> Self:
        """A data set without published statistics: they are measured, to four digits."""
        pixels = train.images.double() / 255
        mean = tuple(round(v, 4) for v in pixels.mean(dim=(0, 2, 3)).tolist())
        std = tuple(round(v, 4) for v in pixels.std(dim=(0, 2, 3), correction=0).tolist())
        return cls(name, class_names, train, test, mean, std)

    def to(self, device: torch.device) -> "Dataset":
        """The same data set with its tensors on a device."""
        train, test = self.train.to(device), self.test.to(device)
        return Dataset(self.name, self.class_names, train, test, self.mean, self.std)


def first_of_each_class(labels: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Indices, in file order, of `count` examples: as many of each class as can be, the first ones.

    Raises:
        DataError: there are fewer than `count` examples.
    """
    if count > len(labels):
        raise DataError(f"{count} images wanted, {len(labels)} are there")
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class])
    rank = np.empty(len(labels), dtype=np.intp)
    rank[by_class] = np.arange(len(labels)) - starts
    return np.sort(np.lexsort((labels, rank))[:count])


def _part(images: NDArray[np.uint8], labels: NDArray[np.uint8], count: int) -> Part:
    """`count` grey [N, S, S] or colour [N, 3, S, S] images as a part; grey is repeated to three channels."""
    kept = first_of_each_class(labels, count)
    tensor = torch.from_numpy(images[kept])
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(1).expand(-1, 3, -1, -1).contiguous()
    return Part(tensor, torch.from_numpy(labels[kept].astype(np.int64)))


_READERS: Mapping[str, Callable[[], fashion_mini.Arrays]] = {"fashion_mini": fashion_mini.read}


def load_dataset(data: Data) -> Dataset:
    """The data set that a trial names, verified and cut down to the images it asks for.

    Raises:
        DataError: unknown, missing, damaged, or with fewer images than wanted.
    """
    if data.name not in _READERS:
        raise DataError(f"unknown data set {data.name!r}; known are {', '.join(_READERS)}")
    arrays = _READERS[data.name]()
    if arrays.checksum != data.checksum:
        raise DataError(
            f"{data.name}: the file's SHA-256 is {arrays.checksum}, expected {data.checksum}; "
            "install kdsweep anew"
        )
    train = _part(arrays.train_images, arrays.train_labels, data.train_images)
    test = _part(arrays.test_images, arrays.test_labels, data.test_images)
    return Dataset.measured(data.name, arrays.class_names, train, test)
