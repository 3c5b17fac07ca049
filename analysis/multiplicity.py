"""p-values of many tests, read together. A p-value of nan is no test: it stays nan and is not counted."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.coefficients import Array


def holm(p: ArrayLike) -> Array:
    """Adjusted p-values [m] that bound the chance of *any* false claim (Holm, Scand. J. Stat. 6, 1979, p. 65).

    With p sorted upwards, p_(i) becomes max over j <= i of min(1, (m - j + 1) p_(j)).
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted, order = np.full_like(values, np.nan), _order(values)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> Array:
    """Adjusted p-values [m] that bound the *share* of false claims among all claims.

    Benjamini & Hochberg, J. R. Stat. Soc. B 57, 1995, p. 289; valid for independent and for positively
    dependent tests. With p sorted upwards, p_(i) becomes min over j >= i of min(1, m p_(j) / j).
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted, order = np.full_like(values, np.nan), _order(values)
    factors = len(order) / np.arange(1, len(order) + 1)
    from_above = np.minimum.accumulate((factors * values[order])[::-1])[::-1]
    adjusted[order] = np.minimum(from_above, 1.0)
    return adjusted


def _order(values: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Places of the finite values, smallest first."""
    return np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
