"""Stores at the edge: nothing differs, nothing is noise, nothing but noise; three points; two settings; forty-five schemes."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis import plots
from analysis.attenuation import Reliability
from analysis.bootstrap import Bootstrap
from analysis.correlation_tables import correlation_grids, found_notes
from analysis.evidence import Findings, weigh
from analysis.noise_free_tables import noise_free_grids
from analysis.planned_power import Assumptions, planned_power
from analysis.points import panels
from analysis.power import Noise
from analysis.ranking import rank, ranking_grids
from analysis.regret_tables import regret_grids
from analysis.report import render_report
from analysis.report.doubts import doubts
from analysis.rows import read_rows
from analysis.tables import table_grids
from orchestrator.store.store import Store
from tests.analysis.stores import add, made_up_metrics, paper_trials
from trainer.catalog import AUGMENTATIONS
from trainer.trial import StudentTrial, Trial

PAIRS = ("vgg13/vgg8", "wrn_40_2/wrn_16_2")
FEW = Bootstrap(200)

Change = Callable[[Trial, int], dict[str, Any]]


def made(
    folder: Path,
    change: Change = lambda trial, place: {},
    pairs: tuple[str, ...] = PAIRS,
    seeds: tuple[int, ...] = (0, 1, 2),
    augmentations: tuple[str, ...] = AUGMENTATIONS,
) -> Store:
    """A store whose numbers are changed by trial and the place of its augmentation."""
    store = Store(folder / "store")
    for trial in paper_trials(pairs, ["cifar100"], seeds, augmentations):
        place = augmentations.index(trial.augmentation) if trial.augmentation else 0
        add(store, trial, **made_up_metrics(trial) | change(trial, place))
    return store


def found(store: Store) -> Findings:
    return weigh(panels(read_rows(store)), bootstrap=FEW)


def page(store: Store, findings: Findings) -> str:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    options: dict[str, Any] = {"group_by": ("dataset",), "filters": (), "progress": ()}
    made = render_report(
        store, read_rows(store), findings, [], commit=None, at=at, **options
    ).html()
    return " ".join(re.sub(r"<[^>]+>", " ", made).split())


def told(findings: Findings) -> dict[str, str]:
    return dict(re.findall(r"<li><b>(.*?)</b>: (.*?)</li>", doubts(findings)))


def same_stddev(trial: Trial, place: int) -> dict[str, Any]:
    return {"t_stddev": 0.1} if trial.kind == "stddev" else {}


def same_loss(trial: Trial, place: int) -> dict[str, Any]:
    return {"test_loss": 0.7} if trial.kind == "student" else {}


@pytest.mark.parametrize("change", [same_stddev, same_loss])
def test_where_nothing_differs_there_is_no_coefficient_and_it_is_said_why(
    change: Change, tmp_path: Path
) -> None:
    store = made(tmp_path, change)
    findings = found(store)
    for pooled in findings.pooled:
        assert math.isnan(pooled.within.r)
    for evidence in findings.evidence:
        assert math.isnan(evidence.reliability.factor)
    assert list(found_notes(findings)) == []
    shown = page(store, findings)
    assert "Not to be known: all augmentations have the same T. stddev" in shown
    assert "no correlation: all augmentations have the same T. stddev" in shown
    assert "are needed" not in shown
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.clouds(findings, ("dataset",))


@pytest.mark.parametrize("loss", [0.3, 0.7, 0.9, 1.3, 2.7])
def test_of_equal_losses_nothing_is_lost(loss: float, tmp_path: Path) -> None:
    """A mean of equal numbers may be rounded to another."""

    def equal(trial: Trial, place: int) -> dict[str, Any]:
        return {"test_loss": loss} if trial.kind == "student" else {}

    findings = found(made(tmp_path, equal))
    for evidence in findings.evidence:
        assert evidence.regret is not None
        assert evidence.regret.choice.value == evidence.regret.random.value == 0
        assert math.isnan(evidence.regret.share.value)
    for grid in regret_grids(findings):
        for row in grid.rows:
            assert "-0" not in " ".join(entry.text for entry in row.entries)


def all_noise(trial: Trial, place: int) -> dict[str, Any]:
    if trial.kind != "student" or trial.student != "vgg8":
        return {}
    return {
        "test_loss": made_up_metrics(trial)["test_loss"] + 0.3 * ((7 * trial.seed + 5 * place) % 9)
    }


def test_the_noisiest_panel_is_the_one_that_power_and_noise_are_told_of(tmp_path: Path) -> None:
    findings = found(made(tmp_path, all_noise))
    noisy = next(e for e in findings.evidence if e.panel.student == "vgg8")
    assert math.isnan(noisy.estimates["kendall"].smallest_found)
    assert re.search(r"cifar100 vgg13/vgg8, n = 9 and 3 seeds, finds no τ", told(findings)["Power"])
    (note,) = found_notes(findings)
    assert "to none" in note
    alone = found(made(tmp_path / "alone", all_noise, pairs=("vgg13/vgg8",)))
    assert "Seed noise" in told(alone)
    assert "to none" not in next(found_notes(alone))
    assert "least: Kendall none" in next(found_notes(alone))
    assert list(noise_free_grids(alone))


def perfect(trial: Trial, place: int) -> dict[str, Any]:
    if trial.kind == "stddev":
        return {"t_stddev": 0.01 - 5e-4 * place + 1e-7 * ((trial.seed * 3 + place) % 4)}
    loss = 2 - 0.1 * place + 1e-4 * ((7 * trial.seed + place) % 3)
    return {"test_loss": loss} if trial.kind == "student" else {}


def test_where_all_redraws_agree_it_is_not_for_want_of_seeds(tmp_path: Path) -> None:
    findings = found(made(tmp_path, perfect))
    said = told(findings)
    assert said["Other seeds"] == "all redraws of the seeds give the same τ."
    assert "tell nothing of others" in said["Other augmentations"]
    (pooled,) = findings.pooled
    assert math.isnan(pooled.estimates["kendall"].over_teachers.low)


def test_three_and_four_points_have_no_interval_over_augmentations_from_redraws(
    tmp_path: Path,
) -> None:
    findings = found(made(tmp_path, augmentations=AUGMENTATIONS[:4]))
    for evidence in findings.evidence:
        assert math.isnan(evidence.estimates["pearson"].over_augmentations.low)
        assert math.isfinite(evidence.estimates["kendall"].over_augmentations.low)
    (pooled,) = findings.pooled
    for estimate in pooled.estimates.values():
        assert math.isnan(estimate.over_augmentations.low)
    notes = [note for grid in correlation_grids(findings) for note in grid.notes]
    assert any("Pearson's coefficient below 5 of them" in note for note in notes)


def test_the_answer_is_of_the_widest_pool_and_names_its_setting(tmp_path: Path) -> None:
    pairs = (*PAIRS, "resnet56/resnet20", "resnet32x4/resnet8x4")
    store = made(tmp_path, pairs=pairs)
    for trial in paper_trials(PAIRS, ["cifar100"], (0, 1, 2)):
        if trial.kind == "student":
            other = StudentTrial(**trial.model_dump(exclude={"kind"}) | {"temperature": 8.0})
            add(store, other)
    shown = page(store, found(store))
    assert "Over 4 pairs of 4 teachers (student.temperature=4.0)" in shown


def test_a_point_that_lacks_one_value_is_named(tmp_path: Path) -> None:
    def diverged(trial: Trial, place: int) -> dict[str, Any]:
        is_hit = trial.kind == "student" and trial.augmentation == "mixup"
        return {"test_loss": math.nan} if is_hit else {}

    findings = found(made(tmp_path, diverged, pairs=("vgg13/vgg8",)))
    left = "left out, since they lack T. stddev or S. test loss: mixup of cifar100 vgg13/vgg8"
    for grid in (next(regret_grids(findings)), next(correlation_grids(findings))):
        assert left in grid.notes
    assert f"<b>Partial</b>: {left}." in doubts(findings)


def test_nothing_is_said_of_what_was_not_done(tmp_path: Path) -> None:
    """Methods that are copied into a paper."""
    store = made(tmp_path, pairs=("vgg13/vgg8",), seeds=(0,), augmentations=AUGMENTATIONS[:2])
    shown = page(store, found(store))
    for word in ("0 coefficients", "p-values", "cutmixpick_s", "share a teacher", "1 seeds"):
        assert word not in shown, word
    assert "Here n = 1 seed per cell." in shown


def test_reliability_is_low_whichever_is() -> None:
    assert Reliability(0.5, math.nan).is_low
    assert Reliability(math.nan, 0.5).is_low
    assert not Reliability(math.nan, math.nan).is_low


def test_power_of_more_augmentations_than_are_simulated_is_told_of_so_many() -> None:
    planned = planned_power(
        Assumptions(0.5, Noise(0.3, 0.3), "as stated"), n=45, num_seeds=3, num_tests=3
    )
    assert planned.own.n == 45
    assert planned.own in planned.sizes


@pytest.mark.parametrize(
    ("seeds_of", "said"),
    [
        (lambda place: (0, 1, 2) if place == 0 else (), "there is nothing to compare it with"),
        (lambda place: (2 * place, 2 * place + 1), "no two seeds that all have"),
        (lambda place: (0,), "with one seed nothing says"),
    ],
)
def test_a_ranking_says_why_it_knows_no_more(
    seeds_of: Callable[[int], tuple[int, ...]], said: str, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    for trial in paper_trials(("vgg13/vgg8",), ["cifar100"], range(6), AUGMENTATIONS[:3]):
        if trial.kind != "stddev":
            continue
        if trial.seed in seeds_of(AUGMENTATIONS.index(trial.augmentation)):
            add(store, trial)
    (grid,) = ranking_grids(rank(read_rows(store)))
    assert said in grid.notes[0]


def test_many_augmentations_are_told_in_every_table_and_on_the_page(tmp_path: Path) -> None:
    many = (*AUGMENTATIONS, *(f"cutmixpick{k}_t" for k in range(3, 39)))
    store = made(tmp_path, pairs=("vgg13/vgg8",), seeds=(0, 1), augmentations=many)
    findings = found(store)
    grids = table_grids([e.panel for e in findings.evidence], findings)
    texts = [entry.text for grid in grids for row in grid.rows for entry in row.entries]
    assert not any("nan" in text.lower() for text in texts)
    shown = page(store, findings)
    # At most nine ranks are named at an axis of ranks.
    assert " 1 6 11 16 21 26 31 36 41 " in shown
