"""Permutation p-values: exact where all orders can be tried, seeded Monte Carlo above.

The hypothesis: which T. stddev goes with which test loss is arbitrary, so that every order of the losses was
as likely as the one seen. The two-sided p-value is the share of orders whose coefficient is at least as far
from 0 as the one seen (Pitman, J. R. Stat. Soc. Suppl. 4, 1937; Good, Permutation, Parametric and Bootstrap
Tests of Hypotheses, 2005). Up to `EXHAUSTIVE_UP_TO` points all n! orders are tried, the one seen among them,
and the p-value is exact. Above, p = (b + 1) / (m + 1) for b as extreme among m random orders (Phipson & Smyth,
Stat. Appl. Genet. Mol. Biol. 9, 2010, article 39): never 0, and valid for any m.

Several panels are tested together by *one* order for all of them. Whatever panels share (a teacher, a
student, the augmentations themselves) stays shared in every order, so that the test of their mean
coefficient needs no independence between them (Pesarin & Salmaso, Permutation Tests for Complex Data, 2010).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.coefficients import NAMES, Array, Scores, scores

Orders = NDArray[np.int16]
"""[m, n] orders of 0..n-1."""

EXHAUSTIVE_UP_TO = 9
SAMPLES = 99_999
_TOLERANCE = 1e-10
"""Orders that tie with the one seen, but for rounding, count as extreme."""

_BLOCK = 2**22
"""Products held at once."""


@dataclass(frozen=True)
class PermutationTest:
    """Two-sided p-values [3] of the coefficients, nan where undefined."""

    p: Array
    is_exact: bool


def permutation_test(
    samples: Sequence[tuple[Array, Array]],
    weights: Sequence[float] | None = None,
    *,
    seed: int = 0,
    num_samples: int = SAMPLES,
) -> PermutationTest:
    """Test the weighted mean of the coefficients of samples (x, y), each [n], under joint orders of all y.

    Args:
        samples: one or more; the i-th point of all of them is the same augmentation.
        weights: one per sample; equal if left out.
        seed: of the random orders, where n is too large for all.
        num_samples: how many random orders.

    Raises:
        ValueError: no sample, or samples of different lengths.
    """
    lengths = {len(values) for sample in samples for values in sample}
    if len(lengths) != 1:
        raise ValueError(f"samples of one length are needed, not of {sorted(lengths)}")
    (n,) = lengths
    shares = weights or [1 / len(samples)] * len(samples)
    is_exact = n <= EXHAUSTIVE_UP_TO
    orders = all_orders(n) if is_exact else random_orders(n, seed, num_samples)
    if n < 2:
        return PermutationTest(np.full(len(NAMES), np.nan), is_exact)
    scored = [(scores(x), scores(y), w) for x, y, w in zip(*_columns(samples), shares, strict=True)]
    # Coefficients are linear in these products: one table holds the weighted mean of all panels,
    # and an order costs the same for one panel as for twenty.
    by_value = np.asarray(sum(w * np.outer(x.values, y.values) for x, y, w in scored))
    by_rank = np.asarray(sum(w * np.outer(x.ranks, y.ranks) for x, y, w in scored))
    seen = np.arange(n, dtype=np.int16)[None]
    p = []
    for products, ordered in (
        (by_value, partial(_linear, by_value)),
        (by_rank, partial(_linear, by_rank)),
        (by_rank, partial(_of_signs, scored)),  # defined where ranks are
    ):
        if not np.isfinite(products).all():
            p.append(np.nan)
            continue
        threshold = abs(ordered(seen)[0]) - _TOLERANCE
        extreme = int((np.abs(ordered(orders)) >= threshold).sum())
        p.append(extreme / len(orders) if is_exact else (extreme + 1) / (len(orders) + 1))
    return PermutationTest(np.array(p), is_exact)


def _columns(samples: Sequence[tuple[Array, Array]]) -> tuple[list[Array], list[Array]]:
    return [x for x, _ in samples], [y for _, y in samples]


def _linear(table: Array, orders: Orders) -> Array:
    """Sum over i of table[i, order[i]], for all orders [m, n]."""
    total = np.zeros(len(orders))
    for i, row in enumerate(table):
        total += row[orders[:, i]]
    return total


def _of_signs(scored: Sequence[tuple[Scores, Scores, float]], orders: Orders) -> Array:
    """Sum over i < j of table[(i, j), (order[i], order[j])] of the products of signs, for all orders [m, n].

    A pair of points counts alike in both directions: only i < j is summed, twice.
    """
    n = orders.shape[1]
    first, second = np.triu_indices(n, k=1)
    total = np.zeros(len(orders))
    # All n^4 / 2 products fit in no memory where n is large.
    step = max(1, _BLOCK // n**2)
    for start in range(0, len(first), step):
        ij = first[start : start + step], second[start : start + step]
        table = np.asarray(sum(2 * w * np.outer(x.signs[ij], y.signs) for x, y, w in scored))
        for row, i, j in zip(table, *ij, strict=True):
            # A pair that is tied in x, in every panel, adds nothing in any order.
            if row.any():
                # Orders are kept in 16 bits; n * n needs more from n = 182 on.
                total += row[orders[:, i].astype(np.intp) * n + orders[:, j]]
    return total


@functools.cache
def all_orders(n: int) -> Orders:
    """All n! orders of 0..n-1: [n!, n]."""
    orders = np.zeros((1, 0), dtype=np.int16)
    for new in range(n):
        grown = [np.insert(orders, place, new, axis=1) for place in range(new + 1)]
        orders = np.concatenate(grown)
    # The cache hands this very array to every caller.
    orders.setflags(write=False)
    return orders


@functools.lru_cache(maxsize=4)
def random_orders(n: int, seed: int, num: int) -> Orders:
    """Some orders of 0..n-1, each as likely: [num, n]."""
    generator = np.random.default_rng([seed, n])
    orders = np.tile(np.arange(n, dtype=np.int16), (num, 1))
    generator.permuted(orders, axis=1, out=orders)
    orders.setflags(write=False)
    return orders


@functools.lru_cache(maxsize=16)
def null_of_ranks(n: int) -> tuple[dict[str, Array], bool]:
    """What tests of ranks without ties compare with: sizes of Spearman's and Kendall's coefficient, sorted, [m] each.

    Of all orders, or of the random ones that `permutation_test` draws; and whether they are all.
    """
    is_exact = n <= EXHAUSTIVE_UP_TO
    orders = all_orders(n) if is_exact else random_orders(n, 0, SAMPLES)
    own = scores(np.arange(n))
    by_rank = _linear(np.outer(own.ranks, own.ranks), orders)
    by_sign = _of_signs([(own, own, 1.0)], orders)
    return {"spearman": np.sort(np.abs(by_rank)), "kendall": np.sort(np.abs(by_sign))}, is_exact
