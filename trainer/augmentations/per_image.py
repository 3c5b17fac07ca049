"""The schemes with a decision for every image instead of one for the batch (`randomness: sample`).

Each draws for B images what its per-batch namesake draws once, in the same distributions; identity decides
nothing. Mixup and CutMix mix along one permutation of the batch, with shares and boxes of their own.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.augmentations.batch import Batch
from trainer.augmentations.schemes import CutMix, Cutout, Mixup, PolicyDecision, permuted
from trainer.augmentations.standard import CropsAndFlips
from trainer.sending import sent


@dataclass(frozen=True)
class FlipEach:
    """One flip decision per image, `mirrored` bool [B]."""

    mirrored: NDArray[np.bool_]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls(rng.random(batch_size) < 0.5)

    def apply(self, batch: Batch) -> Tensor:
        images = batch.round_tripped
        mirrored = sent(self.mirrored, images.device)[:, None, None, None]
        return batch.palette.normalise(torch.where(mirrored, images.flip(3), images))


@dataclass(frozen=True)
class CropFlipEach:
    decisions: CropsAndFlips

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls(CropsAndFlips.draw(rng, batch_size, image_size))

    def apply(self, batch: Batch) -> Tensor:
        return batch.palette.normalise(self.decisions.apply(batch.round_tripped))


def _inside(rows: list[slice], columns: list[slice], like: Tensor) -> Tensor:
    """Bool [B, 1, S, S]: which pixels lie in the box of their image."""
    size = like.shape[-1]
    inside = np.zeros((len(rows), 1, size, size), dtype=bool)
    for mask, of_rows, of_columns in zip(inside[:, 0], rows, columns, strict=True):
        mask[of_rows, of_columns] = True
    return sent(inside, like.device)


@dataclass(frozen=True)
class CutoutEach:
    holes: tuple[Cutout, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls(tuple(Cutout.draw(rng, 1, image_size) for _ in range(batch_size)))

    def apply(self, batch: Batch) -> Tensor:
        rows, columns = zip(*(hole.hole(batch.image_size) for hole in self.holes), strict=True)
        return batch.images.masked_fill(_inside(list(rows), list(columns), batch.images), 0.0)


@dataclass(frozen=True)
class PolicyEach:
    decisions: tuple[PolicyDecision, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls(tuple(PolicyDecision.draw(rng, 1, image_size) for _ in range(batch_size)))

    def apply(self, batch: Batch) -> Tensor:
        images = zip(self.decisions, torch.split(batch.round_tripped, 1), strict=True)
        changed = [decision.transform(image) for decision, image in images]
        return batch.palette.normalise(torch.cat(changed))


@dataclass(frozen=True)
class MixupEach:
    """One share per image, `shares` float64 [B]."""

    shares: NDArray[np.float64]
    permutation: tuple[int, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        permutation = Mixup.draw(rng, batch_size, image_size).permutation
        return cls(rng.random(batch_size), permutation)

    def apply(self, batch: Batch) -> Tensor:
        images = batch.images
        shares = sent(self.shares.astype(np.float32), images.device)[:, None, None, None]
        other = permuted(images, self.permutation)
        return shares * images + (1 - shares) * other


@dataclass(frozen=True)
class CutMixEach:
    boxes: tuple[CutMix, ...]
    permutation: tuple[int, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        permutation = CutMix.draw(rng, batch_size, image_size).permutation
        boxes = tuple(CutMix.draw(rng, 1, image_size) for _ in range(batch_size))
        return cls(boxes, permutation)

    def apply(self, batch: Batch) -> Tensor:
        images = batch.images
        rows, columns = zip(*(box.box(batch.image_size) for box in self.boxes), strict=True)
        other = permuted(images, self.permutation)
        return torch.where(_inside(list(rows), list(columns), images), other, images)
