"""Power: in how many studies of some augmentations and seeds the test finds a relation that is there.

The model. Over augmentations, T. stddev and S. test loss without noise are bivariate normal with Pearson's rho; a mean
of S seeds has noise of variance u^2 / S and v^2 / S, where u and v are the noise of one seed of either, in standard
deviations over augmentations. Such means are bivariate normal again, with the correlation

    rho_seen = rho / sqrt((1 + u^2 / S) (1 + v^2 / S))        (Spearman, Am. J. Psychol. 15, 1904, p. 72)

so that power hangs on n and rho_seen alone. Rank coefficients ask only that some monotone transformation of either
makes them so. Their true values follow from rho (Kruskal, J. Am. Stat. Assoc. 53, 1958, p. 814):

    Spearman: 6 / pi * arcsin(rho / 2)        Kendall: 2 / pi * arcsin(rho)

The test is the one of `analysis.permutation`, two-sided, each coefficient by itself at a level. Of ranks it is carried
out to the letter: without ties, p follows from the coefficient. For Pearson's coefficient each simulated study has
orders of its own to be compared with: all where they are few, else random ones as above nine augmentations.
Holm's procedure rejects at least what is below 5% / (number of tests), whatever the others are: power at that
level is the least that is left after it.

What a study could have shown is the smallest true coefficient that its test finds in `TARGET` of such studies. It
follows from n and noise, not from the coefficient that was seen: power at that one would be the p-value again,
in other words (Hoenig & Heisey, Am. Stat. 55, 2001, p. 19).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.attenuation import of_normal, share_without_noise
from analysis.blocks import Replicated, fit
from analysis.coefficients import NAMES, Array, coefficients
from analysis.permutation import all_orders, null_of_ranks, random_orders

LEVEL = 0.05
TARGET = 0.8
"""The share of studies in which a relation is to be found."""

SIMULATIONS = 2_000
"""Studies; a share of 50% is known to +- 2%."""

MOST_AUGMENTATIONS = 40
"""Simulated; beyond, nearly any relation is found."""

_BLOCK = 250
_GRID = tuple(np.linspace(0.05, 1.0, 20).tolist())
_TOLERANCE = 1e-10
_SINGLE_PRECISION = 1e-5
"""Orders that tie with the one seen, but for rounding, count as extreme."""


@dataclass(frozen=True)
class Noise:
    """Of one seed, in standard deviations over augmentations; nan where it is not known."""

    t_stddev: float
    s_test_loss: float

    def seen(self, rho: float, num_seeds: int) -> float:
        """Pearson's correlation of means of some seeds."""
        shares = [1 + noise**2 / num_seeds for noise in (self.t_stddev, self.s_test_loss)]
        return rho / math.sqrt(math.prod(shares))


def noise_of(t_stddev: Sequence[Replicated], s_test_loss: Sequence[Replicated]) -> Noise:
    """As the cells of a panel tell; nan where nothing tells of noise, or noise alone spreads means as far."""
    return Noise(_noise(t_stddev), _noise(s_test_loss))


def _noise(cells: Sequence[Replicated]) -> float:
    share, fitted = share_without_noise(cells), fit(cells)
    return fitted.noise / math.sqrt(share * fitted.means.var(ddof=1)) if share > 0 else math.nan


@functools.lru_cache(maxsize=64)
def power(n: int, seen: tuple[float, ...], levels: tuple[float, ...] = (LEVEL,)) -> Array:
    """[k, L, 3] the share of studies of n augmentations in which p is at most a level [L], for each rho_seen [k].

    Raises:
        ValueError: n is beyond `MOST_AUGMENTATIONS`, or a correlation beyond 1.
    """
    if n > MOST_AUGMENTATIONS:
        raise ValueError(f"power is simulated up to n = {MOST_AUGMENTATIONS}, not {n}")
    if any(abs(rho) > 1 for rho in seen):
        raise ValueError(f"correlations are -1 to 1, not {seen}")
    if n < 3:
        return np.zeros((len(seen), len(levels), len(NAMES)))
    generator = np.random.default_rng([0, n])
    x, other = generator.standard_normal((2, SIMULATIONS, n))
    found = np.zeros((len(seen), len(levels), len(NAMES)))
    for start in range(0, SIMULATIONS, _BLOCK):
        block = slice(start, start + _BLOCK)
        p = _p_values(x[block], other[block], seen, min(levels))
        found += (p[:, None] <= np.array(levels)[:, None, None] + _TOLERANCE).sum(2)
    found /= SIMULATIONS
    found.setflags(write=False)
    return found


