"""Coefficients without seed noise: against the truth that was made, closed forms, and where they end."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.attenuation import Reliability, beyond_one, correct, reliability, without_noise
from analysis.blocks import fit
from analysis.bootstrap import Bootstrap, Interval
from analysis.coefficients import NAMES, Array, coefficients
from analysis.points import Mean
from analysis.pooling import panel_draws
from analysis.simex import LEVELS, extrapolated, simex

FEW = Bootstrap(300)


def cells(values: Array, name: str, seeds: tuple[tuple[int, ...], ...] = ()) -> tuple[Mean, ...]:
    """Cells of values [n, S]; only of some seeds each, where they are told."""
    kept = seeds or (tuple(range(values.shape[1])),) * len(values)
    rows = [row[list(of_cell)] for row, of_cell in zip(values, kept, strict=True)]
    return tuple(
        Mean(row.mean(), math.nan, of_cell, tuple(row), (f"{name} {i}",))
        for i, (row, of_cell) in enumerate(zip(rows, kept, strict=True))
    )


def noisy(points: Array, noise: float, generator: np.random.Generator, seeds: int = 3) -> Array:
    """[2, n, S] values of points [2, n], with a shift of each seed beside."""
    shape = (*points.shape, seeds)
    shifts = generator.standard_normal((2, 1, seeds))
    return points[..., None] + noise * generator.standard_normal(shape) + shifts


def test_reliability_is_the_share_of_the_variance_that_is_no_noise() -> None:
    generator = np.random.default_rng(0)
    points = generator.standard_normal((2, 150))
    shares = reliability(*(cells(v, "x") for v in noisy(points, 0.9, generator)))
    assert shares.t_stddev == pytest.approx(1 / (1 + 0.9**2 / 3), abs=0.04)
    assert shares.factor == pytest.approx(math.sqrt(shares.t_stddev * shares.s_test_loss))


def test_with_all_seeds_it_is_the_formula() -> None:
    generator = np.random.default_rng(1)
    x, _ = noisy(generator.standard_normal((2, 9)), 0.5, generator)
    left = x - x.mean(1, keepdims=True) - x.mean(0) + x.mean()
    noise_2 = (left**2).sum() / 16
    whole = reliability(cells(x, "x"), cells(x, "x")).t_stddev
    assert whole == pytest.approx(1 - noise_2 / 3 / x.mean(1).var(ddof=1))


def test_where_trials_are_missing_the_noise_is_that_of_the_means_as_they_are_fitted() -> None:
    """Of noise alone nothing is reliable, however many seeds each cell has and whatever seeds shift."""
    generator = np.random.default_rng(2)
    gaps = ((0,), (0, 1), (1, 2), (0, 1, 2), (2, 0), (0, 1, 2))
    shares = []
    for i in range(300):
        x, _ = noisy(np.zeros((2, 6)), 1.0, generator)
        column = cells(x, f"{i}", gaps)
        fitted = fit(column)
        shares.append((1 - reliability(column, column).t_stddev) * fitted.means.var(ddof=1))
        shares[-1] -= fitted.means.var(ddof=1)
    assert np.mean(shares) == pytest.approx(0, abs=0.05)


def test_without_two_seeds_there_is_none() -> None:
    lone = cells(np.arange(9.0)[:, None], "x")
    assert math.isnan(reliability(lone, lone).factor)


def test_pearson_without_noise_is_spearmans_of_1904() -> None:
    found = correct(np.array([0.6, 0.5, 0.4]), math.sqrt(0.8 * 0.9))
    assert found[0] == pytest.approx(0.6 / math.sqrt(0.72))


@pytest.mark.parametrize("rho", [0.3, 0.9])
def test_ranks_move_as_those_of_many_normal_points_do(rho: float) -> None:
    x, e, u, v = np.random.default_rng(8).standard_normal((4, 20, 500))
    y = rho * x + math.sqrt(1 - rho**2) * e
    true, seen = (coefficients(*points).mean(0) for points in ((x, y), (x + 0.5 * u, y + 0.5 * v)))
    assert np.all(seen < true - 0.02)
    assert correct(seen, 1 / 1.25) == pytest.approx(true, abs=0.015)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0.05, 1), st.floats(0.05, 1))
def test_correction_is_odd_and_moves_the_further_the_more_noise_there_is(
    values: list[float], one: float, other: float
) -> None:
    v = np.array(values)
    low, high = sorted((one, other))
    assert correct(v, 1.0) == pytest.approx(v)
    assert correct(-v, low) == pytest.approx(-correct(v, low))
    towards = math.copysign(1, v[0])
    assert np.all(towards * correct(v, low) >= towards * correct(v, high) - 1e-12)
    assert np.all(towards * correct(v, high) >= towards * v - 1e-12)
    assert np.all(np.abs(correct(v, low)) <= 1)


def test_what_is_cut_is_told_and_what_has_no_reliability_is_undefined() -> None:
    values = np.array([0.97, 0.5, 1.0])
    assert beyond_one(values, 0.9).tolist() == [True, False, False]
    assert beyond_one(np.array([0.8, 0.99, -0.99]), 0.9).tolist() == [False, True, False]
    assert beyond_one(values, 1.0).tolist() == [False, False, False]
    assert not beyond_one(values, math.nan).any()
    assert np.isnan(correct(values, Reliability(-0.1, 0.9).factor)).all()
    assert np.isnan(correct(values, Reliability(math.nan, 0.9).factor)).all()
    assert Reliability(0.95, 0.69).is_low
    assert not Reliability(0.95, 0.71).is_low
    told = without_noise(
        correct(values, 0.9), np.full((10, 3), np.nan), is_clipped=beyond_one(values, 0.9)
    )
    assert [told[name].is_clipped for name in NAMES] == [True, False, False]
    assert math.isnan(told["pearson"].interval.low)


def test_of_one_panel_the_intervals_of_ranks_hold_those_over_seeds_and_need_them() -> None:
    draws = np.random.default_rng(9).uniform(0.6, 0.9, (500, 3))
    over_seeds = [Interval(0.5, 0.95), Interval(0.5, 0.8), Interval(math.nan, math.nan)]
    told = without_noise(
        np.full(3, 0.8), draws, is_clipped=np.zeros(3, bool), over_seeds=over_seeds
    )
    assert told["pearson"].interval.low > 0.6
    assert told["spearman"].interval.low == 0.5
    assert told["spearman"].interval.high > 0.88
    assert math.isnan(told["kendall"].interval.low)
    pooled = without_noise(np.full(3, 0.8), draws, is_clipped=np.zeros(3, bool))
    assert pooled["kendall"].interval.low > 0.55


@pytest.mark.parametrize("num_panels", [1, 10])
def test_intervals_hold_the_coefficient_without_noise(num_panels: int) -> None:
    """The interval over seeds holds it 62% of the time for ten panels of noise 0.3."""
    generator = np.random.default_rng(2)
    held, bias, plain, repeats = (
        np.zeros(3),
        np.zeros(3),
        np.zeros(3),
        60 if num_panels == 1 else 30,
    )
    for repeat in range(repeats):
        estimate, true, seen = np.zeros((3, 3))
        draws = np.zeros((FEW.num_samples, 3))
        for panel in range(num_panels):
            x, e = generator.standard_normal((2, 9))
            points = np.stack([x, 0.9 * x + math.sqrt(1 - 0.81) * e])
            columns = [
                cells(v, f"{repeat} {panel} {k}")
                for k, v in enumerate(noisy(points, 0.3, generator))
            ]
            values = coefficients(*([cell.mean for cell in column] for column in columns))
            factor = reliability(*columns).factor
            estimate += correct(values, factor) / num_panels
            draws += correct(panel_draws(*columns, FEW)[0], factor) / num_panels
            true += coefficients(*points) / num_panels
            seen += values / num_panels
        told = without_noise(estimate, draws, is_clipped=np.zeros(3, bool))
        for k, name in enumerate(NAMES):
            interval = told[name].interval
            held[k] += interval.low - 1e-9 <= true[k] <= interval.high + 1e-9
        bias += (estimate - true) / repeats
        plain += (seen - true) / repeats
    assert np.all(held / repeats >= 0.88)
    assert np.all(held[1:] / repeats >= 0.93)
    if num_panels > 1:
        assert plain[0] < -0.02
        assert abs(bias[0]) < 0.01
        assert abs(bias[1]) < 0.02


def test_extrapolation_is_exact_for_a_line() -> None:
    at = np.array([[3.0 - 2.0 * level, 0.5] for level in LEVELS])
    assert extrapolated(at) == pytest.approx([5.0, 0.5])


def test_simex_undoes_what_noise_does_to_ranks() -> None:
    generator = np.random.default_rng(3)
    corrected, seen, true = np.zeros((3, 3))
    for panel in range(60):
        x, e = generator.standard_normal((2, 9))
        points = np.stack([x, 0.8 * x + 0.6 * e])
        columns = [cells(v, f"{panel} {k}") for k, v in enumerate(noisy(points, 0.5, generator))]
        corrected += simex(*columns, seed=0) / 60
        seen += coefficients(*([cell.mean for cell in column] for column in columns)) / 60
        true += coefficients(*points) / 60
    assert np.all(seen < true - 0.03)
    assert np.all(np.abs(corrected - true) < 0.6 * np.abs(seen - true))


def test_simex_without_noise_changes_nothing_and_without_seeds_says_nothing() -> None:
    x = np.arange(9.0)[:, None] + np.array([0.0, 3.0, -1.0])
    y = np.array([3.0, 1, 2, 5, 4, 9, 6, 7, 8])[:, None] + np.array([0.0, 3.0, -1.0])
    found = simex(cells(x, "x"), cells(y, "y"), seed=0)
    assert found == pytest.approx(coefficients(x[:, 0], y[:, 0]))
    assert np.isnan(simex(cells(x[:, :1], "x"), cells(y, "y"), seed=0)).all()
