"""Intervals over augmentations for one panel's Spearman and Kendall coefficients.

Ranks take few values at n = 9. Resampled points tie, which no new augmentation would, so bootstrap intervals of
rank coefficients are off at such n; and those of Fisher's z (Fieller, Hartley, Pearson, Biometrika 44, 1957,
p. 470; Bonett, Wright, Psychometrika 65, 2000, p. 23) hold 79 to 100% and do not exist where a coefficient is 1,
as several of the paper's are. What is used instead has neither fault: the test inverted.

Let T be the coefficient of n points of a bivariate normal distribution with correlation rho, or of any
distribution that monotone maps of its axes make one (a normal copula), since ranks see no such map. The interval
of an observed t are the rho that do not make t surprising,

    P(T >= t | rho) >= 2.5%   and   P(T <= t | rho) >= 2.5%,

as Clopper and Pearson (Biometrika 26, 1934, p. 404) do for a share. It is told as the coefficient that n points
have on average at its ends, E[T | low] to E[T | high]. For Kendall that is the population's,
(2 / pi) arcsin(rho), whatever n is; for Spearman a little nearer to 0 than the population's (Moran,
Biometrika 35, 1948, p. 203):

    E[T | rho] = (n - 2) / (n + 1) * (6 / pi) arcsin(rho / 2)  +  3 / (n + 1) * (2 / pi) arcsin(rho)

It holds its level or more for normal copulas, since ranks take steps. Where t = 1 it reaches up to 1, and down to
the rho at which so perfect an order comes up 2.5% of the time. With three points it says next to nothing, and says so.
For other shapes the level was measured, beside that of other intervals: `benchmarks/rank_interval_coverage.py`.

Both tails come from simulated samples, the same for every rho: x and e are drawn once, and
y = rho x + sqrt(1 - rho^2) e. As rho grows, pairs of points turn concordant and none turns back, so that every
sample's coefficient, and with it each tail, is monotone in rho.
Beyond `SIMULATED_UP_TO` points, where ranks are fine-grained, it is Fisher's z with the variances of Bonett and
Wright.

Ties within x or y, which means of measurements hardly have, are taken as what tau-b and midranks make of them.
"""

import functools
import math

import numpy as np

from analysis.bootstrap import LEVEL, UNDEFINED, Interval
from analysis.coefficients import NAMES, Array, coefficients

RANKS = ("spearman", "kendall")
SIMULATED_UP_TO = 30
NUM_SAMPLES = 4_000
_CORRELATIONS = np.tanh(np.linspace(-4.0, 4.0, 65))
"""Where tails are simulated; between them they are interpolated on the scale of z = artanh(rho)."""

_SEED = 0
_ROUNDING = 1e-9


def rank_interval(name: str, value: float, n: int, level: float = LEVEL) -> Interval:
    """The interval over augmentations of a rank coefficient.

    Args:
        name: `spearman` or `kendall`.
        value: the coefficient.
        n: points that it is of.
        level: of confidence.

    Returns:
        The interval; undefined below three points, or where the value is.
    """
    if n < 3 or math.isnan(value):
        return UNDEFINED
    if n > SIMULATED_UP_TO:
        return _of_fishers_z(name, value, n, level)
    return Interval(
        _lower_end(name, value, n, (1 - level) / 2),
        -_lower_end(name, -value, n, (1 - level) / 2),
    )


def _lower_end(name: str, value: float, n: int, tail: float) -> float:
    """The mean coefficient at the lowest rho that gives the value, or more, as often as `tail`.

    What gives -value or less at -rho gives value or more at rho: the upper end is this one, mirrored.
    """
    at_least = (_simulated(n)[:, :, NAMES.index(name)] >= value - _ROUNDING).mean(1)
    if at_least[0] >= tail:
        return -1.0
    z = np.interp(tail, at_least, np.arctanh(_CORRELATIONS))
    return mean_coefficient(name, math.tanh(z), n)


def mean_coefficient(name: str, rho: float, n: int) -> float:
    """What n points of a normal copula with correlation rho have on average."""
    kendall = 2 / math.pi * math.asin(rho)
    if name == "kendall":
        return kendall
    return ((n - 2) * 6 / math.pi * math.asin(rho / 2) + 3 * kendall) / (n + 1)


@functools.lru_cache(maxsize=8)
def _simulated(n: int) -> Array:
    """[R, NUM_SAMPLES, 3] coefficients of the same samples of n points at each of the correlations."""
    x, e = np.random.default_rng([_SEED, n]).standard_normal((2, NUM_SAMPLES, n))
    return np.stack([coefficients(x, rho * x + math.sqrt(1 - rho**2) * e) for rho in _CORRELATIONS])


def _of_fishers_z(name: str, value: float, n: int, level: float) -> Interval:
    from scipy.special import ndtri

    if abs(value) >= 1 - _ROUNDING:
        return UNDEFINED
    variance = (1 + value**2 / 2) / (n - 3) if name == "spearman" else 0.437 / (n - 4)
    z, reach = math.atanh(value), float(ndtri((1 + level) / 2)) * math.sqrt(variance)
    return Interval(math.tanh(z - reach), math.tanh(z + reach))
