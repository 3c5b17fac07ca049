"""Permutation p-values against brute force and scipy."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from analysis.coefficients import coefficients
from analysis.permutation import all_orders, permutation_test, random_orders

Floats = NDArray[np.float64]


def brute_force(samples: list[tuple[Floats, Floats]], weights: list[float]) -> list[float]:
    """The definition: every order of y, jointly for all samples, one at a time, by scipy."""
    n = len(samples[0][0])

    def statistic(order: tuple[int, ...]) -> list[float]:
        total = np.zeros(3)
        for (x, y), weight in zip(samples, weights, strict=True):
            moved = y[list(order)]
            total += weight * np.array(
                [
                    stats.pearsonr(x, moved).statistic,
                    stats.spearmanr(x, moved).statistic,
                    stats.kendalltau(x, moved).statistic,
                ]
            )
        return list(np.abs(total))

    seen = statistic(tuple(range(n)))
    values = np.array([statistic(order) for order in itertools.permutations(range(n))])
    return list((values >= np.array(seen) - 1e-10).mean(axis=0))


def pairs(min_value: int = 0, max_value: int = 4) -> st.SearchStrategy[list[tuple[int, int]]]:
    number = st.integers(min_value, max_value)
    points = st.lists(st.tuples(number, number), min_size=3, max_size=5)
    return points.filter(lambda p: all(len(set(axis)) > 1 for axis in zip(*p, strict=True)))


@settings(max_examples=15, deadline=None)
@given(pairs())
def test_one_sample_with_ties(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, dtype=float).T
    test = permutation_test([(x, y)])
    assert test.is_exact
    assert test.p == pytest.approx(brute_force([(x, y)], [1.0]))


def test_several_samples_are_ordered_together() -> None:
    generator = np.random.default_rng(5)
    samples = [(generator.standard_normal(5), generator.standard_normal(5)) for _ in range(3)]
    weights = [0.5, 0.25, 0.25]
    assert permutation_test(samples, weights).p == pytest.approx(brute_force(samples, weights))


def test_scipys_permutation_test_agrees_on_one_side_of_a_symmetric_distribution() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.standard_normal((2, 6))
    for k, function in enumerate((stats.pearsonr, stats.spearmanr, stats.kendalltau)):
        result = stats.permutation_test(
            (y,), lambda moved, f=function: f(x, moved).statistic, permutation_type="pairings"
        )
        null = np.asarray(result.null_distribution)
        expected = (np.abs(null) >= abs(result.statistic) - 1e-10).mean()
        assert permutation_test([(x, y)]).p[k] == pytest.approx(expected)


def test_kendalls_exact_distribution_is_scipys_at_n_9() -> None:
    x, y = np.random.default_rng(1).standard_normal((2, 9))
    exact = stats.kendalltau(x, y, method="exact").pvalue
    assert permutation_test([(x, y)]).p[2] == pytest.approx(exact)


def test_a_perfect_order_of_nine_is_two_in_all_orders() -> None:
    x = np.arange(9.0)
    test = permutation_test([(x, x**3)])
    assert test.is_exact
    assert test.p[1:] == pytest.approx([2 / 362_880] * 2)
    assert test.p[0] <= 2 / 362_880


def test_above_nine_it_is_sampled_from_a_seed_and_never_zero() -> None:
    x = np.arange(12.0)
    test = permutation_test([(x, x)], num_samples=999)
    assert not test.is_exact
    assert test.p == pytest.approx([1 / 1000] * 3)
    y = np.random.default_rng(0).standard_normal(12)
    again = [permutation_test([(x, y)], seed=s, num_samples=500).p for s in (1, 1, 2)]
    assert list(again[0]) == list(again[1]) != list(again[2])


def test_a_sampled_p_value_is_near_the_normal_theory() -> None:
    x, noise = np.random.default_rng(7).standard_normal((2, 14))
    y = 0.5 * x + noise
    p = permutation_test([(x, y)]).p
    assert p[0] == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.01)
    assert p[2] == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue, abs=0.005)


def test_a_copy_of_a_sample_is_no_new_evidence() -> None:
    x, y = np.random.default_rng(4).standard_normal((2, 7))
    once, thrice = permutation_test([(x, y)]), permutation_test([(x, y)] * 3)
    assert once.p == pytest.approx(thrice.p)


def test_a_constant_sample_has_no_p_value() -> None:
    assert np.isnan(permutation_test([(np.ones(4), np.arange(4.0))]).p).all()


def test_all_orders_are_all_and_distinct() -> None:
    orders = {tuple(order) for order in all_orders(5).tolist()}
    assert orders == set(itertools.permutations(range(5)))


def test_samples_have_one_length() -> None:
    with pytest.raises(ValueError, match="one length"):
        permutation_test([(np.ones(3), np.ones(4))])


def test_the_size_of_the_test_is_right() -> None:
    """Unrelated samples are called related in no more than 5% of cases, whatever their distribution."""
    generator = np.random.default_rng(11)
    samples = generator.standard_exponential((400, 2, 5))
    p = np.array([permutation_test([(x, y)]).p for x, y in samples])
    assert ((p <= 0.05).mean(axis=0) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)).all()


def test_kendall_holds_where_pairs_are_more_than_sixteen_bits_count() -> None:
    """From n = 182 on, n * n is no number of 16 bits, in which orders are kept."""
    generator = np.random.default_rng(3)
    n, samples = 190, 200
    x = generator.standard_normal(n)
    y = 0.06 * x + generator.standard_normal(n)
    orders = random_orders(n, 0, samples)
    drawn = np.abs([coefficients(x, y[order])[2] for order in orders])
    extreme = int((drawn >= abs(coefficients(x, y)[2]) - 1e-9).sum())
    assert 0 < extreme < samples
    test = permutation_test([(x, y)], seed=0, num_samples=samples)
    assert test.p[2] == pytest.approx((extreme + 1) / (samples + 1))


IN_LITTLE_MEMORY = """
import resource
import numpy as np
from analysis.permutation import permutation_test
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
x, y = np.random.default_rng(0).standard_normal((2, 190))
print(permutation_test([(x, y)], num_samples=20).p)
"""


def test_many_augmentations_take_little_memory() -> None:
    """The products of all pairs of 190 points are 5 GB."""
    command = [sys.executable, "-c", IN_LITTLE_MEMORY]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
