"""Bootstrap: how far a coefficient would move with other seeds, or with other augmentations.

Over seeds. The augmentations stay; their means move by residuals redrawn within each cell, from a fit in which a
shift that a seed gives to all augmentations alike is no noise (`analysis.blocks`): it leaves the coefficients
unchanged. A cell of one seed has the noise of the others.
The interval is about the coefficient that studies with as many seeds have on average. Cell means carry seed noise
already and the redraw adds it again, so redrawn coefficients lie nearer to 0 than that one by about as much as the
estimate lies nearer to 0 than the coefficient without noise. Percentiles alone would exclude the estimate itself
where many panels are pooled; the interval is the hull of them and of the same shifted to the estimate.
How often it holds what it says: `benchmarks/interval_coverage.py`.

Over augmentations. Points are drawn with replacement, cell means as they are: they already carry the noise of
their seeds, and drawing at both levels would count it twice (Davison & Hinkley, Bootstrap Methods and their
Application, 1997, section 3.8).

For the rank coefficients of one panel there is a better way (`analysis.rank_intervals`); Spearman's, pooled, is the
hull. Else intervals over augmentations are bias-corrected and accelerated (BCa: Efron, J. Am. Stat. Assoc. 82, 1987,
p. 171): with z0 the normal quantile of the share of draws below the estimate, ties counted by half, and a from
the jackknife, the ends are the draws' quantiles at Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for z = -1.96, 1.96.
At n = 9 they cover Pearson's coefficient better than percentiles (`benchmarks/interval_coverage.py`). Where every
draw equals the estimate, the data cannot say how far the coefficient might be from it, and there is no interval.

Draws are addressed, not carried: which of a cell's residuals are drawn depends on the cell and the seed alone. So a
cell that panels share, such as one teacher's T. stddev, moves in all of them together.
"""

import functools
import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.coefficients import Array

SAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """From low to high; both nan where it is undefined."""

    low: float
    high: float


LEAST_POINTS = 5
"""Of an interval over augmentations from redraws: three and four points make too few different samples."""

UNDEFINED = Interval(math.nan, math.nan)
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Bootstrap:
    """How many samples are drawn, and from which seed."""

    num_samples: int = SAMPLES
    seed: int = 0

    def of_cell(self, size: int, num_choices: int, address: str) -> NDArray[np.intp]:
        """[num_samples, size] which of some residuals stand for the noise of a cell's values in each sample."""
        return _cell_choice(size, num_choices, address, self.num_samples, self.seed)

    def of_points(self, n: int) -> NDArray[np.intp]:
        """[num_samples, n] which points each sample is made of."""
        generator = np.random.default_rng([self.seed, n])
        return generator.integers(n, size=(self.num_samples, n))


@functools.lru_cache(maxsize=256)
def _cell_choice(
    size: int, num_choices: int, address: str, num: int, seed: int
) -> NDArray[np.intp]:
    hashed = int.from_bytes(hashlib.sha256(address.encode()).digest()[:16], "big")
    return np.random.default_rng([seed, hashed]).integers(num_choices, size=(num, size))


def hull_interval(
    draws: Array, estimate: float, level: float = LEVEL, furthest: float = 1.0
) -> Interval:
    """From percentiles of draws, or of the same shifted to have the estimate as their mean, to the further one.

    Args:
        draws: [m] redrawn coefficients; those that are not finite are dropped.
        estimate: the coefficient as it is.
        level: of confidence.
        furthest: what such a number can be at most, and with a minus at least.

    Returns:
        The interval, cut to that; undefined unless more than half of the draws are finite and it has a width.
    """
    finite = _finite(draws)
    if finite is None:
        return UNDEFINED
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    shift = estimate - finite.mean()
    return with_a_width(
        max(low + min(shift, 0.0), -furthest), min(high + max(shift, 0.0), furthest)
    )


def joined(one: Interval, other: Interval) -> Interval:
    """The least interval that holds both; undefined where one is."""
    if math.isnan(one.low) or math.isnan(other.low):
        return UNDEFINED
    return Interval(min(one.low, other.low), max(one.high, other.high))


def shifted_interval(draws: Array, estimate: float, level: float = LEVEL) -> Interval:
    """Percentiles of draws, shifted to have the estimate as their mean, and cut to -1..1.

    For an estimate that is not pulled towards 0 as the draws are. Undefined as `hull_interval` is.
    """
    finite = _finite(draws)
    if finite is None:
        return UNDEFINED
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]) + estimate - finite.mean()
    return with_a_width(max(low, -1.0), min(high, 1.0))


def bca_interval(draws: Array, estimate: float, left_out: Array, level: float = LEVEL) -> Interval:
    """The BCa interval of an estimate.

    Args:
        draws: [m] redrawn estimates; those that are not finite are dropped.
        estimate: over all points.
        left_out: [n] estimates without one point each; those that are not finite are dropped.
        level: of confidence.

    Returns:
        The interval; undefined below `LEAST_POINTS`, and unless more than half of the draws are finite and not all
        equal.
    """
    from scipy.special import ndtr, ndtri

    finite = _finite(draws)
    if len(left_out) < LEAST_POINTS or finite is None or np.ptp(finite) < _ROUNDING:
        return UNDEFINED
    ties = np.abs(finite - estimate) < _ROUNDING
    below = ((finite < estimate) & ~ties).mean() + ties.mean() / 2
    # Kept half a draw away from 0 and 1: with all draws on one side z0 would be infinite.
    z0 = ndtri(np.clip(below, 0.5 / len(finite), 1 - 0.5 / len(finite)))
    moves = left_out[np.isfinite(left_out)]
    moves = moves.mean() - moves if len(moves) else moves
    squares = (moves**2).sum()
    acceleration = (moves**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    # |a| is below 1/6 and, up to 18,000 draws at 95%, |z| below 6: the divisor stays above 0.
    z = z0 + ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(finite, ndtr(z0 + z / (1 - acceleration * z)))
    return with_a_width(low, high)


def with_a_width(low: float, high: float) -> Interval:
    """Where nearly all draws are the same, the data cannot say how far the coefficient might be from it."""
    return Interval(float(low), float(high)) if high - low > _ROUNDING else UNDEFINED


def _finite(draws: Array) -> Array | None:
    finite = draws[np.isfinite(draws)]
    return finite if 2 * len(finite) > len(draws) else None
