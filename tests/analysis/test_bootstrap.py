"""Bootstrap draws and intervals against their definitions, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from analysis.bootstrap import Bootstrap, Interval, bca_interval, hull_interval
from analysis.coefficients import coefficients, leave_one_out
from analysis.points import Mean
from analysis.pooling import panel_draws


def test_draws_are_addressed() -> None:
    bootstrap = Bootstrap(50)
    one = bootstrap.of_cell(3, 3, "one")
    assert np.array_equal(one, bootstrap.of_cell(3, 3, "one"))
    assert not np.array_equal(one, bootstrap.of_cell(3, 3, "other"))
    assert not np.array_equal(one, Bootstrap(50, seed=1).of_cell(3, 3, "one"))


def test_the_hull_holds_percentiles_and_the_estimate() -> None:
    draws = np.arange(1001.0) / 2000
    same = hull_interval(draws, 0.25)
    assert (same.low, same.high) == pytest.approx((0.0125, 0.4875))
    above = hull_interval(draws, 0.6)
    assert (above.low, above.high) == pytest.approx((0.0125, 0.4875 + 0.35))
    assert hull_interval(draws, 0.99).high == 1.0
    assert np.isnan(hull_interval(np.array([1.0, np.nan]), 1.0).low)


def test_where_nearly_all_draws_are_the_same_there_is_no_interval_over_seeds() -> None:
    draws = np.ones(1000)
    assert np.isnan(hull_interval(draws, 1.0).low)
    draws[:10] = 0.9
    assert np.isnan(hull_interval(draws, 1.0).low)
    draws[:30] = 0.9
    assert hull_interval(draws, 1.0).low == pytest.approx(0.9)


def test_bca_is_scipys() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal(9)
    y = x + 0.5 * generator.standard_normal(9)

    def pearson(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return coefficients(a, b)[..., 0]

    reference = stats.bootstrap(
        (x, y), pearson, paired=True, vectorized=True, n_resamples=20_000, rng=1, method="BCa"
    )
    chosen = Bootstrap(20_000).of_points(9)
    draws = coefficients(x[chosen], y[chosen])[:, 0]
    estimate, left_out = coefficients(x, y)[0], leave_one_out(x, y)[:, 0]
    # Samples of all nine points are the estimate but for rounding; scipy compares without a tolerance.
    draws[np.abs(draws - estimate) < 1e-12] = estimate
    own = bca_interval(draws, float(estimate), left_out)
    assert own.low == pytest.approx(reference.confidence_interval.low, abs=0.02)
    assert own.high == pytest.approx(reference.confidence_interval.high, abs=0.005)
    # On the same draws the two are the same formula.
    scipys = stats.bootstrap(
        (x, y),
        pearson,
        paired=True,
        vectorized=True,
        n_resamples=0,
        method="BCa",
        bootstrap_result=_Draws(draws),
    )
    assert own.low == pytest.approx(scipys.confidence_interval.low, abs=1e-6)
    assert own.high == pytest.approx(scipys.confidence_interval.high, abs=1e-6)


class _Draws:
    """Draws of our own, as scipy takes those of an earlier call."""

    def __init__(self, draws: np.ndarray) -> None:
        self.bootstrap_distribution = draws


def test_where_all_draws_are_the_estimate_there_is_no_interval() -> None:
    """A rank coefficient of exactly 1 stays 1 in every sample: that is no certainty."""
    x = np.arange(9.0)
    chosen = Bootstrap(500).of_points(9)
    draws = coefficients(x[chosen], x[chosen] ** 3)
    left_out = leave_one_out(x, x**3)
    assert np.isnan(bca_interval(draws[:, 1], 1.0, left_out[:, 1]).low)
    assert bca_interval(draws[:, 0], 0.9, left_out[:, 0]).high <= 1.0


def cells(values: np.ndarray, name: str) -> tuple[Mean, ...]:
    return tuple(
        Mean(v.mean(), v.std(ddof=1), tuple(range(len(v))), tuple(v), (f"{name} {i}",))
        for i, v in enumerate(values)
    )


def pooled_interval(seen: np.ndarray, name: str, samples: int = 400) -> tuple[Interval, float]:
    """Of Pearson's coefficient over panels [P, 2, n, seeds], and its estimate."""
    draws = [
        panel_draws(cells(x, f"{name} {p} x"), cells(y, f"{name} {p} y"), Bootstrap(samples))[0]
        for p, (x, y) in enumerate(seen)
    ]
    estimate = coefficients(*np.moveaxis(seen.mean(-1), 1, 0))[:, 0].mean()
    return hull_interval(np.mean(draws, axis=0)[:, 0], estimate), estimate


@pytest.mark.parametrize(("num_panels", "rho", "noise"), [(1, 0.9, 0.3), (10, 0.9, 0.3)])
def test_intervals_over_seeds_hold_what_they_say(num_panels: int, rho: float, noise: float) -> None:
    """Percentiles of plain redraws held it 62% of the time for ten panels, and could exclude their own estimate."""
    generator = np.random.default_rng(0)
    held, holds_itself, repeats = 0, 0, 60
    for repeat in range(repeats):
        x, other = generator.standard_normal((2, num_panels, 9))
        points = np.stack([x, rho * x + np.sqrt(1 - rho**2) * other], axis=1)
        seen = points[..., None] + noise * generator.standard_normal((num_panels, 2, 9, 3))
        seen += 0.5 * generator.standard_normal((num_panels, 2, 1, 3))
        spread = noise / np.sqrt(3) * generator.standard_normal((300, num_panels, 2, 9))
        studies = coefficients(*np.moveaxis(points + spread, 2, 0))[..., 0].mean()
        interval, estimate = pooled_interval(seen, f"{repeat}")
        held += interval.low <= studies <= interval.high
        holds_itself += interval.low <= estimate <= interval.high
    assert held / repeats >= 0.88
    assert holds_itself == repeats


def test_a_shift_that_all_augmentations_share_is_no_noise() -> None:
    """Seeds shift every augmentation alike: nothing can change, so there is no interval."""
    x = np.arange(5.0)[:, None] + np.array([0.0, 30.0, -7.0])
    interval, _ = pooled_interval(np.stack([x, x])[None], "shift")
    assert np.isnan(interval.low)
