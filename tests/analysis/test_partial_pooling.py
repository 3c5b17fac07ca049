"""Random effects against published results and closed forms; the slope within teachers against a regression."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.bootstrap import Bootstrap
from analysis.coefficients import coefficients
from analysis.partial_pooling import hierarchy, mean_by_unit, random_effects
from analysis.within_teachers import repeated_measures, within_teachers


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=8), st.floats(0.01, 1))
def test_the_spread_maximises_the_restricted_likelihood(
    values: list[float], variance: float
) -> None:
    y = np.array(values)

    def minus_two_log(spread_2: float) -> float:
        """For any variances v: sum log(v + tau^2) + log sum w + sum w (y - mu)^2, with weights w."""
        weights = 1 / np.full(len(y), variance + spread_2)
        mean = np.average(y, weights=weights)
        return float(
            -np.log(weights).sum() + np.log(weights.sum()) + (weights * (y - mean) ** 2).sum()
        )

    found = random_effects(y, variance)
    least = minus_two_log(found.spread**2)
    for tried in np.linspace(0, 12, 200):
        assert least <= minus_two_log(float(tried)) + 1e-9


def test_the_error_is_hartung_and_knapps_but_not_below_that_of_noise() -> None:
    apart, alike = np.array([0.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.1, 0.9, 1.0])
    found = random_effects(apart, 0.5)
    assert found.error == pytest.approx(stats.sem(apart))
    assert found.spread == pytest.approx(math.sqrt(apart.var(ddof=1) - 0.5))
    share = found.spread**2 / apart.var(ddof=1)
    assert found.of_units == pytest.approx(2 + share * (apart - 2))
    same = random_effects(alike, 0.5)
    assert (same.spread, same.error) == pytest.approx((0.0, math.sqrt(0.5 / 4)))
    assert same.of_units == pytest.approx(np.ones(4))


@pytest.mark.parametrize("size", [3, 5, 10])
def test_intervals_hold_the_mean_and_the_next_unit(size: int) -> None:
    """That of the next unit a little less often than it says, since tau^2 may be cut at 0."""
    generator = np.random.default_rng(7)
    mean, spread, noise, repeats = 1.2, 0.3, 0.2, 400
    held = np.zeros(2)
    for _ in range(repeats):
        *units, new = mean + spread * generator.standard_normal(size + 1)
        seen = np.array(units) + noise * generator.standard_normal(size)
        draws = seen + noise * generator.standard_normal((100, size))
        found = hierarchy("pearson", np.tanh(seen), np.tanh(draws))
        held += (
            found.over_units.low <= math.tanh(mean) <= found.over_units.high,
            found.next_unit.low <= math.tanh(new) <= found.next_unit.high,
        )
    assert np.all(held / repeats >= (0.93, 0.9))
    assert size == 3 or np.all(held / repeats <= 0.985)


def test_the_intervals_are_students_on_the_scale() -> None:
    generator = np.random.default_rng(0)
    values = np.array([0.7, 0.8, 0.9, 0.95])
    draws = np.tanh(np.arctanh(values) + 0.01 * generator.standard_normal((2000, 4)))
    found = hierarchy("pearson", values, draws)
    z = np.arctanh(values)
    of_mean = stats.t.interval(0.95, 3, z.mean(), stats.sem(z))
    reach = stats.t.ppf(0.975, 2) * z.std(ddof=1) * math.sqrt(1 + 1 / 4)
    of_next = (z.mean() - reach, z.mean() + reach)
    assert np.arctanh([found.over_units.low, found.over_units.high]) == pytest.approx(
        of_mean, rel=0.01
    )
    assert np.arctanh([found.next_unit.low, found.next_unit.high]) == pytest.approx(
        of_next, rel=0.01
    )


def test_perfect_ranks_are_no_hindrance() -> None:
    values = np.array([1.0, 1.0, 1.0, 0.9])
    draws = np.ones((500, 4))
    draws[:100, 3] = 0.85
    found = hierarchy("kendall", values, draws)
    assert 0.3 < found.next_unit.low < 0.9
    assert found.next_unit.high == 1.0
    same = hierarchy("kendall", np.ones(4), np.ones((500, 4)))
    assert math.isnan(same.next_unit.low)
    assert math.isnan(same.over_units.low)
    assert same.mean == pytest.approx(1.0)


def test_too_few_units_or_no_known_noise_say_nothing() -> None:
    draws = np.random.default_rng(0).uniform(0.5, 0.9, (50, 3))
    assert math.isnan(hierarchy("pearson", draws[0, :1], draws[:, :1]).mean)
    two = hierarchy("pearson", draws[0, :2], draws[:, :2])
    assert math.isfinite(two.over_units.low)
    assert math.isnan(two.next_unit.low)
    assert math.isnan(hierarchy("pearson", draws[0], np.full((50, 3), np.nan)).mean)


def test_means_by_unit_are_in_the_order_in_which_units_come_up() -> None:
    values = np.array([[1.0, 2.0, 6.0, 4.0], [0.0, 0.0, 1.0, 2.0]])
    assert mean_by_unit(["b", "a", "b", "c"], values) == pytest.approx(
        np.array([[3.5, 2.0, 4.0], [0.5, 0.0, 2.0]])
    )


def test_the_slope_within_teachers_is_that_of_a_regression_with_their_levels() -> None:
    """Analysis of covariance by plain least squares: slope, r from its sums of squares, degrees of freedom."""
    generator = np.random.default_rng(4)
    x = generator.standard_normal((4, 9)) + np.array([[0.0], [5.0], [-3.0], [8.0]])
    y = 0.7 * x + generator.standard_normal((4, 9)) - np.array([[0.0], [9.0], [2.0], [1.0]])
    levels = np.kron(np.eye(4), np.ones((9, 1)))
    design = np.column_stack([x.ravel(), levels])
    solution, left, *_ = np.linalg.lstsq(design, y.ravel())
    _, without, *_ = np.linalg.lstsq(levels, y.ravel())
    explained = without[0] - left[0]
    found = within_teachers(x, y, Bootstrap(500))
    assert found.slope == pytest.approx(solution[0])
    assert found.r == pytest.approx(math.sqrt(explained / (explained + left[0])))
    assert found.freedom == 36 - design.shape[1] == 31
    reach = 1.959964 / math.sqrt(found.freedom - 1)
    assert found.by_freedom.low == pytest.approx(math.tanh(math.atanh(found.r) - reach))


def test_of_one_teacher_it_is_pearsons_and_levels_do_not_matter() -> None:
    x, y = np.random.default_rng(5).standard_normal((2, 3, 9))
    assert repeated_measures(x[:1], y[:1]) == pytest.approx(coefficients(x[0], y[0])[0])
    moved = repeated_measures(
        x + np.array([[3.0], [0.0], [-8.0]]), 2 * y + np.array([[1.0], [7.0], [0.0]])
    )
    assert moved == pytest.approx(repeated_measures(x, y))
    assert math.isnan(repeated_measures(np.ones((2, 4)), y[:2, :4]))


def test_what_augmentations_do_for_all_teachers_alike_widens_the_interval_over_augmentations() -> (
    None
):
    """The interval by degrees of freedom counts ten equal teachers as ten."""
    x, e = np.random.default_rng(6).standard_normal((2, 9))
    alike = np.tile(x, (10, 1)), np.tile(0.8 * x + 0.6 * e, (10, 1))
    found = within_teachers(*alike, Bootstrap(1000))
    one = within_teachers(alike[0][:1], alike[1][:1], Bootstrap(1000))
    assert found.over_augmentations.low == pytest.approx(one.over_augmentations.low)
    assert found.over_augmentations.high == pytest.approx(one.over_augmentations.high)
    width = found.over_augmentations.high - found.over_augmentations.low
    assert width > 1.5 * (found.by_freedom.high - found.by_freedom.low)