def _p_values(x: Array, other: Array, seen: Sequence[float], smallest: float) -> Array:
    """[k, B, 3] p-values of B studies of x [B, n] and rho x + sqrt(1 - rho^2) other, for each of k rho."""
    n = x.shape[1]
    y = [rho * x + math.sqrt(1 - rho**2) * other for rho in seen]
    of_pearson = _p_of_pearson(x, other, seen, smallest)
    null, is_exact = null_of_ranks(n)
    p = np.empty((len(seen), len(x), len(NAMES)))
    for i, values in enumerate(y):
        sizes = np.abs(coefficients(x, values))
        p[i, :, 0] = of_pearson[i]
        for k, name in enumerate(NAMES[1:], start=1):
            as_extreme = len(null[name]) - np.searchsorted(null[name], sizes[:, k] - _TOLERANCE)
            p[i, :, k] = _share(as_extreme, len(null[name]), is_exact=is_exact)
    return p


def _p_of_pearson(x: Array, other: Array, seen: Sequence[float], smallest: float) -> Array:
    """[k, B]. Products with x in some order are sums of two: one pass over the orders serves every rho."""
    n = x.shape[1]
    # Twenty orders as extreme, or more, at the smallest level that is asked for.
    num_orders = max(1_999, math.ceil(20 / smallest) - 1)
    is_exact = math.factorial(n) <= num_orders
    orders = all_orders(n) if is_exact else random_orders(n, 0, num_orders)
    # Which value stands where, [n * n, m]: all orders of all studies are one product of matrices.
    stands = (orders[:, :, None] == np.arange(n)).reshape(len(orders), -1).T
    stands = stands.astype(np.float32)
    centred = x - x.mean(1, keepdims=True)
    of_x, of_other = (_products(centred, values) @ stands for values in (x, other))
    seen_x, seen_other = (centred * x).sum(1), (centred * other).sum(1)
    p = np.empty((len(seen), len(x)))
    for i, rho in enumerate(seen):
        rest = math.sqrt(1 - rho**2)
        threshold = np.abs(rho * seen_x + rest * seen_other) - _SINGLE_PRECISION
        in_order = np.abs(np.float32(rho) * of_x + np.float32(rest) * of_other)
        as_extreme = (in_order >= threshold[:, None].astype(np.float32)).sum(1)
        p[i] = _share(as_extreme, len(orders), is_exact=is_exact)
    return p


def _products(x: Array, y: Array) -> NDArray[np.float32]:
    """[B, n * n] of every value of x [B, n] and every one of y [B, n]."""
    return (x[:, :, None] * y[:, None, :]).reshape(len(x), -1).astype(np.float32)


def _share(as_extreme: ArrayLike, num_orders: int, *, is_exact: bool) -> Array:
    """p-values, as `analysis.permutation` has them."""
    counted = np.asarray(as_extreme, dtype=np.float64)
    return counted / num_orders if is_exact else (counted + 1) / (num_orders + 1)


def smallest_found(t_stddev: Sequence[Replicated], s_test_loss: Sequence[Replicated]) -> Array:
    """[3] the smallest true coefficients that the test finds in `TARGET` of studies with these cells' seeds and noise.

    nan where the noise is not known, or where no coefficient is found so often.
    """
    n = len(t_stddev)
    shares = [share_without_noise(cells) for cells in (t_stddev, s_test_loss)]
    if n > MOST_AUGMENTATIONS or not all(share > 0 for share in shares):
        return np.full(len(NAMES), np.nan)
    rho = _smallest_seen(n) / math.sqrt(math.prod(shares))
    return np.diagonal(of_normal(np.where(rho <= 1, rho, np.nan))).copy()


@functools.cache
def _smallest_seen(n: int) -> Array:
    """[3] the rho_seen that the test of each coefficient finds in `TARGET` of studies; infinite where there is none."""
    found = power(n, _GRID)[:, 0]
    smallest = np.full(len(NAMES), np.inf)
    for k in range(len(NAMES)):
        if found[-1, k] >= TARGET:
            i = int(np.argmax(found[:, k] >= TARGET))
            smallest[k] = np.interp(TARGET, found[i - 1 : i + 1, k], _GRID[i - 1 : i + 1])
    return smallest
