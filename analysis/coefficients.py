"""Pearson, Spearman and Kendall (tau-b) of many samples at once.

All three are one formula, the generalised correlation coefficient of Daniels (Biometrika 33, 1944, p. 129):

    G = sum_ij a_ij b_ij / sqrt(sum_ij a_ij^2 * sum_ij b_ij^2)

with a_ij = x_i - x_j (Pearson), the difference of midranks (Spearman), sign(x_i - x_j) (Kendall's tau-b).
For the first two the double sum is that of the centred values themselves, so each coefficient is the cosine
of two `scores`: what a permutation of y permutes, and all that a permutation test needs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

NAMES = ("pearson", "spearman", "kendall")
"""The order of the coefficients in every array of this package."""

_BLOCK = 2**24
"""Signs held at once; bounds the memory of many samples of many points."""


@dataclass(frozen=True)
class Scores:
    """What a sample's coefficients are the cosines of, each of length 1 (nan where x is constant)."""

    values: Array
    """[..., n] centred values."""

    ranks: Array
    """[..., n] centred midranks."""

    signs: Array
    """[..., n, n] signs of all differences."""


def scores(x: ArrayLike) -> Scores:
    """The scores of samples [..., n]."""
    xs = np.asarray(x, dtype=np.float64)
    signs = np.sign(xs[..., :, None] - xs[..., None, :])
    # Centred by the first value too, so that equal values, however large, are exactly 0.
    shifted = xs - xs[..., :1]
    values = shifted - shifted.mean(-1, keepdims=True)
    return Scores(
        values=_unit(values, axes=(-1,)),
        ranks=_unit(signs.sum(-1), axes=(-1,)),
        signs=_unit(signs, axes=(-2, -1)),
    )


def coefficients(x: ArrayLike, y: ArrayLike) -> Array:
    """[..., 3]: Pearson, Spearman and Kendall (tau-b) of the samples x, y: [..., n].

    nan where a sample has fewer than two different values, or a value that is not finite.

    Raises:
        ValueError: the shapes differ.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.shape != ys.shape or xs.ndim == 0:
        raise ValueError(f"samples of one shape are needed, not {xs.shape} and {ys.shape}")
    shape, n = xs.shape[:-1], xs.shape[-1]
    if n == 0:
        return np.full((*shape, len(NAMES)), np.nan)
    flat_x, flat_y = xs.reshape(-1, n), ys.reshape(-1, n)
    step = max(1, _BLOCK // n**2)
    blocks = [
        _cosines(scores(flat_x[i : i + step]), scores(flat_y[i : i + step]))
        for i in range(0, len(flat_x), step)
    ]
    return np.concatenate(blocks).reshape(*shape, len(NAMES))


def leave_one_out(x: Array, y: Array) -> Array:
    """[n, 3] coefficients without the i-th point of x, y: [n]."""
    n = len(x)
    kept = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=np.intp)
    return coefficients(x[kept.reshape(n, -1)], y[kept.reshape(n, -1)])


def _cosines(x: Scores, y: Scores) -> Array:
    parts = (
        np.einsum("bi,bi->b", x.values, y.values),
        np.einsum("bi,bi->b", x.ranks, y.ranks),
        np.einsum("bij,bij->b", x.signs, y.signs),
    )
    return np.asarray(np.clip(np.stack(parts, axis=-1), -1.0, 1.0))


def _unit(a: Array, axes: tuple[int, ...]) -> Array:
    norm = np.sqrt((a * a).sum(axes, keepdims=True))
    return np.asarray(np.divide(a, norm, out=np.full_like(a, np.nan), where=norm > 0))
