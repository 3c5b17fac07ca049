"""Schemes that need no pool: identity, flip, crop+flip, cutout, AutoAugment, mixup and one CutMix run.

Each is a decision, drawn once for the whole batch (PAPER.md, section 4), and what it does to a batch:
`draw(rng, batch_size, image_size)` and `apply(batch) -> float32 [B, 3, S, S]`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, Self

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode
from torchvision.transforms.autoaugment import _apply_op as apply_operation

from trainer.augmentations.batch import Batch
from trainer.augmentations.equalize import equalize
from trainer.augmentations.geometry import GEOMETRIC, move_pixels
from trainer.sending import sent


class Scheme(Protocol):
    """A decision for one batch."""

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self: ...

    def apply(self, batch: Batch) -> Tensor: ...


@dataclass(frozen=True)
class Identity:
    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls()

    def apply(self, batch: Batch) -> Tensor:
        return batch.images


@dataclass(frozen=True)
class Flip:
    """The whole batch is mirrored, or not. The byte round trip happens either way."""

    mirrored: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls(bool(rng.random() < 0.5))

    def apply(self, batch: Batch) -> Tensor:
        images = batch.round_tripped
        return batch.palette.normalise(images.flip(3) if self.mirrored else images)


@dataclass(frozen=True)
class CropFlip:
    """One offset for all images after padding by an eighth with black, then one flip."""

    row: int
    column: int
    mirrored: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        row, column = rng.integers(0, 2 * (image_size // 8) + 1, size=2).tolist()
        return cls(row, column, bool(rng.random() < 0.5))

    def apply(self, batch: Batch) -> Tensor:
        size = batch.image_size
        padded = F.pad(batch.round_tripped, (size // 8,) * 4)
        cropped = padded[:, :, self.row : self.row + size, self.column : self.column + size]
        return batch.palette.normalise(cropped.flip(3) if self.mirrored else cropped)


@dataclass(frozen=True)
class Cutout:
    """A square hole of a quarter of the image around (y, x), clipped; the mean colour fills it.

    DeVries & Taylor 2017.
    """

    y: int
    x: int

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        y, x = rng.integers(0, image_size, size=2).tolist()
        return cls(y, x)

    def hole(self, image_size: int) -> tuple[slice, slice]:
        """Rows and columns that are cut out."""
        half = image_size // 8
        rows, columns = (slice(max(centre - half, 0), centre + half) for centre in (self.y, self.x))
        return rows, columns

    def apply(self, batch: Batch) -> Tensor:
        rows, columns = self.hole(batch.image_size)
        images = batch.images.clone()
        images[:, :, rows, columns] = 0
        return images


NUM_LEVELS = 10
"""Magnitudes of an operation, as in torchvision's AutoAugment."""


@lru_cache
def _auto_augment(policy: AutoAugmentPolicy) -> AutoAugment:
    return AutoAugment(policy)


@dataclass(frozen=True)
class PolicyDecision:
    """One sub-policy of AutoAugment for all images: CIFAR10's up to 32 pixels, IMAGENET's above.

    The two operations happen where their `chances` (uniform in 0..1) do not exceed the policy's
    probability; `signs` (0 or 1) turn their magnitudes. Cubuk et al. 2019; the sub-policies and the
    operations are torchvision's.
    """

    policy: int
    chances: tuple[float, float]
    signs: tuple[int, int]

    @staticmethod
    def policy_set(image_size: int) -> AutoAugmentPolicy:
        return AutoAugmentPolicy.CIFAR10 if image_size <= 32 else AutoAugmentPolicy.IMAGENET

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        policy = int(rng.integers(len(_auto_augment(cls.policy_set(image_size)).policies)))
        first, second = rng.random(2).tolist()
        first_sign, second_sign = rng.integers(0, 2, size=2).tolist()
        return cls(policy, (first, second), (first_sign, second_sign))

    def transform(self, images: Tensor) -> Tensor:
        """Uint8 [B, 3, S, S] -> uint8 [B, 3, S, S]."""
        size = images.shape[-1]
        augment = _auto_augment(self.policy_set(size))
        magnitudes = augment._augmentation_space(NUM_LEVELS, (size, size))  # noqa: SLF001 - made to be overridden
        decided = zip(augment.policies[self.policy], self.chances, self.signs, strict=True)
        for (name, probability, level), chance, sign in decided:
            # Compared in single precision, as torchvision does with what it draws.
            if np.float32(chance) > np.float32(probability):
                continue
            levels, is_signed = magnitudes[name]
            magnitude = 0.0 if level is None else float(levels[level])
            images = _operate(images, name, -magnitude if is_signed and not sign else magnitude)
        return images

    def apply(self, batch: Batch) -> Tensor:
        return batch.palette.normalise(self.transform(batch.round_tripped))


def _operate(images: Tensor, name: str, magnitude: float) -> Tensor:
    """One operation of AutoAugment on uint8 [B, 3, S, S]: torchvision's, or its bytes without its waits."""
    if name == "Equalize":
        return equalize(images)
    if name in GEOMETRIC:
        return move_pixels(images, name, magnitude)
    nearest = InterpolationMode.NEAREST
    changed: Tensor = apply_operation(images, name, magnitude, interpolation=nearest, fill=None)
    return changed


def permuted(images: Tensor, permutation: tuple[int, ...]) -> Tensor:
    """The images of a batch in another order."""
    return images[sent(np.array(permutation), images.device)]


@dataclass(frozen=True)
class Mixup:
    """m = share * x + (1 - share) * x[permutation]; share ~ U(0, 1). Zhang et al. 2018."""

    share: float
    permutation: tuple[int, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        return cls(float(rng.random()), tuple(rng.permutation(batch_size).tolist()))

    def apply(self, batch: Batch) -> Tensor:
        other = permuted(batch.images, self.permutation)
        return self.share * batch.images + (1 - self.share) * other


@dataclass(frozen=True)
class CutMix:
    """Inside one box, the images of a permutation without fixed points. Yun et al. 2019.

    `share` ~ U(0, 1) is the part of the image outside the box before clipping; the centre's column is
    drawn before its row. A batch of one image has no other to mix with and stays as it is.
    """

    share: float
    column: int
    row: int
    permutation: tuple[int, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        share = float(rng.random())
        column, row = rng.integers(0, image_size, size=2).tolist()
        in_place = np.arange(batch_size)
        permutation = rng.permutation(batch_size)
        while batch_size > 1 and (permutation == in_place).any():
            permutation = rng.permutation(batch_size)
        return cls(share, column, row, tuple(permutation.tolist()))

    def box(self, image_size: int) -> tuple[slice, slice]:
        """Rows and columns of the box, clipped to the image; it may be empty."""
        half = int(image_size * math.sqrt(1 - self.share)) // 2
        rows, columns = (
            slice(max(centre - half, 0), min(centre + half, image_size))
            for centre in (self.row, self.column)
        )
        return rows, columns

    def apply(self, batch: Batch) -> Tensor:
        rows, columns = self.box(batch.image_size)
        mixed = batch.images.clone()
        other = permuted(batch.images, self.permutation)
        mixed[:, :, rows, columns] = other[:, :, rows, columns]
        return mixed
