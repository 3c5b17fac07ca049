"""Holm by its definition, Benjamini-Hochberg by scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.multiplicity import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def holm_rejects(p: list[float], alpha: float) -> list[bool]:
    """The procedure as it is told: from the smallest on, stop at the first that is too large."""
    order = sorted(range(len(p)), key=p.__getitem__)
    rejected = [False] * len(p)
    for step, i in enumerate(order):
        if (len(p) - step) * p[i] > alpha:
            break
        rejected[i] = True
    return rejected


@given(p_values, st.floats(0.001, 0.5))
def test_holm_rejects_what_the_procedure_rejects(p: list[float], alpha: float) -> None:
    assert list(holm(p) <= alpha) == holm_rejects(p, alpha)


@given(p_values)
def test_benjamini_hochberg_is_scipys(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))


@given(p_values)
def test_adjusted_p_values_are_never_smaller_and_keep_their_order(p: list[float]) -> None:
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assert (adjusted >= np.array(p) - 1e-15).all()
        assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= -1e-15).all()
    assert (holm(p) >= benjamini_hochberg(p) - 1e-15).all()


def test_nan_is_no_test() -> None:
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust([0.01, np.nan, 0.04])
        assert np.isnan(adjusted[1])
        assert adjusted[[0, 2]] == pytest.approx(adjust([0.01, 0.04]))
