"""Bootstrap draws and intervals against their definitions, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from analysis.bootstrap import Bootstrap, bca_interval, percentile_interval
from analysis.coefficients import coefficients, leave_one_out


def test_a_redrawn_mean_varies_as_the_mean_itself_does() -> None:
    """With 3 seeds the plain bootstrap would have two thirds of that variance."""
    values = (1.0, 2.0, 6.0)
    draws = Bootstrap(200_000).of_cell(values, "cell")
    assert draws.mean() == pytest.approx(3.0, abs=0.02)
    assert draws.var() == pytest.approx(np.var(values, ddof=1) / 3, rel=0.02)


def test_draws_are_addressed() -> None:
    bootstrap = Bootstrap(50)
    one = bootstrap.of_cell((1.0, 2.0, 4.0), "one")
    assert list(one) == list(bootstrap.of_cell((1.0, 2.0, 4.0), "one"))
    assert list(one) != list(bootstrap.of_cell((1.0, 2.0, 4.0), "other"))
    assert list(one) != list(Bootstrap(50, seed=1).of_cell((1.0, 2.0, 4.0), "one"))


def test_one_seed_stays_where_it_is() -> None:
    assert set(Bootstrap(50).of_cell((2.5,), "cell")) == {2.5}


def test_percentiles() -> None:
    interval = percentile_interval(np.arange(1001.0))
    assert (interval.low, interval.high) == pytest.approx((25.0, 975.0))
    mixed = percentile_interval(np.array([1.0, 2.0, 3.0, np.nan]))
    assert mixed.high == pytest.approx(2.95)
    assert np.isnan(percentile_interval(np.array([1.0, np.nan])).low)


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


def test_the_interval_over_seeds_is_of_the_attenuated_coefficient() -> None:
    """With much noise it holds what studies with as many seeds have on average, and often not the noiseless one."""
    generator = np.random.default_rng(0)
    x = np.linspace(-1.5, 1.5, 9)
    noiseless, repeats, noise, seeds = 1.0, 200, 0.5, 3
    shape = (2, 20_000, 9)
    studies = x + noise / np.sqrt(seeds) * generator.standard_normal(shape)
    expected = coefficients(*studies)[:, 0].mean()
    held = []
    for repeat in range(repeats):
        seen = x[:, None] + noise * generator.standard_normal((2, 9, seeds))
        drawn = [
            np.stack(
                [Bootstrap(500).of_cell(seen[k, i], f"{repeat} {k} {i}") for i in range(9)], axis=1
            )
            for k in range(2)
        ]
        interval = percentile_interval(coefficients(*drawn)[:, 0])
        held.append([interval.low <= truth <= interval.high for truth in (expected, noiseless)])
    of_expected, of_noiseless = np.mean(held, axis=0)
    assert of_expected > 0.88
    assert of_noiseless < 0.2
