"""A store beside the paper's points."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.coefficients import Array, coefficients
from analysis.points import Mean, Panel, panels
from analysis.published import (
    Comparison,
    PublishedPanel,
    compare,
    comparison_grids,
    published_panels,
    seed_noise,
)
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.stores import add, fill, paper_trials
from tests.conftest import GOLDEN
from trainer.problems import UserError

PAIR = "wrn_40_2/wrn_16_2"
NOISE = {"t_stddev": 2e-5, "s_test_loss": 0.004}


def store_around_the_paper(
    root: Path, shift: float = 0.0, seeds: tuple[int, ...] = (0, 1, 2)
) -> list[Panel]:
    """The published points with seed noise, and the loss of mixup shifted."""
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    store = Store(root)
    generator = np.random.default_rng(0)
    for trial in paper_trials([PAIR], ["cifar100"], seeds):
        noise = generator.standard_normal()
        name = trial.augmentation or ""
        if trial.kind == "stddev":
            add(store, trial, t_stddev=published.t_stddev[name] + NOISE["t_stddev"] * noise)
        elif trial.kind == "student":
            loss = published.s_test_loss[name] + NOISE["s_test_loss"] * noise
            add(store, trial, test_loss=loss + shift * (name == "mixup"))
    return panels(read_rows(store))


def test_the_shipped_points_are_the_published_ones() -> None:
    shipped = Path(__file__).parents[2] / "analysis" / "published_points.csv"
    assert shipped.read_text() == (GOLDEN / "published_points.csv").read_text()
    with (GOLDEN / "published_correlations.csv").open() as file:
        printed = list(csv.DictReader(file))
    for panel in published_panels():
        of_panel = [
            row["value"]
            for row in printed
            if (row["dataset"], row["pair"]) == (panel.dataset, panel.pair)
        ]
        assert [f"{value:.4f}" for value in value_of(panel)] == of_panel


def value_of(panel: PublishedPanel) -> Array:
    """The three coefficients over all points of a published figure."""
    return coefficients(list(panel.t_stddev.values()), list(panel.s_test_loss.values()))


def test_noise_is_pooled_over_cells() -> None:
    def cell(*values: float) -> Mean:
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        seeds = tuple(range(len(values)))
        return Mean(float(np.mean(values)), std, seeds, values, ("f",) * len(values))

    noise, freedom = seed_noise([cell(1.0, 2.0, 6.0), cell(3.0), cell(5.0, 8.0)])
    assert freedom == 3
    assert noise == pytest.approx(math.sqrt((2 * 7.0 + 4.5) / 3))
    assert math.isnan(seed_noise([cell(1.0)])[0])


def test_a_store_like_the_paper_is_inside(tmp_path: Path) -> None:
    (comparison,) = compare(store_around_the_paper(tmp_path))
    verdicts = [v.is_inside for cells in comparison.cells.values() for v in cells.values()]
    assert len(verdicts) == 18
    assert verdicts.count(True) >= 16
    assert all(verdict.is_inside for verdict in comparison.coefficients.values())


def test_a_cell_that_is_off_is_outside(tmp_path: Path) -> None:
    (comparison,) = compare(store_around_the_paper(tmp_path, shift=0.05))
    verdict = comparison.cells["s_test_loss"]["mixup"]
    assert verdict.is_inside is False
    assert verdict.ours is not None
    cells = [y for _, _, y in comparison.panel.cells()]
    noise, freedom = seed_noise(cells)
    reach = stats.t.ppf(0.975, freedom) * noise * math.sqrt(1 / 3 + 1 / 3) + 0.00005
    assert verdict.reach == pytest.approx(reach)


def test_coefficients_that_are_far_off_are_outside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    names = list(published.s_test_loss)
    for trial in paper_trials([PAIR], ["cifar100"]):
        name = trial.augmentation or ""
        wobble = 1e-4 * (trial.seed - 1)
        if trial.kind == "stddev":
            add(store, trial, t_stddev=published.t_stddev[name] + wobble / 100)
        elif trial.kind == "student":
            # Turned round: what was best is worst.
            turned = names[len(names) - 1 - names.index(name)]
            add(store, trial, test_loss=published.s_test_loss[turned] + wobble)
    (comparison,) = compare(panels(read_rows(store)))
    assert not any(verdict.is_inside for verdict in comparison.coefficients.values())


def test_single_seeds_and_missing_cells_are_unknown(tmp_path: Path) -> None:
    (comparison,) = compare(store_around_the_paper(tmp_path, seeds=(0,)))
    assert comparison.cells["t_stddev"]["flip"].is_inside is None
    assert comparison.coefficients["kendall"].is_inside is None
    part = tmp_path / "part"
    kept = paper_trials([PAIR], ["cifar100"], augmentations=["flip", "mixup"])
    (partial,) = compare(panels(read_rows(fill(Store(part), kept))))
    assert partial.n == 2
    assert partial.cells["t_stddev"]["cutmix"].ours is None
    (grid,) = comparison_grids([partial])
    by_name = {row.heading: row.entries for row in grid.rows}
    assert by_name["T. stddev: cutmix"][1].is_missing
    assert by_name["Kendall, n = 2"][1].is_missing
    assert "unknown (missing, not finite, or one seed only)" in grid.notes[0]


def test_the_verdicts_are_written_out(tmp_path: Path) -> None:
    comparisons: list[Comparison] = compare(store_around_the_paper(tmp_path, shift=0.05))
    (grid,) = comparison_grids(comparisons)
    by_name = {row.heading: row.entries for row in grid.rows}
    assert by_name["S. test loss: mixup"][3].text.startswith("OUTSIDE (±0.0")
    assert {record["verdict"] for record in grid.records} == {"inside", "outside"}


def test_nothing_published_is_the_users_mistake(tmp_path: Path) -> None:
    store = fill(Store(tmp_path), paper_trials(["vgg13/vgg8"], ["cifar100"], seeds=[0]))
    with pytest.raises(
        UserError, match=r"nothing to compare: the published points are of cifar100"
    ):
        compare(panels(read_rows(store)))


def test_a_cell_without_a_finite_value_is_unknown_and_says_why(tmp_path: Path) -> None:
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    store = Store(tmp_path)
    for trial in paper_trials([PAIR], ["cifar100"]):
        name, lost = trial.augmentation or "", trial.augmentation == "mixup"
        if trial.kind == "stddev":
            add(store, trial, t_stddev=published.t_stddev[name] + 1e-5 * trial.seed)
        elif trial.kind == "student":
            value = math.nan if lost else published.s_test_loss[name] + 0.001 * trial.seed
            add(store, trial, test_loss=value)
    (comparison,) = compare(panels(read_rows(store)))
    assert comparison.cells["s_test_loss"]["mixup"].is_inside is None
    assert comparison.n == 8
    (grid,) = comparison_grids([comparison])
    (row,) = [row for row in grid.rows if row.heading == "S. test loss: mixup"]
    assert (row.entries[1].text, row.entries[1].is_missing) == ("3 not finite", True)
