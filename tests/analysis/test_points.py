"""From rows to points: joined by the teacher's fingerprint, averaged over seeds only."""

import math
from pathlib import Path
from typing import Any

import pytest

from analysis.bootstrap import Bootstrap
from analysis.evidence import weigh
from analysis.points import Panel, in_order, panels
from analysis.rows import read_rows
from analysis.tables import coefficient_lines
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.analysis.stores import add
from tests.trainer.data_files import write_image_folder
from trainer.catalog import AUGMENTATIONS
from trainer.problems import UserError
from trainer.trial import Trial

PAIRS = ["resnet20/resnet8", "resnet20/resnet14"]


def sweep(**changes: Any) -> Sweep:
    content = {"name": "x", "dataset": "fashion_mini", "pairs": PAIRS, "seeds": [0, 1]}
    return Sweep.model_validate(content | changes)


def made_up(trial: Trial) -> dict[str, Any]:
    """Worse and wider for earlier augmentations."""
    known = trial.augmentation in AUGMENTATIONS
    rank = AUGMENTATIONS.index(str(trial.augmentation)) if known else 0
    if trial.kind == "stddev":
        wider = 0.001 if trial.student == "resnet14" else 0.0
        return {"t_stddev": 0.01 - 0.0005 * rank + 0.00001 * trial.seed + wider}
    return {"test_loss": 2 - 0.1 * rank + 0.01 * trial.seed, "test_accuracy": 0.5}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def fill(store: Store, *sweeps: Sweep) -> list[Panel]:
    for wanted in sweeps:
        for trial in expand(wanted):
            add(store, trial, **made_up(trial))
    return panels(read_rows(store))


def test_one_panel_per_pair_with_all_augmentations(store: Store) -> None:
    found = fill(store, sweep())
    assert [panel.pair for panel in found] == ["resnet20/resnet14", "resnet20/resnet8"]
    for panel in found:
        assert [point.augmentation for point in panel.complete] == list(AUGMENTATIONS)
        assert panel.variant == ""
        assert panel.correlation.n == 9
        assert panel.correlation.spearman > 0.8


def test_cells_are_means_over_seeds(store: Store) -> None:
    point = fill(store, sweep())[0].points[0]
    assert point.test_loss is not None
    assert point.test_loss.seeds == (0, 1)
    assert point.test_loss.mean == pytest.approx(2.005)
    assert point.test_loss.std == pytest.approx(0.01 / math.sqrt(2))


def test_cutmixpick_s_is_joined_by_its_own_student(store: Store) -> None:
    by_pair = {panel.pair: panel for panel in fill(store, sweep())}
    values = {
        pair: {p.augmentation: p.t_stddev.mean for p in panel.points if p.t_stddev}
        for pair, panel in by_pair.items()
    }
    first, second = (values[pair] for pair in PAIRS)
    assert second["cutmixpick_s"] == pytest.approx(first["cutmixpick_s"] + 0.001)
    assert second["cutmixpick_t"] == first["cutmixpick_t"]


def test_different_settings_and_teachers_are_never_averaged(store: Store) -> None:
    warmer = sweep(student={"temperature": 8})
    longer = sweep(teachers={"epochs": 300})
    found = fill(store, sweep(), warmer, longer)
    assert len(found) == 3 * len(PAIRS)
    assert len({panel.title for panel in found}) == len(found)
    assert any("student.temperature=8" in panel.variant for panel in found)
    assert all("learning_rate" not in panel.variant for panel in found)
    for panel in found:
        assert all(p.test_loss and p.test_loss.n == 2 for p in panel.points)
        assert all(p.t_stddev and p.t_stddev.n == 2 for p in panel.points)


def test_stddev_measured_in_two_ways_makes_two_panels(store: Store) -> None:
    found = fill(store, sweep(), sweep(stddev={"epochs": 20}))
    assert len(found) == 2 * len(PAIRS)


def test_partial_sweeps_give_partial_panels(store: Store) -> None:
    for trial in expand(sweep(pairs=PAIRS[:1])):
        if trial.augmentation in (None, "flip", "mixup") and trial.kind != "stddev":
            add(store, trial, **made_up(trial))
        if trial.augmentation == "mixup":
            add(store, trial, **made_up(trial))
    (panel,) = panels(read_rows(store))
    assert [point.augmentation for point in panel.points] == ["flip", "mixup"]
    assert [point.augmentation for point in panel.complete] == ["mixup"]
    assert coefficient_lines(panel.correlation)[0].startswith("no correlation yet: 1 augmentations")


