"""A store beside the paper's points."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.coefficients import Array, coefficients
from analysis.points import Mean, Panel, Point, panels
from analysis.published import (
    Comparison,
    Margins,
    PublishedPanel,
    compare,
    comparison_grids,
    published_panels,
    seed_noise,
)
from analysis.rows import read_rows
from analysis.settings import OWN
from orchestrator.language.shipped import find
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.upkeep.importing import import_logs
from tests.analysis.stores import add, fill, paper_trials
from tests.conftest import GOLDEN
from trainer.catalog import AUGMENTATIONS
from trainer.problems import UserError

PAIR = "wrn_40_2/wrn_16_2"
NOISE = {"t_stddev": 2e-5, "s_test_loss": 0.004}


def store_around_the_paper(
    root: Path, shift: float = 0.0, seeds: tuple[int, ...] = (0, 1, 2), noisier: float = 1
) -> list[Panel]:
    """The published points with seed noise, and the loss of mixup shifted."""
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    store = Store(root)
    generator = np.random.default_rng(0)
    for trial in paper_trials([PAIR], ["cifar100"], seeds):
        noise = noisier * generator.standard_normal()
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


def verdicts(comparison: Comparison) -> Counter[str]:
    found = [d for cells in comparison.cells.values() for d in cells.values()]
    return Counter(comparison.verdict(difference) for difference in found)


def test_a_store_like_the_paper_is_the_same(tmp_path: Path) -> None:
    (comparison,) = compare(store_around_the_paper(tmp_path))
    assert comparison.differing == ()
    assert verdicts(comparison).total() == 18
    assert verdicts(comparison)["same"] >= 16
    assert verdicts(comparison)["different"] == 0
    assert comparison.coefficients["pearson"].verdict == "same"


def test_a_cell_that_is_off_is_different(tmp_path: Path) -> None:
    (comparison,) = compare(store_around_the_paper(tmp_path, shift=0.05))
    found = comparison.cells["s_test_loss"]["mixup"]
    assert found.verdict == "different"
    noise, freedom = seed_noise([y for _, _, y in comparison.panel.cells()])
    error = noise * math.sqrt(1 / 3 + 1 / 3)
    for interval, quantile in ((found.at_90, 0.95), (found.at_95, 0.975)):
        reach = stats.t.ppf(quantile, freedom) * error + 0.00005
        assert interval.high - interval.low == pytest.approx(2 * reach)
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    spread = np.std(list(published.s_test_loss.values()), ddof=1)
    assert found.margin == pytest.approx(spread / 2)


def test_noise_does_not_win(tmp_path: Path) -> None:
    """So noisy that nothing can be told: that is no agreement."""
    (comparison,) = compare(store_around_the_paper(tmp_path, noisier=40))
    assert verdicts(comparison)["same"] == 0
    assert verdicts(comparison)["undecided"] >= 15
    assert {d.verdict for d in comparison.coefficients.values()} == {"undecided"}


def shifted_panel(generator: np.random.Generator, shift: float, noise: float) -> Panel:
    """The published points as another lab's mean of three would be, `shift` off; in standard deviations."""
    (published,) = [p for p in published_panels() if p.pair == PAIR]

    def cells(values: dict[str, float]) -> dict[str, Mean]:
        spread = np.std(list(values.values()), ddof=1)
        found = {}
        for name, value in values.items():
            theirs = noise * generator.standard_normal() / math.sqrt(3)
            drawn = value + spread * (shift - theirs + noise * generator.standard_normal(3))
            found[name] = Mean(
                float(drawn.mean()),
                float(drawn.std(ddof=1)),
                (0, 1, 2),
                tuple(map(float, drawn)),
                (name,) * 3,
            )
        return found

    x, y = cells(published.t_stddev), cells(published.s_test_loss)
    points = tuple(Point(name, y[name], None, x[name]) for name in x)
    teacher, student = PAIR.split("/")
    return Panel("cifar100", teacher, student, "", OWN, "f", points)


@pytest.mark.parametrize("margin", [0.2, 0.5])
def test_what_differs_by_a_margin_is_hardly_ever_the_same_at_any_noise(margin: float) -> None:
    """Two one-sided tests at 5%: what lies on the margin is called the same in 5% at most."""
    generator = np.random.default_rng(0)
    shares = []
    for noise in (0.05, 0.3, 1.0):
        found = [
            difference.verdict
            for _ in range(60)
            for comparison in compare(
                [shifted_panel(generator, margin, noise)], num_samples=100, margins=Margins(margin)
            )
            for cells in comparison.cells.values()
            for difference in cells.values()
        ]
        shares.append(found.count("same") / len(found))
    # Cells of a panel share the estimate of noise, so that they err together.
    assert max(shares) < 0.08
    assert shares[-1] < 0.01


