"""Bootstrap: how far a coefficient would move with other seeds, or with other augmentations.

Over seeds. The augmentations stay; each cell's mean is redrawn from its own seeds. Of S seeds, the mean of a
resample varies (S - 1) / S times as much as the mean itself, which matters at S = 3; so its deviation is
stretched by sqrt(S / (S - 1)) (Rao & Wu, J. Am. Stat. Assoc. 83, 1988, p. 231). A cell of one seed stays where
it is. Cells are redrawn independently: a shift that a seed gives to all augmentations alike would leave the
coefficients unchanged, and this does not use it, so the interval errs on the wide side.
The interval is about the coefficient that studies with S seeds have on average. Seed noise attenuates that one:
it lies nearer to 0 than the coefficient without noise, of which the interval says less the larger the noise is.

Over augmentations. Points are drawn with replacement, cell means as they are: they already carry the noise of
their seeds, and drawing at both levels would count it twice (Davison & Hinkley, Bootstrap Methods and their
Application, 1997, section 3.8).

Intervals over augmentations are bias-corrected and accelerated (BCa: Efron, J. Am. Stat. Assoc. 82, 1987,
p. 171): with z0 the normal quantile of the share of draws below the estimate, ties counted by half, and a from
the jackknife, the ends are the draws' quantiles at Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for z = -1.96, 1.96.
At n = 9 they cover better than percentiles (`benchmarks/interval_coverage.py`). Where every draw equals the
estimate, as for a rank coefficient of exactly 1, the data cannot say how far it might be from 1, and there is
no interval.
Intervals over seeds are percentiles: they are not of the kind whose bias a jackknife over points could tell.

Draws are addressed, not carried: those of a cell depend on the cell and the seed alone. So a cell that panels
share, such as one teacher's T. stddev, moves in all of them together, and a filter changes no interval.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
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


UNDEFINED = Interval(math.nan, math.nan)
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Bootstrap:
    """How many samples are drawn, and from which seed."""

    num_samples: int = SAMPLES
    seed: int = 0

    def of_cell(self, values: Sequence[float], address: str) -> Array:
        """[num_samples] redrawn means of one cell's values over seeds."""
        return _cell_draws(tuple(values), address, self.num_samples, self.seed)

    def of_points(self, n: int) -> NDArray[np.intp]:
        """[num_samples, n] which points each sample is made of."""
        generator = np.random.default_rng([self.seed, n])
        return generator.integers(n, size=(self.num_samples, n))


@functools.lru_cache(maxsize=1024)
def _cell_draws(values: tuple[float, ...], address: str, num: int, seed: int) -> Array:
    seen = np.array(values)
    mean, size = seen.mean(), len(seen)
    if size == 1:
        return np.full(num, mean)
    hashed = int.from_bytes(hashlib.sha256(address.encode()).digest()[:16], "big")
    chosen = np.random.default_rng([seed, hashed]).integers(size, size=(num, size))
    stretch = np.sqrt(size / (size - 1))
    return np.asarray(mean + stretch * (seen[chosen].mean(axis=1) - mean))


def percentile_interval(draws: Array, level: float = LEVEL) -> Interval:
    """The middle `level` of the finite draws [m]; undefined unless more than half are finite."""
    finite = _finite(draws)
    if finite is None:
        return UNDEFINED
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bca_interval(draws: Array, estimate: float, left_out: Array, level: float = LEVEL) -> Interval:
    """The BCa interval of an estimate.

    Args:
        draws: [m] redrawn estimates; those that are not finite are dropped.
        estimate: over all points.
        left_out: [n] estimates without one point each; those that are not finite are dropped.
        level: of confidence.

    Returns:
        The interval; undefined unless more than half of the draws are finite and not all equal.
    """
    from scipy.special import ndtr, ndtri

    finite = _finite(draws)
    if finite is None or np.ptp(finite) < _ROUNDING:
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
    return Interval(float(low), float(high))


def _finite(draws: Array) -> Array | None:
    finite = draws[np.isfinite(draws)]
    return finite if 2 * len(finite) > len(draws) else None
