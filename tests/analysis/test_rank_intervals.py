"""Intervals of rank coefficients: against known distributions, an exact small case, and what they are to hold."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.coefficients import NAMES, coefficients
from analysis.rank_intervals import RANKS, SIMULATED_UP_TO, mean_coefficient, rank_interval


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("n", [4, 9])
def test_it_holds_the_true_coefficient_as_often_as_it_says(name: str, n: int) -> None:
    """And not much more often: BCa held 99 to 100% at rho .97."""
    generator = np.random.default_rng(1)
    k = NAMES.index(name)
    for rho in (0.0, 0.6, 0.9):
        x, e = generator.standard_normal((2, 1500, n))
        values = coefficients(x, rho * x + math.sqrt(1 - rho**2) * e)[:, k]
        true = mean_coefficient(name, rho, n)
        distinct, counts = np.unique(values.round(9), return_counts=True)
        intervals = [rank_interval(name, float(value), n) for value in distinct]
        held = np.average([i.low <= true <= i.high for i in intervals], weights=counts)
        assert 0.94 <= held <= (0.985 if n == 9 else 1.0)


@pytest.mark.parametrize("n", [5, 9, 20])
def test_the_mean_coefficient_is_that_of_samples(n: int) -> None:
    x, e = np.random.default_rng(2).standard_normal((2, 20_000, n))
    seen = coefficients(x, 0.8 * x + 0.6 * e).mean(0)
    for name in RANKS:
        assert mean_coefficient(name, 0.8, n) == pytest.approx(seen[NAMES.index(name)], abs=0.006)
        assert mean_coefficient(name, 1.0, n) == pytest.approx(1)
        assert mean_coefficient(name, -0.3, n) == -mean_coefficient(name, 0.3, n)


def test_of_three_points_in_order_the_tail_is_that_of_the_normal_orthant() -> None:
    """P(tau = 1 | rho) of three points is 6 P(x and y both go up), an orthant of four normal variables."""
    low = rank_interval("kendall", 1.0, 3).low
    rho = math.sin(math.pi / 2 * low)
    step = np.array([[2.0, -1.0], [-1.0, 2.0]])
    covariance = np.kron(np.array([[1, rho], [rho, 1]]), step)
    orthant = stats.multivariate_normal(np.zeros(4), covariance).cdf(np.zeros(4), rng=0)
    assert 6 * orthant == pytest.approx(0.025, abs=0.006)


def test_a_perfect_order_has_an_interval_that_narrows_with_n() -> None:
    for name in RANKS:
        lows = [rank_interval(name, 1.0, n).low for n in (3, 5, 9, 14)]
        assert lows == sorted(lows)
        assert lows[0] < -0.5
        assert 0.7 < lows[2] < 0.9
        assert all(rank_interval(name, 1.0, n).high == 1.0 for n in (3, 9))


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(9)), st.sampled_from(RANKS))
def test_it_holds_its_estimate_is_odd_and_grows_with_it(order: list[int], name: str) -> None:
    value = float(coefficients(np.arange(9.0), np.array(order, float))[NAMES.index(name)])
    found, mirrored = rank_interval(name, value, 9), rank_interval(name, -value, 9)
    assert -1 <= found.low <= value <= found.high <= 1
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)
    higher = rank_interval(name, min(value + 0.1, 1.0), 9)
    assert higher.low >= found.low
    assert higher.high >= found.high


def test_levels_nest() -> None:
    narrow, wide = (rank_interval("spearman", 0.7, 9, level) for level in (0.8, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_where_ranks_are_many_it_is_bonett_and_wrights() -> None:
    """And what is simulated goes over into it."""
    n = SIMULATED_UP_TO + 1
    spearman, kendall = (rank_interval(name, 0.5, n) for name in RANKS)
    assert math.atanh(spearman.high) - math.atanh(0.5) == pytest.approx(
        1.959964 * math.sqrt(1.125 / (n - 3))
    )
    assert math.atanh(0.5) - math.atanh(kendall.low) == pytest.approx(
        1.959964 * math.sqrt(0.437 / (n - 4))
    )
    assert math.isnan(rank_interval("kendall", 1.0, n).low)


def test_below_three_points_or_without_a_value_there_is_none() -> None:
    for value, n in itertools.product((0.5, 1.0), (0, 1, 2)):
        assert math.isnan(rank_interval("kendall", value, n).low)
    assert math.isnan(rank_interval("spearman", math.nan, 9).high)
