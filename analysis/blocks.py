"""Seeds as blocks: means that a missing trial does not shift, and the noise that is left.

All augmentations of a seed see the same batches and start alike, so a seed may shift all of them. With y_ak the
value of augmentation a at seed k,

    y_ak = mu_a + s_k + e_ak

is fitted by least squares, a randomised block design (Montgomery, Design and Analysis of Experiments,
chapter 4). An augmentation's mean is mu_a plus the mean of s_k over the seeds that at least half of the
augmentations have. Where no trial is missing that is the plain mean; where one is, it is what the mean would
be on the others' seeds.

The noise of one value is sqrt(sum of squared residuals / degrees of freedom). The residuals e_ak, each divided by
sqrt(1 - h) with its leverage h, vary as the noise does (Davison & Hinkley, Bootstrap Methods and their Application,
1997, chapter 6); those of leverage 1 tell nothing, as that of the only value of a cell or a seed. Redrawn within
their cell, or over all where a cell has none that tell, they say how far the means would move with other seeds,
but for a shift that all share, which no coefficient sees.

Augmentations that share no seed with others, directly or through others, are a fit of their own; one that
stands alone, as imported runs do whose seeds are unknown, has no s_k.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.coefficients import Array

_NOTHING = 1e-9


class Replicated(Protocol):
    """The values of one augmentation, by seed."""

    @property
    def seeds(self) -> tuple[int, ...]: ...

    @property
    def values(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class Fit:
    """Augmentations fitted together.

    Attributes:
        means: [A]; nan for an augmentation without a value.
        residuals: per augmentation those that tell of noise, scaled to its variance and centred.
        weights: [A, N], which makes means of values in order of augmentation and seed.
        noise: standard deviation of one value; nan without a degree of freedom.
        num_parts: sets of augmentations that share seeds; of several parts the means are not comparable.
    """

    means: Array
    residuals: tuple[Array, ...]
    weights: Array
    noise: float
    num_parts: int

    @property
    def tells_of_noise(self) -> bool:
        return not math.isnan(self.noise)

    def choices(self, augmentation: int) -> Array:
        """What stands for the noise of an augmentation's values: its own residuals, or all where it has none."""
        own = self.residuals[augmentation]
        return own if len(own) > 1 else np.concatenate(self.residuals)


def fit(cells: Sequence[Replicated]) -> Fit:
    """Fit the values of several augmentations, in order; equal ones are fitted once."""
    return _fitted(tuple(cells))


@functools.lru_cache(maxsize=512)
def _fitted(cells: tuple[Replicated, ...]) -> Fit:
    sizes = [len(cell.seeds) for cell in cells]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    y = np.array([value for cell in cells for value in cell.values], dtype=np.float64)
    weights, hat = np.zeros((len(cells), len(y))), np.zeros((len(y), len(y)))
    parts = list(_connected(cells))
    for part in parts:
        where = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in part])
        solver, design, target = _system([cells[i].seeds for i in part])
        weights[np.ix_(np.array(part), where)] = target @ solver
        hat[np.ix_(where, where)] = design @ solver
    # Shifted, so that equal values have equal means, whatever is lost in rounding.
    shift = y[0] if len(y) else 0.0
    means = weights @ (y - shift) + shift
    means[np.array(sizes) == 0] = np.nan
    residuals = y - hat @ y
    residuals[np.abs(residuals) < _NOTHING * np.abs(y).max(initial=0)] = 0
    free = 1 - np.diagonal(hat)
    tells = free > _NOTHING
    freedom = round(float(free.sum()))
    noise = math.sqrt(float((residuals**2).sum()) / freedom) if freedom else math.nan
    scaled = residuals / np.sqrt(np.where(tells, free, 1.0))
    return Fit(
        means=means,
        residuals=tuple(
            _centred(scaled[start:end][tells[start:end]])
            for start, end in itertools.pairwise(starts)
        ),
        weights=weights,
        noise=noise,
        num_parts=len(parts),
    )


def _centred(values: Array) -> Array:
    return values - values.mean() if len(values) else values


def _system(seeds: Sequence[tuple[int, ...]]) -> tuple[Array, Array, Array]:
    """What gives parameters of values [A + S, N], values of parameters [N, A + S], means of parameters [A, A + S]."""
    blocks = sorted({seed for of_cell in seeds for seed in of_cell}) if len(seeds) > 1 else []
    place = {seed: len(seeds) + k for k, seed in enumerate(blocks)}
    design = np.zeros((sum(map(len, seeds)), len(seeds) + len(blocks)))
    row = 0
    for i, of_cell in enumerate(seeds):
        for seed in of_cell:
            design[row, i] = 1
            if blocks:
                design[row, place[seed]] = 1
            row += 1
    usual = [seed for seed in blocks if 2 * sum(seed in of_cell for of_cell in seeds) >= len(seeds)]
    target = np.eye(len(seeds), design.shape[1])
    for seed in usual or blocks:
        target[:, place[seed]] = 1 / len(usual or blocks)
    return np.asarray(np.linalg.pinv(design), dtype=np.float64), design, target


def _connected(cells: Sequence[Replicated]) -> Iterator[list[int]]:
    """The augmentations that have values, in sets that share seeds."""
    left = [i for i, cell in enumerate(cells) if cell.seeds]
    while left:
        part, seeds = [left[0]], set(cells[left[0]].seeds)
        while more := [i for i in left if i not in part and not seeds.isdisjoint(cells[i].seeds)]:
            part += more
            seeds.update(*(cells[i].seeds for i in more))
        yield sorted(part)
        left = [i for i in left if i not in part]
