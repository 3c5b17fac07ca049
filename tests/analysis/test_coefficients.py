"""The vectorised coefficients against scipy, one sample at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.coefficients import coefficients, leave_one_out

samples = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=12
).filter(lambda points: all(len(set(axis)) > 1 for axis in zip(*points, strict=True)))


@given(samples)
def test_they_are_scipys_with_and_without_ties(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, dtype=float).T
    expected = [
        stats.pearsonr(x, y).statistic,
        stats.spearmanr(x, y).statistic,
        stats.kendalltau(x, y).statistic,
    ]
    assert coefficients(x, y) == pytest.approx(expected, abs=1e-12)


def test_many_samples_at_once_are_the_same_as_one_by_one() -> None:
    x, y = np.random.default_rng(0).integers(0, 5, (2, 40, 3, 9)).astype(float)
    together = coefficients(x, y)
    assert together.shape == (40, 3, 3)
    for i in range(40):
        np.testing.assert_allclose(together[i, 1], coefficients(x[i, 1], y[i, 1]))


def test_a_constant_sample_has_none_however_large_its_value() -> None:
    x = np.array([[1e17 / 3] * 4, [1.0, 2.0, 3.0, 4.0]])
    found = coefficients(x, np.array([[1.0, 2.0, 3.0, 4.0]] * 2))
    assert np.isnan(found[0]).all()
    assert found[1] == pytest.approx(1.0)


def test_a_nan_makes_its_own_sample_undefined_and_no_other() -> None:
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]])
    y = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    found = coefficients(x, y)
    assert np.isnan(found[0, 0])
    assert np.isfinite(found[1]).all()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        coefficients([1, 2, 3], [1, 2])


def test_leave_one_out_is_deletion() -> None:
    x, y = np.random.default_rng(3).standard_normal((2, 6))
    left = leave_one_out(x, y)
    for i in range(6):
        kept = np.arange(6) != i
        np.testing.assert_allclose(left[i], coefficients(x[kept], y[kept]))