def test_an_empty_store_has_no_panels(store: Store) -> None:
    assert panels(read_rows(store)) == []


def test_a_value_that_is_not_finite_is_left_out_and_counted(store: Store) -> None:
    for trial in expand(sweep(pairs=PAIRS[:1])):
        numbers = made_up(trial)
        diverged = trial.augmentation == "mixup" or (trial.augmentation, trial.seed) == ("flip", 0)
        if trial.kind == "student" and diverged:
            numbers["test_loss"] = math.nan
        add(store, trial, **numbers)
    (panel,) = panels(read_rows(store))
    by_name = {point.augmentation: point for point in panel.points}
    flip = by_name["flip"].test_loss
    assert flip is not None
    assert (flip.seeds, flip.num_undefined) == ((1,), 1)
    mixup = by_name["mixup"].test_loss
    assert mixup is not None
    assert (mixup.n, mixup.num_undefined, math.isnan(mixup.mean)) == (0, 2, True)
    assert not by_name["mixup"].is_complete
    assert panel.correlation.n == 8
    assert math.isfinite(panel.correlation.pearson)


def test_own_augmentations_come_after_the_nine() -> None:
    assert in_order(["zoom", "cutmix", "blur", "flip", "flip"]) == [
        "flip",
        "cutmix",
        "blur",
        "zoom",
    ]


def test_a_trial_that_cannot_be_read_is_named(store: Store) -> None:
    (first, *_) = [t for t in expand(sweep()) if t.kind == "student"]
    add(store, first, test_loss=1.0)
    rows = read_rows(store)
    rows["trial"] = rows["trial"].str.replace("student", "pupil")
    with pytest.raises(
        UserError, match=f"result {first.fingerprint[:12]}: its trial cannot be read"
    ):
        panels(rows)


def test_a_missing_trial_shifts_no_cell(store: Store) -> None:
    """A seed that shifts all augmentations: with identity's seed 2 missing, order and coefficients stay."""
    shift = {0: 0.0, 1: 0.0, 2: 3e-4}
    wanted = sweep(pairs=["resnet20/resnet8"], seeds=[0, 1, 2])
    for trial in expand(wanted):
        rank = AUGMENTATIONS.index(trial.augmentation) if trial.augmentation else 0
        if trial.kind == "stddev":
            if (trial.augmentation, trial.seed) != ("identity", 2):
                add(store, trial, t_stddev=0.005 - 1e-5 * rank + shift[trial.seed])
        else:
            add(store, trial, test_loss=2 - 0.1 * rank + 50 * shift[trial.seed], test_accuracy=0.5)
    (panel,) = panels(read_rows(store))
    assert panel.points[0].t_stddev is not None
    assert panel.points[0].t_stddev.n == 2
    assert panel.points[0].t_stddev.mean == pytest.approx(0.005 + 1e-4)
    found = panel.correlation
    assert (found.pearson, found.spearman, found.kendall) == pytest.approx((1, 1, 1))
    (evidence,) = weigh([panel], bootstrap=Bootstrap(200)).evidence
    for estimate in evidence.estimates.values():
        assert math.isnan(estimate.over_seeds.low), "nothing can change: a dash"


def test_a_student_without_augmented_images_stands_for_every_augmentation(store: Store) -> None:
    """It is trained once; its loss depends on no augmentation, so there is no correlation."""
    wanted = sweep(pairs=["resnet20/resnet8"], student={"augmented_weight": 0})
    trials = expand(wanted)
    assert len([trial for trial in trials if trial.kind == "student"]) == 2, "one per seed"
    (panel,) = fill(store, wanted)
    assert len(panel.complete) == 9
    assert len({loss.mean for _, _, loss in panel.cells()}) == 1
    assert math.isnan(panel.correlation.pearson)


def test_one_data_set_under_two_names_has_the_sweep_s_own(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))
    there = {"format": "imagefolder", "path": str(write_image_folder(tmp_path / "images"))}
    small = {"stddev": {"batch_size": 4}, "pairs": ["resnet20/resnet8"]}
    named = [
        sweep(dataset={"name": name, "image_size": 16, **there}, **small)
        for name in ("mine", "yours")
    ]
    fill(store, named[0])
    for wanted in named:
        trials = expand(wanted)
        (panel,) = panels(read_rows(store, trials=trials))
        assert panel.dataset == trials[0].dataset
        assert len(panel.complete) == 9
    later = {"name": "yours", "image_size": 16, **there}
    fill(store, sweep(dataset=later, student={"temperature": 2}, **small))
    assert len({panel.dataset for panel in panels(read_rows(store))}) == 1
