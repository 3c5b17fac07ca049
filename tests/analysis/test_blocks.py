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
    assert found.residuals == pytest.approx(np.zeros(len(found.residuals)), abs=1e-5)


def test_residuals_vary_as_the_noise_does() -> None:
    generator = np.random.default_rng(0)
    squares = []
    for _ in range(2000):
        noise = generator.standard_normal((4, 3)) + 10 * generator.standard_normal(3)
        squares.append((fit(cells(noise, {(0, 2)})).residuals ** 2).mean())
    assert np.mean(squares) == pytest.approx(1.0, abs=0.03)


def test_a_cell_that_shares_no_seed_stands_alone() -> None:
    """As imported runs do, whose seeds are unknown."""
    found = fit([Cell((1, 2), (1.0, 3.0)), Cell((7,), (9.0,)), Cell((), ())])
    assert found.means[:2] == pytest.approx([2.0, 9.0])
    assert np.isnan(found.means[2])
    assert found.residuals == pytest.approx([-np.sqrt(2), np.sqrt(2), 0.0])


def test_two_groups_that_share_no_seed_are_fitted_apart() -> None:
    one = cells(np.array([[1.0, 2.0], [2.0, 3.0]]))
    other = [Cell((8, 9), (5.0, 7.0)), Cell((9,), (8.0,))]
    found = fit([*one, *other])
    assert found.means == pytest.approx([1.5, 2.5, 6.0, 7.0])
