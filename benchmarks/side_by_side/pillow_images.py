"""The plain loop's images: PIL, one after the other, in a loader's worker processes."""

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms

from trainer.datasets.dataset import Dataset, Part

NUM_WORKERS = 2
PREFETCH_FACTOR = 2
"""Batches that each worker has ready or in work: torch's default."""

TEST_BATCH_SIZE = 500

Batches = Iterable[tuple[Tensor, Tensor]]
"""Yields float images [B, 3, S, S], normalised, and int64 labels [B]."""


class PillowImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Pixels in memory; each item becomes a PIL image and goes through the transform."""

    def __init__(self, part: Part, transform: transforms.Compose) -> None:
        self._pixels = np.ascontiguousarray(part.images.permute(0, 2, 3, 1).numpy())
        self._labels = part.labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self._pixels[index])
        return self._transform(image), self._labels[index]


def _loader(images: PillowImages, batch_size: int, num_workers: int, *, shuffle: bool) -> Batches:
    return DataLoader(
        images,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        prefetch_factor=PREFETCH_FACTOR if num_workers else None,
        # The cheapest start of a worker, whatever Python's default is.
        multiprocessing_context="fork" if num_workers else None,
    )


def train_batches(dataset: Dataset, batch_size: int, num_workers: int = NUM_WORKERS) -> Batches:
    """Shuffled, each image randomly cropped (padded by an eighth) and flipped; the last batch may be short."""
    size = dataset.image_size
    standard = transforms.Compose(
        [
            transforms.RandomCrop(size, padding=size // 8),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(dataset.mean, dataset.std),
        ]
    )
    return _loader(PillowImages(dataset.train, standard), batch_size, num_workers, shuffle=True)


def held_out_batches(dataset: Dataset, num_workers: int = NUM_WORKERS) -> Batches:
    """The test images as they are, in order."""
    as_they_are = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
    )
    images = PillowImages(dataset.test, as_they_are)
    return _loader(images, TEST_BATCH_SIZE, num_workers, shuffle=False)
