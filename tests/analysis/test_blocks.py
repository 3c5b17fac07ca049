"""Means that a missing trial does not shift, and residuals that vary as the noise does."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.blocks import fit


@dataclass(frozen=True)
class Cell:
    seeds: tuple[int, ...]
    values: tuple[float, ...]


def cells(values: np.ndarray, missing: set[tuple[int, int]] = frozenset()) -> list[Cell]:
    """Cells of values [A, S] without some of them."""
    kept = [
        [(k, v) for k, v in enumerate(row) if (i, k) not in missing] for i, row in enumerate(values)
    ]
    return [Cell(tuple(k for k, _ in row), tuple(float(v) for _, v in row)) for row in kept]


numbers = st.floats(-1e3, 1e3)


@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=numbers))
def test_where_nothing_is_missing_means_are_plain_means(values: np.ndarray) -> None:
    assert fit(cells(values)).means == pytest.approx(values.mean(axis=1), abs=1e-6)


@given(
    arrays(np.float64, 5, elements=numbers),
    arrays(np.float64, 4, elements=numbers),
    st.sets(st.tuples(st.integers(0, 4), st.integers(1, 3)), max_size=8),
)
def test_what_is_missing_shifts_nothing(
    augmentations: np.ndarray, seeds: np.ndarray, missing: set[tuple[int, int]]
) -> None:
    """Every cell has seed 0, so all can be compared; y is augmentation + seed, without noise."""
    found = fit(cells(augmentations[:, None] + seeds, missing))
    differences = found.means - found.means[0]
    assert differences == pytest.approx(augmentations - augmentations[0], abs=1e-6)
    assert np.concatenate(found.residuals) == pytest.approx(0, abs=1e-5)


DESIGNS = [
    [3] * 4,
    [2, 3, 3, 3],
    [2] * 4 + [1] * 5,
    [3] * 2 + [1] * 7,
    [10] + [3] * 8,
]


@pytest.mark.parametrize("sizes", DESIGNS)
def test_noise_is_what_it_is_whatever_is_missing(sizes: list[int]) -> None:
    generator = np.random.default_rng(0)
    squares, redrawn = [], []
    for repeat in range(400):
        noise = generator.standard_normal((len(sizes), 10)) + 10 * generator.standard_normal(10)
        missing = {(i, k) for i, size in enumerate(sizes) for k in range(size, 10)}
        drawn = cells(noise, missing)
        found = fit(drawn)
        squares.append(found.noise**2)
        assert found.tells_of_noise
        if repeat < 200:
            redrawn.append([(found.choices(i) ** 2).mean() for i in range(len(sizes))])
    assert np.mean(squares) == pytest.approx(1.0, abs=0.15)
    assert np.mean(redrawn) == pytest.approx(1.0, abs=0.3)


def test_without_a_degree_of_freedom_nothing_is_known_of_noise() -> None:
    for sizes in ([1, 1, 1], [3], [2, 1]):
        values = np.random.default_rng(0).standard_normal((len(sizes), 3))
        missing = {(i, k) for i, size in enumerate(sizes) for k in range(size, 3)}
        assert fit(cells(values, missing)).tells_of_noise == (sizes == [3])


def test_a_cell_that_shares_no_seed_stands_alone() -> None:
    """As imported runs do, whose seeds are unknown."""
    found = fit([Cell((1, 2), (1.0, 3.0)), Cell((7,), (9.0,)), Cell((), ())])
    assert found.means[:2] == pytest.approx([2.0, 9.0])
    assert np.isnan(found.means[2])
    assert found.residuals[0] == pytest.approx([-np.sqrt(2), np.sqrt(2)])
    assert [len(own) for own in found.residuals] == [2, 0, 0]
    assert found.choices(1) == pytest.approx(found.residuals[0])
    assert found.num_parts == 2


def test_two_groups_that_share_no_seed_are_fitted_apart() -> None:
    one = cells(np.array([[1.0, 2.0], [2.0, 3.0]]))
    other = [Cell((8, 9), (5.0, 7.0)), Cell((9,), (8.0,))]
    found = fit([*one, *other])
    assert found.means == pytest.approx([1.5, 2.5, 6.0, 7.0])
