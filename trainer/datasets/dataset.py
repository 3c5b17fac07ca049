"""The tensors that a trial works on: a data set, cut down to the images it asks for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.catalog import DATASETS
from trainer.datasets.arrays import Half
from trainer.datasets.errors import DataError
from trainer.datasets.source import open_arrays
from trainer.trial import Data


@dataclass(frozen=True)
class Part:
    """Training or test half: `images` uint8 [N, 3, S, S], `labels` int64 [N]."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Part":
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """`mean` and `std` are per channel, of pixels in 0..1."""

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


def _cut(half: Half, count: int) -> Half:
    if count == len(half.labels):
        return half
    kept = first_of_each_class(half.labels, count)
    return Half(half.images[kept], half.labels[kept])


def _part(half: Half) -> Part:
    """Grey images are repeated to three channels, in memory only once."""
    images = torch.from_numpy(half.images)
    if images.dim() == 3:
        images = images.unsqueeze(1).expand(-1, 3, -1, -1)
    return Part(images, torch.from_numpy(half.labels))


def pixel_statistics(
    images: NDArray[np.uint8],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in 0..1, exact, to four digits.

    Args:
        images: uint8 [N, S, S] (three equal channels) or [N, 3, S, S].
    """
    channels = [images] * 3 if images.ndim == 3 else [images[:, c] for c in range(3)]
    values = np.arange(256) / 255
    moments = []
    for channel in channels:
        shares = np.bincount(channel.ravel(), minlength=256) / channel.size
        mean = float(shares @ values)
        moments.append((mean, float(shares @ (values - mean) ** 2) ** 0.5))
    means, stds = zip(*moments, strict=True)
    return tuple(round(m, 4) for m in means), tuple(round(s, 4) for s in stds)


def load_dataset(data: Data, data_folder: Path = Path("data")) -> Dataset:
    """The data set that a trial names, verified and cut down to the images it asks for.

    Where neither it nor the paper gives mean and standard deviation, those of the training images are taken.

    Raises:
        DataError: missing, damaged, not what was planned, or with fewer images than wanted.
    """
    arrays = open_arrays(data, data_folder)
    train, test = _cut(arrays.train, data.train_images), _cut(arrays.test, data.test_images)
    facts = None if data.path else DATASETS[data.name]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    if data.mean and data.std:
        mean, std = data.mean, data.std
    elif facts and facts.mean and facts.std:
        mean, std = facts.mean, facts.std
    else:
        mean, std = pixel_statistics(train.images)
    if not all(std):
        raise DataError(f"{data.name}: a channel of the training images has one value only")
    return Dataset(data.name, arrays.class_names, _part(train), _part(test), mean, std)
