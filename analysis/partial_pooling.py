"""Partial pooling: how much teachers differ, and where a new one would lie.

A pooled mean says nothing of how alike teachers are. Here the coefficient of a teacher (the mean over its pairs,
which share its T. stddev: `analysis.pooling`) is taken as its own true one and seed noise, and the true ones as a
sample of all teachers' (Higgins, Thompson, Spiegelhalter, J. R. Stat. Soc. A 172, 2009, p. 137):

    y_t = theta_t + e_t,    e_t ~ (0, v),    theta_t ~ (mu, tau^2)

theta_t is what studies of this teacher with as many seeds, and these augmentations, have on average. v is the variance
of the redraws over seeds, in which a cell that a teacher's pairs share is redrawn once; teachers share no run, so that
the e_t are independent. The augmentations are the same for all and fixed: nothing here is about others.
v is one for all teachers, the mean of theirs. Single ones hang on the coefficient itself (perfect ranks may be the
same in every redraw, which is no sign that they have no noise), and weights by them would favour the highest.

The scale of y is Fisher's artanh(r) for Pearson, and arcsin(r) for ranks, whose coefficients may be 1, where
Fisher's is infinite; both reach further towards 0 than towards 1 when told as coefficients again.

With equal v restricted maximum likelihood has a closed form, that of the analysis of variance cut at 0. With the mean
m and the variance s^2 (T - 1) of the y_t,

    mu = m        tau^2 = max(0, s^2 - v)        q^2 = max(s^2, v) / T

where q is the standard error of mu by Hartung and Knapp (Stat. Med. 20, 2001, p. 3875), kept from falling below that
of noise alone, since few teachers may agree by chance. The interval of mu is Student's with T - 1 degrees of
freedom; that of a new teacher's theta mu +/- t sqrt(tau^2 + q^2) with T - 2, as in Higgins et al.; Partlett and
Riley (Stat. Med. 36, 2017, p. 301) measured it with REML and this q.
A teacher's own coefficient is drawn to the mean as far as it is noise: mu + (y_t - mu) tau^2 / (tau^2 + v).

With few teachers the interval of a new one is wide; with three it has one degree of freedom and mostly says that
three are too few. How often they hold: `benchmarks/partial_pooling_coverage.py`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.bootstrap import LEVEL, UNDEFINED, Interval
from analysis.coefficients import Array

_NOTHING = 1e-9


@dataclass(frozen=True)
class RandomEffects:
    """Units that are alike but not equal, on any scale.

    Attributes:
        mean: mu.
        error: q, the standard error of mu.
        spread: tau, the standard deviation between units.
        of_units: [T] their values, drawn to the mean.
    """

    mean: float
    error: float
    spread: float
    of_units: Array


@dataclass(frozen=True)
class Hierarchy:
    """Coefficients of units (teachers, or architectures) that are alike but not equal.

    Attributes:
        mean: mu, as a coefficient; nan below two units, or where the noise of one is unknown.
        over_units: the interval of mu.
        next_unit: the interval of a new unit's coefficient; undefined below three units.
        spread: tau, on the scale of y.
        of_units: the units' coefficients, drawn to the mean.
    """

    mean: float
    over_units: Interval
    next_unit: Interval
    spread: float
    of_units: tuple[float, ...]


def hierarchy(name: str, values: Array, draws: Array, level: float = LEVEL) -> Hierarchy:
    """The hierarchy of units.

    Args:
        name: of the coefficient.
        values: [T] of the units.
        draws: [m, T] redrawn over seeds.
        level: of confidence.
    """
    from scipy.special import stdtrit

    size = len(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        y, variances = _scaled(name, values), _scaled(name, draws).var(0, ddof=1)
    if size < 2 or not (np.isfinite(y).all() and np.isfinite(variances).all()):
        return Hierarchy(math.nan, UNDEFINED, UNDEFINED, math.nan, (math.nan,) * size)
    found = random_effects(y, float(variances.mean()))

    def around(freedom: int, error: float) -> Interval:
        # Units that agree wholly, and have no noise, tell of no other.
        if freedom < 1 or error < _NOTHING:
            return UNDEFINED
        reach = float(stdtrit(freedom, (1 + level) / 2)) * error
        ends = _coefficients(name, np.array([found.mean - reach, found.mean + reach]))
        return Interval(*map(float, ends))

    return Hierarchy(
        mean=float(_coefficients(name, np.array(found.mean))),
        over_units=around(size - 1, found.error),
        next_unit=around(size - 2, math.hypot(found.spread, found.error)),
        spread=found.spread,
        of_units=tuple(map(float, _coefficients(name, found.of_units))),
    )


def random_effects(values: Array, variance: float) -> RandomEffects:
    """Of two units or more with values [T] and the variance of their noise."""
    mean, between = float(values.mean()), float(values.var(ddof=1))
    spread_2 = max(0.0, between - variance)
    total = spread_2 + variance
    return RandomEffects(
        mean=mean,
        error=math.sqrt(max(between, variance) / len(values)),
        spread=math.sqrt(spread_2),
        of_units=mean + (values - mean) * (spread_2 / total if total else 0.0),
    )


def mean_by_unit(units: Sequence[object], values: Array) -> Array:
    """[..., U] means of values [..., T] that belong to one unit each, in the order in which units come up."""
    distinct = list(dict.fromkeys(units))
    belongs = np.array([[unit == other for other in distinct] for unit in units], dtype=np.float64)
    return np.asarray(values @ (belongs / belongs.sum(0)))


def _scaled(name: str, coefficients: Array) -> Array:
    scale: Callable[[Array], Array] = np.arctanh if name == "pearson" else np.arcsin
    return scale(coefficients)


def _coefficients(name: str, scaled: Array) -> Array:
    if name == "pearson":
        return np.asarray(np.tanh(scaled))
    return np.asarray(np.sin(np.clip(scaled, -math.pi / 2, math.pi / 2)))