def test_more_noise_or_a_smaller_margin_never_makes_more_cells_the_same() -> None:
    def num_same(noise: float, margins: Margins) -> int:
        panel = shifted_panel(np.random.default_rng(1), 0.0, noise)
        (comparison,) = compare([panel], num_samples=500, margins=margins)
        differences = [d for cells in comparison.cells.values() for d in cells.values()]
        found = [*differences, *comparison.coefficients.values()]
        return sum(difference.verdict == "same" for difference in found)

    by_noise = [num_same(noise, Margins()) for noise in (0.01, 0.1, 0.3, 1.0, 3.0)]
    assert by_noise == sorted(by_noise, reverse=True)
    assert (by_noise[0], by_noise[-1]) == (21, 0)
    by_margin = [num_same(0.1, Margins(m, m / 5)) for m in (0, 0.1, 0.3, 1.0)]
    assert by_margin == sorted(by_margin)
    assert by_margin[0] == 0


def test_margins_are_told_wherever_a_verdict_stands() -> None:
    panel = shifted_panel(np.random.default_rng(1), 0.0, 0.05)
    panel = replace(panel, hyperparameters={})
    (comparison,) = compare([panel], num_samples=100, margins=Margins(0.25, 0.05))
    (grid,) = comparison_grids([replace(comparison, differing=())])
    by_name = {row.heading: row.entries[3].text for row in grid.rows}
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    quarter = 0.25 * np.std(list(published.s_test_loss.values()), ddof=1)
    assert by_name["S. test loss: mixup"] == f"same (±{quarter:.4f})"
    assert by_name["Pearson, n = 9"] == "same (±0.0500)"
    (told,) = [note for note in grid.notes if note.startswith("same: ")]
    assert "for cells is 0.25 standard deviations" in told
    assert "for coefficients 0.05" in told
    assert {record["margin"] for record in grid.records if record["what"] == "kendall"} == {0.05}


def turned(folder: Path, augmentations: Sequence[str] = AUGMENTATIONS) -> Comparison:
    """What was best is worst, with next to no noise."""
    store = Store(folder)
    (published,) = [p for p in published_panels() if p.pair == PAIR]
    names = sorted(augmentations, key=lambda name: published.s_test_loss[name])
    noise = np.random.default_rng(0)
    for trial in paper_trials([PAIR], ["cifar100"], augmentations=augmentations):
        name = trial.augmentation or ""
        wobble = 1e-4 * noise.standard_normal()
        if trial.kind == "stddev":
            add(store, trial, t_stddev=published.t_stddev[name] + wobble / 100)
        elif trial.kind == "student":
            other = names[len(names) - 1 - names.index(name)]
            add(store, trial, test_loss=published.s_test_loss[other] + wobble)
    (comparison,) = compare(panels(read_rows(store)))
    return comparison


def test_coefficients_that_are_far_off_are_different(tmp_path: Path) -> None:
    assert {d.verdict for d in turned(tmp_path).coefficients.values()} == {"different"}


