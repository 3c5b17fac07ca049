import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.correlations import correlate
from tests.conftest import GOLDEN


def rows(name: str) -> list[dict[str, str]]:
    with (GOLDEN / f"published_{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "printed", rows("correlations"), ids=lambda r: f"{r['pair']}-{r['coefficient']}"
)
def test_the_papers_figures(printed: dict[str, str]) -> None:
    """Each coefficient to 4 decimals, each p-value (in percent) to the printed digits."""
    of_figure = [
        (float(row["t_stddev"]), float(row["s_test_loss"]))
        for row in rows("points")
        if (row["dataset"], row["pair"]) == (printed["dataset"], printed["pair"])
    ]
    correlation = correlate(*zip(*of_figure, strict=True))
    assert correlation.n == 9
    name = printed["coefficient"]
    assert f"{getattr(correlation, name):.4f}" == printed["value"]
    assert f"{100 * getattr(correlation, f'{name}_p'):.2f}" == printed["p_percent"]


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=3, max_size=12))
def test_coefficients_do_not_change_under_shift_scale_and_order(
    points: list[tuple[int, int]],
) -> None:
    x, y = np.array(points, dtype=float).T
    plain, moved = correlate(x, y), correlate(4 * x[::-1] + 16, y[::-1] / 2)
    for name in ("pearson", "spearman", "kendall"):
        value = getattr(plain, name)
        assert math.isnan(value) or -1 - 1e-9 <= value <= 1 + 1e-9
        assert getattr(moved, name) == pytest.approx(value, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([], [])])
def test_where_it_is_undefined_it_is_nan(x: list[float], y: list[float]) -> None:
    correlation = correlate(x, y)
    assert math.isnan(correlation.pearson)
    assert math.isnan(correlation.kendall_p)
    assert correlation.n == len(x)


@pytest.mark.parametrize(("x", "y"), [([1, 2, 3], [1, 2]), ([1, 2, math.nan], [1, 2, 3])])
def test_nan_never_poisons_silently(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match=r"length|finite"):
        correlate(x, y)
