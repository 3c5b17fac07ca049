"""Power: against closed forms, scipy's tests and the permutation test itself."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.attenuation import of_normal, share_without_noise
from analysis.coefficients import Array, coefficients
from analysis.permutation import null_of_ranks, permutation_test
from analysis.power import (
    MOST_AUGMENTATIONS,
    SIMULATIONS,
    TARGET,
    Noise,
    _p_values,
    noise_of,
    power,
    smallest_found,
)

KENDALL = 2


@dataclass(frozen=True)
class Cell:
    values: tuple[float, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(len(self.values)))


def cells(values: Array) -> list[Cell]:
    """Of values [A, S]."""
    return [Cell(tuple(map(float, row))) for row in values]


def studies(n: int, rho: float, num: int) -> tuple[Array, Array]:
    x, other = np.random.default_rng(5).standard_normal((2, num, n))
    return x, rho * x + math.sqrt(1 - rho**2) * other


def test_true_coefficients_are_those_of_many_points() -> None:
    x, y = studies(2000, 0.7, 1)
    assert of_normal(0.7) == pytest.approx(coefficients(x, y)[0], abs=0.03)
    assert of_normal([0.0, 1.0, -1.0]) == pytest.approx(np.outer([0, 1, -1], [1, 1, 1]))
    assert of_normal(0.5)[KENDALL] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("n", "rho", "percent"),
    [(9, 0.6, 32), (12, 0.6, 49), (20, 0.6, 75), (9, 0.8, 69), (12, 0.8, 86), (20, 0.8, 98)],
)
def test_power_of_kendalls_test(n: int, rho: float, percent: int) -> None:
    """Figures that were computed elsewhere, with scipy's exact test."""
    assert 100 * power(n, (rho,))[0, 0, KENDALL] == pytest.approx(percent, abs=4)


def test_power_is_how_often_scipys_exact_test_rejects() -> None:
    x, y = studies(9, 0.7, 1000)
    rejected = np.mean([stats.kendalltau(a, b).pvalue <= 0.05 for a, b in zip(x, y, strict=True)])
    assert power(9, (0.7,))[0, 0, KENDALL] == pytest.approx(rejected, abs=0.05)


@pytest.mark.parametrize(("n", "rho"), [(9, 0.5), (12, 0.6), (20, 0.4)])
def test_power_of_pearsons_test_is_about_that_of_students(n: int, rho: float) -> None:
    """Of which the permutation test is an approximation (Pitman 1937), and the other way round."""
    x, y = studies(n, rho, 20_000)
    r = coefficients(x, y)[:, 0]
    t = np.abs(r) * np.sqrt((n - 2) / (1 - r**2))
    assert power(n, (rho,))[0, 0, 0] == pytest.approx(
        (t > stats.t.ppf(0.975, n - 2)).mean(), abs=0.04
    )


@pytest.mark.parametrize("n", [6, 8])
def test_p_values_are_those_of_the_permutation_test(n: int) -> None:
    x, other = np.random.default_rng(1).standard_normal((2, 25, n))
    p = _p_values(x, other, (0.0, 0.8), 0.05)
    for i, rho in enumerate((0.0, 0.8)):
        y = rho * x + math.sqrt(1 - rho**2) * other
        tests = [permutation_test([(a, b)]).p for a, b in zip(x, y, strict=True)]
        exact = np.array(tests)
        assert p[i, :, 1:] == pytest.approx(exact[:, 1:])
        # Of six all orders are tried, where two may tie in single precision; of eight some.
        assert p[i, :, 0] == pytest.approx(exact[:, 0], abs=2 / 720 if n == 6 else 0.04)


@pytest.mark.parametrize("n", [4, 5, 9, 20])
def test_what_is_not_there_is_found_no_oftener_than_the_level_says(n: int) -> None:
    by_chance = power(n, (0.0,), (0.05, 0.005))[0]
    for level, shares in zip((0.05, 0.005), by_chance, strict=True):
        assert (shares <= level + 3 * math.sqrt(level * (1 - level) / SIMULATIONS)).all()


def test_ranks_of_few_points_cannot_be_significant() -> None:
    """Of four points two orders of 24 are as far from 0 as can be: 8.3%."""
    assert (power(4, (1.0,))[0, 0, 1:] == 0).all()
    assert (power(5, (1.0,))[0, 0] == 1).all()
    assert (power(3, (1.0,)) == 0).all()


def test_the_null_of_ranks_is_that_of_all_orders() -> None:
    null, is_exact = null_of_ranks(4)
    assert is_exact
    # Inversions of four: 1, 3, 5, 6, 5, 3, 1.
    sizes, counts = np.unique(np.round(null["kendall"], 6), return_counts=True)
    assert sizes == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-5)
    assert counts.tolist() == [6, 10, 6, 2]
    assert not null_of_ranks(10)[1]


