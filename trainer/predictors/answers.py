"""How sure the teacher is of augmented images: the mean entropy and the mean confidence of its answers."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor

from trainer.keeper import Row

NAMES = ("entropy", "confidence")
COUNTS, SUMS = "answers.counts", "answers.sums"
"""The names of its state in a checkpoint."""


class _Sums(NamedTuple):
    """Over steps, float64 [2] each: of n images with the sum s, less what `first` would give, d = s - n * first."""

    first: Tensor
    """The means of the first step: near all others, so that little is lost in rounding."""
    deviation: Tensor
    """sum of d"""
    squared: Tensor
    """sum of d * d"""
    by_images: Tensor
    """sum of d * n"""


class AugmentedAnswers:
    """Running means over all augmented images, in constant memory.

    It looks at the augmented images m alone, those of every step so far: no original image, and no window. With p
    the teacher's probabilities of an image at temperature 1, entropy is the mean of -sum_c p_c ln p_c in nats
    (0 ln 0 = 0), confidence the mean of max_c p_c, in 0..1; both in float64.

        answers = AugmentedAnswers()
        for m in steps:
            answers.update(softmax(teacher(m)))
        answers.values() == {"entropy": ..., "entropy_stderr": ..., "confidence": ..., "confidence_stderr": ...}
    """

    def __init__(self) -> None:
        self._steps = 0
        self._images = 0
        self._squared_images = 0
        self._sums: _Sums | None = None

    def update(self, mixed_probabilities: Tensor) -> None:
        """Add one step: float [B', C] of its augmented images. Waits for no device."""
        p, images = mixed_probabilities.double(), len(mixed_probabilities)
        step = torch.stack([torch.special.entr(p).sum(), p.amax(1).sum()])
        sums = self._sums or _Sums(step / images, *torch.zeros_like(step).expand(3, -1))
        deviation = step - images * sums.first
        self._sums = _Sums(
            sums.first,
            sums.deviation + deviation,
            sums.squared + deviation.square(),
            sums.by_images + deviation * images,
        )
        self._steps += 1
        self._images += images
        self._squared_images += images**2

    def values(self) -> Row:
        """Each mean and its standard error, by name; nan where undefined.

        Steps are what is independent: the images of one step share the scheme's decisions. The standard error is
        that of a ratio of sums over k steps (Cochran, Sampling Techniques, 1977, section 6.4),
        sqrt( k / (k-1) * sum_i (s_i - n_i mean)^2 ) / sum_i n_i; nan with fewer than two steps.
        """
        if self._sums is None:
            return {name: math.nan for key in NAMES for name in (key, f"{key}_stderr")}
        moved = self._sums.deviation / self._images
        squares = self._sums.squared - 2 * moved * self._sums.by_images
        squares = (squares + moved.square() * self._squared_images).clamp(min=0)
        means = (self._sums.first + moved).tolist()
        errors = [math.nan] * len(NAMES)
        if self._steps > 1:
            factor = self._steps / (self._steps - 1)
            errors = ((squares * factor).sqrt() / self._images).tolist()
        found: dict[str, float] = {}
        for name, mean, error in zip(NAMES, means, errors, strict=True):
            found |= {name: mean, f"{name}_stderr": error}
        return found

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on from here, as tensors."""
        counts = torch.tensor([self._steps, self._images, self._squared_images])
        sums = {} if self._sums is None else {SUMS: torch.stack(self._sums).cpu()}
        return {COUNTS: counts} | sums

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], device: torch.device) -> Self | None:
        """What was saved; None where it was not: a checkpoint of a kdsweep that did not measure this."""
        if COUNTS not in state:
            return None
        answers = cls()
        answers._steps, answers._images, answers._squared_images = state[COUNTS].tolist()
        if SUMS in state:
            answers._sums = _Sums(*state[SUMS].to(device).unbind())
        return answers
