"""The slope within teachers: how loss goes with T. stddev among one teacher's augmentations, for all teachers at once.

Teachers differ in their levels of T. stddev and of loss, which is no answer to which augmentation one should choose.
The repeated-measures correlation (Bland, Altman, BMJ 310, 1995, p. 446; Bakdash, Marusich, Front. Psychol. 8, 2017,
article 456) takes these levels out and fits one slope to what is left. With x and y centred for each teacher,

    slope = sum_ta x_ta y_ta / sum_ta x_ta^2        r = sum_ta x_ta y_ta / sqrt(sum_ta x_ta^2  sum_ta y_ta^2)

over T teachers and n augmentations, with T (n - 1) - 1 degrees of freedom. A teacher's pairs share its T. stddev, so
their losses (and T. stddev, where a pick makes them differ) are averaged first; else each pair would count as a
teacher. Other than the mean of teachers' coefficients, a teacher counts the more the further its points spread.

`by_freedom` is the interval that goes with the degrees of freedom: tanh(artanh(r) -/+ 1.96 / sqrt(freedom - 1)). It
takes what one augmentation does beside the line as independent from teacher to teacher. It is not, where an
augmentation is better, for all teachers, than its T. stddev tells; `over_augmentations` redraws the augmentations for
all teachers together (BCa: `analysis.bootstrap`) and makes no such assumption.
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis.bootstrap import LEVEL, UNDEFINED, Bootstrap, Interval, bca_interval
from analysis.coefficients import Array

_NOTHING = 1e-12
"""Of the size of values: by less they do not differ."""


@dataclass(frozen=True)
class WithinTeachers:
    """The common slope of teachers.

    Attributes:
        slope: S. test loss for each unit of T. stddev.
        r: the repeated-measures correlation; nan where x or y is constant within all teachers.
        freedom: its degrees of freedom.
        by_freedom: its interval, were teachers independent.
        over_augmentations: its interval, if other augmentations had been taken.
    """

    slope: float
    r: float
    freedom: int
    by_freedom: Interval
    over_augmentations: Interval


def within_teachers(x: Array, y: Array, bootstrap: Bootstrap) -> WithinTeachers:
    """Of T. stddev and S. test loss: [T, n] each, three augmentations or more."""
    num_teachers, n = x.shape
    r = float(repeated_measures(x, y))
    centred = _centred(x)
    squares = float((centred**2).sum())
    freedom = num_teachers * (n - 1) - 1
    chosen = bootstrap.of_points(n)
    left_out = np.array(
        [repeated_measures(np.delete(x, i, axis=1), np.delete(y, i, axis=1)) for i in range(n)]
    )
    draws = repeated_measures(x[:, chosen].swapaxes(0, 1), y[:, chosen].swapaxes(0, 1))
    return WithinTeachers(
        slope=float((centred * y).sum() / squares) if squares > 0 else math.nan,
        r=r,
        freedom=freedom,
        by_freedom=_by_freedom(r, freedom),
        over_augmentations=UNDEFINED if math.isnan(r) else bca_interval(draws, r, left_out),
    )


def repeated_measures(x: Array, y: Array) -> Array:
    """[...] repeated-measures correlation of x, y: [..., T, n]; nan where one is constant within all teachers."""
    xs, ys = _centred(x), _centred(y)
    products, x2, y2 = ((a * b).sum((-2, -1)) for a, b in ((xs, ys), (xs, xs), (ys, ys)))
    norm = np.sqrt(x2 * y2)
    r = np.divide(products, norm, out=np.full_like(norm, np.nan), where=norm > 0)
    return np.asarray(np.clip(r, -1.0, 1.0))


def _centred(values: Array) -> Array:
    """Within teachers: [..., T, n] minus each teacher's mean; equal values are exactly 0."""
    shifted = values - values[..., :1]
    centred = shifted - shifted.mean(-1, keepdims=True)
    # Means over a teacher's pairs are rounded, and differ by that where the pairs' values are equal.
    reach = np.abs(values).max(-1, keepdims=True)
    return np.where(np.abs(shifted).max(-1, keepdims=True) <= _NOTHING * reach, 0.0, centred)


def _by_freedom(r: float, freedom: int, level: float = LEVEL) -> Interval:
    from scipy.special import ndtri

    if math.isnan(r) or abs(r) >= 1 or freedom < 2:
        return UNDEFINED
    reach = float(ndtri((1 + level) / 2)) / math.sqrt(freedom - 1)
    return Interval(math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach))
