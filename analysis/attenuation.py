"""Coefficients without seed noise: what infinitely many seeds would show of these augmentations.

Cell means carry seed noise, which spreads points and so pulls coefficients towards 0. The reliability of n means is
the share of their variance that is no noise,

    R = 1 - (noise of a mean)^2 / var(means)        noise of a mean: s / sqrt(S) for S seeds each

with s from `analysis.blocks`, in which a shift that a seed gives to all augmentations alike is no noise; where trials
are missing, the noise is that of the differences between the means as they are fitted. Pearson's coefficient without
noise is r / sqrt(R_x R_y) (Spearman, Am. J. Psychol. 15, 1904, p. 72).
It takes the noise of T. stddev and of S. test loss as independent, which it is: other runs make them.

Rank coefficients are moved by what noise does to those of a bivariate normal distribution with Pearson's coefficient
(Moran, Biometrika 35, 1948, p. 203, for both relations):

    Kendall:    tau + (2 / pi) (arcsin(rho) - arcsin(r))            rho = r / sqrt(R_x R_y)
    Spearman:   r_s + (6 / pi) (arcsin(rho / 2) - arcsin(r / 2))

The distribution is an approximation and the points are few; how good it is, also where they are not normal, beside
simulation and extrapolation (`analysis.simex`), which assumes no shape but scatters more:
`benchmarks/noise_free_coverage.py`.

A coefficient above 1 becomes 1, and is told as clipped. It is undefined where an R is not above 0: then noise alone
spreads the means as far. Below `LOW_RELIABILITY` it hangs on how well the noise is known, and is marked.

Intervals. The redraws over seeds scatter around the estimate as estimates do around the truth; corrected by the
same R, their percentiles are shifted so that the mean of draws is the corrected estimate. For ranks, which take steps
and whose correction is approximate, it is the hull of that and of the percentiles as they are
(`analysis.bootstrap`), as for the interval over seeds; and of one panel it holds that interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.blocks import Replicated, fit
from analysis.bootstrap import Interval, hull_interval, joined, shifted_interval
from analysis.coefficients import NAMES, Array

LOW_RELIABILITY = 0.7


@dataclass(frozen=True)
class Reliability:
    """Shares of the variance of cell means that are no noise, at most 1; nan where nothing tells of the noise."""

    t_stddev: float
    s_test_loss: float

    @property
    def factor(self) -> float:
        """By which noise has multiplied Pearson's coefficient; nan where it is not to be told."""
        shares = (self.t_stddev, self.s_test_loss)
        return math.sqrt(math.prod(shares)) if all(share > 0 for share in shares) else math.nan

    @property
    def is_low(self) -> bool:
        return any(share < LOW_RELIABILITY for share in (self.t_stddev, self.s_test_loss))


@dataclass(frozen=True)
class WithoutNoise:
    """A coefficient without seed noise; nan where a reliability is not above 0, or unknown."""

    value: float
    interval: Interval
    is_clipped: bool
    """Whether it, or one that it is the mean of, was below 1 and is cut to it."""


def reliability(t_stddev: Sequence[Replicated], s_test_loss: Sequence[Replicated]) -> Reliability:
    """Of the cells of one panel."""
    return Reliability(share_without_noise(t_stddev), share_without_noise(s_test_loss))


def share_without_noise(cells: Sequence[Replicated]) -> float:
    """The share of the variance of cell means that is no noise; nan where nothing tells of the noise."""
    fitted, size = fit(cells), len(cells)
    if size < 2 or not fitted.tells_of_noise:
        return math.nan
    # The expected variance over augmentations of what noise alone does to the means.
    centred = fitted.weights - fitted.weights.mean(0)
    of_noise = fitted.noise**2 * (centred**2).sum() / (size - 1)
    variance = float(fitted.means.var(ddof=1))
    is_spread = np.ptp(fitted.means) > _ROUNDING * np.abs(fitted.means).max()
    return float(1 - of_noise / variance) if is_spread else math.nan


def of_normal(rho: ArrayLike) -> Array:
    """[..., 3] the three coefficients of a bivariate normal distribution of Pearson's rho [...]."""
    r = np.asarray(rho, dtype=np.float64)
    return np.stack([r, 6 / math.pi * np.arcsin(r / 2), 2 / math.pi * np.arcsin(r)], axis=-1)


def correct(values: Array, factor: ArrayLike) -> Array:
    """[..., 3] the three coefficients without what has multiplied Pearson's by a factor [...]; cut to -1..1."""
    return np.asarray(np.clip(_uncut(values, factor), -1.0, 1.0))


def beyond_one(values: Array, factor: ArrayLike) -> NDArray[np.bool_]:
    """[..., 3] which of the coefficients are cut to 1, or to -1, when corrected, and were not there before."""
    is_cut = np.abs(_uncut(values, factor)) > 1 + _ROUNDING
    return np.asarray(is_cut & (np.abs(values) < 1 - _ROUNDING))


def _uncut(values: Array, factor: ArrayLike) -> Array:
    seen = values[..., 0]
    free = seen / np.asarray(factor)
    moves = of_normal(np.clip(free, -1.0, 1.0)) - of_normal(seen)
    return np.concatenate([free[..., None], values[..., 1:] + moves[..., 1:]], axis=-1)


def without_noise(
    values: Array,
    draws: Array,
    *,
    is_clipped: NDArray[np.bool_],
    over_seeds: Sequence[Interval] | None = None,
) -> dict[str, WithoutNoise]:
    """What is told of corrected coefficients, by name.

    Args:
        values: [3] corrected.
        draws: [m, 3] corrected redraws over seeds.
        is_clipped: [3].
        over_seeds: [3] intervals of one panel, which those of its ranks are made to hold, and without which they
            are undefined: the true coefficient stands on a step, as the coefficient seen does, and a corrected
            draw between two.
    """
    intervals = [shifted_interval(draws[:, 0], float(values[0]))]
    for k in range(1, len(NAMES)):
        hull = hull_interval(draws[:, k], float(values[k]))
        intervals.append(joined(hull, over_seeds[k]) if over_seeds else hull)
    return {
        name: WithoutNoise(
            value=float(values[k]), interval=intervals[k], is_clipped=bool(is_clipped[k])
        )
        for k, name in enumerate(NAMES)
    }


_ROUNDING = 1e-9