@settings(max_examples=10, deadline=None)
@given(n=st.integers(4, 8), low=st.floats(0, 1), high=st.floats(0, 1))
def test_more_is_found_where_there_is_more(n: int, low: float, high: float) -> None:
    low, high = sorted((low, high))
    less, more = power(n, (low, high))[:, 0]
    assert (less <= more + 0.02).all()
    assert power(n, (-high,))[0, 0] == pytest.approx(more, abs=0.06)


@pytest.mark.parametrize("seeds", [1, 3])
def test_noise_pulls_the_correlation_of_means(seeds: int) -> None:
    noise = Noise(t_stddev=0.3, s_test_loss=0.8)
    x, y = studies(9, 0.8, 20_000)
    x_noise, y_noise = np.random.default_rng(6).standard_normal((2, *x.shape)) / math.sqrt(seeds)
    x, y = x + 0.3 * x_noise, y + 0.8 * y_noise
    assert noise.seen(0.8, seeds) == pytest.approx(
        np.corrcoef(x.ravel(), y.ravel())[0, 1], abs=0.01
    )
    r = np.abs(coefficients(x[:2000], y[:2000])[:, KENDALL])
    null = null_of_ranks(9)[0]["kendall"]
    critical = null[null >= np.quantile(null, 0.95, method="higher")].min() + 1e-9
    seen = noise.seen(0.8, seeds)
    assert power(9, (seen,))[0, 0, KENDALL] == pytest.approx((r > critical).mean(), abs=0.05)
    assert Noise(0, 0).seen(0.8, seeds) == 0.8


def panel(num: int, noise: float, seed_shift: float = 0.0, seeds: int = 3) -> list[Cell]:
    generator = np.random.default_rng(2)
    truth = np.linspace(-1, 1, num) / np.linspace(-1, 1, num).std(ddof=1)
    values = truth[:, None] + noise * generator.standard_normal((num, seeds))
    return cells(values + seed_shift * generator.standard_normal(seeds))


def test_noise_is_estimated_from_cells() -> None:
    """In standard deviations of what is no noise, and without what a seed does to all alike."""
    found = noise_of(panel(400, 0.5), panel(400, 2.0, seed_shift=50))
    assert found.t_stddev == pytest.approx(0.5, abs=0.05)
    assert found.s_test_loss == pytest.approx(2.0, rel=0.15)
    assert share_without_noise(panel(400, 2.0)) == pytest.approx(1 / (1 + 4 / 3), abs=0.06)


def test_noise_that_cannot_be_told_is_undefined() -> None:
    assert math.isnan(noise_of(panel(9, 0.1, seeds=1), panel(9, 0.1)).t_stddev)
    drowned = cells(np.array([[0.0, 1.0], [1.0, 0.0], [0.4, 0.6]]))
    assert math.isnan(noise_of(drowned, drowned).s_test_loss)
    assert np.isnan(smallest_found(panel(9, 0.1, seeds=1), panel(9, 0.1))).all()


def test_the_smallest_that_is_found_is_found_in_the_target_share_of_studies() -> None:
    x, y = panel(9, 0.2), panel(9, 0.5)
    found = smallest_found(x, y)
    factor = math.sqrt(share_without_noise(x) * share_without_noise(y))
    rho = np.array(
        [found[0], 2 * math.sin(math.pi / 6 * found[1]), math.sin(math.pi / 2 * found[2])]
    )
    for k in range(3):
        assert power(9, (float(rho[k] * factor),))[0, 0, k] == pytest.approx(TARGET, abs=0.03)
    quiet = smallest_found(panel(9, 1e-6), panel(9, 1e-6))
    assert (quiet < found).all()
    assert quiet[KENDALL] == pytest.approx(0.65, abs=0.02)


def test_what_no_study_of_this_size_finds_is_undefined() -> None:
    assert np.isnan(smallest_found(panel(4, 0.01), panel(4, 0.01))[1:]).all()
    assert np.isnan(smallest_found(panel(9, 1.2), panel(9, 1.2))).all()


def test_sizes_that_are_not_simulated_are_refused() -> None:
    with pytest.raises(ValueError, match="up to n = 40"):
        power(MOST_AUGMENTATIONS + 1, (0.5,))
    with pytest.raises(ValueError, match="-1 to 1"):
        power(9, (1.5,))
    many = panel(MOST_AUGMENTATIONS + 1, 0.1)
    assert np.isnan(smallest_found(many, many)).all()