def test_three_points_that_say_the_opposite_are_never_the_same(tmp_path: Path) -> None:
    """n = 3, published +0.50, ours -0.50: once "inside"."""
    comparison = turned(tmp_path, ["identity", "mixup", "cutmix"])
    assert comparison.n == 3
    assert "same" not in {d.verdict for d in comparison.coefficients.values()}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"student": {"epochs": 2}},
            [
                "student.epochs 2, the paper's 240",
                "student.milestones [], the paper's [150, 180, 210]",
            ],
        ),
        ({"student": {"temperature": 2}}, ["student.temperature 2.0, the paper's 4.0"]),
        ({"student": {"learning_rate": 0.1}}, ["student.learning_rate 0.1, the paper's 0.05"]),
        ({"stddev": {"epochs": 3}}, ["stddev.epochs 3, the paper's 10"]),
        ({"randomness": "sample"}, ["randomness sample, the paper's batch"]),
        ({"teachers": {"epochs": 2}}, ["teachers.epochs 2, the paper's 240"]),
        (
            {"dataset": {"name": "cifar100", "mean": [0.5] * 3, "std": [0.25] * 3}},
            [
                "student.data.mean [0.5, 0.5, 0.5], the paper's [0.5071, 0.4867, 0.4408]",
                "student.data.std [0.25, 0.25, 0.25], the paper's [0.2675, 0.2565, 0.2761]",
            ],
        ),
    ],
)
def test_other_settings_than_the_papers_are_told_and_there_is_no_verdict(
    changes: dict[str, object], told: list[str], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    content = {"name": "x", "dataset": "cifar100", "pairs": [PAIR], "seeds": [0, 1]}
    for trial in expand(Sweep.model_validate(content | changes)):
        add(store, trial)
    (comparison,) = compare(panels(read_rows(store)))
    assert [text for text in told if text in comparison.differing] == told
    assert set(verdicts(comparison)) == {"other settings"}
    (grid,) = comparison_grids([comparison])
    assert grid.notes[0].startswith("no verdict: other settings than the paper's: ")
    assert {row.entries[3].text for row in grid.rows} == {"other settings"}
    assert {record["verdict"] for record in grid.records} == {"other settings"}


def test_imported_runs_of_other_options_are_told(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("distill_cutmix", "tstddev_mixup"):
        log = (GOLDEN / "author_logs" / f"{name}.txt").read_text()
        log = log.replace("('model_t': resnet20)", "('model_t': wrn_40_2)")
        log = log.replace("('model_s': resnet8)", "('model_s': wrn_16_2)")
        (tmp_path / "logs" / f"{name}.txt").write_text(log)
    store = Store(tmp_path / "store")
    assert import_logs(tmp_path / "logs", store).refused == []
    (comparison,) = compare(panels(read_rows(store)))
    assert comparison.differing == (
        "stddev.epochs 2, the paper's 10",
        "student.epochs 2, the paper's 240",
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("('n_pick': 64)", "('n_pick': 32)", "n_pick 32, the paper's 64"),
        ("('distill': kd)", "('distill': crd)", "student.distill crd, the paper's kd"),
        ("('beta': 0.0)", "('beta': 0.8)", "student.beta 0.8, the paper's 0.0"),
        ("('amp': False)", "('amp': True)", "student.amp True, the paper's False"),
    ],
)
def test_imported_runs_of_another_loss_or_pick_are_told(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    log = (GOLDEN / "author_logs" / "distill_cutmix_pick_student_entropy.txt").read_text()
    log = log.replace("('model_t': resnet20)", "('model_t': wrn_40_2)")
    log = log.replace("('model_s': resnet8)", "('model_s': wrn_16_2)")
    assert old in log
    (tmp_path / "logs" / "log.txt").write_text(log.replace(old, new))
    store = Store(tmp_path / "store")
    assert import_logs(tmp_path / "logs", store).refused == []
    (comparison,) = compare(panels(read_rows(store)))
    assert told in comparison.differing


def test_fewer_images_are_other_settings(tmp_path: Path) -> None:
    store = Store(tmp_path)
    content = {"name": "x", "dataset": "cifar100", "pairs": [PAIR], "seeds": [0]}
    small = content | {"dataset": {"name": "cifar100", "train_images": 1000}}
    for trial in expand(Sweep.model_validate(small)):
        add(store, trial)
    (comparison,) = compare(panels(read_rows(store)))
    assert any("train_images 1000, the paper's 50000" in text for text in comparison.differing)


def test_the_papers_own_settings_differ_in_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("paper_cifar100", "paper_tinyimagenet"):
        sweep = load_sweep(find(name))
        for trial in expand(sweep):
            if trial.seed == 0:
                add(store, trial)
    found = compare(panels(read_rows(store)))
    assert len(found) == len(published_panels())
    assert [comparison.differing for comparison in found] == [()] * len(found)


def test_single_seeds_and_missing_cells_are_unknown(tmp_path: Path) -> None:
    (comparison,) = compare(store_around_the_paper(tmp_path, seeds=(0,)))
    assert comparison.cells["t_stddev"]["flip"].verdict == "unknown"
    assert comparison.coefficients["kendall"].verdict == "unknown"
    part = tmp_path / "part"
    kept = paper_trials([PAIR], ["cifar100"], augmentations=["flip", "mixup"])
    (partial,) = compare(panels(read_rows(fill(Store(part), kept))))
    assert partial.n == 2
    assert partial.ours["t_stddev"].get("cutmix") is None
    (grid,) = comparison_grids([partial])
    by_name = {row.heading: row.entries for row in grid.rows}
    assert by_name["T. stddev: cutmix"][1].is_missing
    assert by_name["Kendall, n = 2"][1].is_missing
    assert "unknown (missing, not finite, or one seed only)" in grid.notes[0]


def test_the_verdicts_are_written_out(tmp_path: Path) -> None:
    comparisons: list[Comparison] = compare(store_around_the_paper(tmp_path, shift=0.05))
    (grid,) = comparison_grids(comparisons)
    by_name = {row.heading: row.entries for row in grid.rows}
    assert by_name["S. test loss: mixup"][3].text == "DIFFERENT"
    assert by_name["S. test loss: flip"][3].text.startswith("same (±0.0")
    assert {record["verdict"] for record in grid.records} >= {"same", "different"}


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
    assert comparison.cells["s_test_loss"]["mixup"].verdict == "unknown"
    assert comparison.n == 8
    (grid,) = comparison_grids([comparison])
    (row,) = [row for row in grid.rows if row.heading == "S. test loss: mixup"]
    assert (row.entries[1].text, row.entries[1].is_missing) == ("3 not finite", True)
