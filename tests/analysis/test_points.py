"""From rows to points: joined by the teacher's fingerprint, averaged over seeds only."""

import io
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.plots import scatter
from analysis.points import Panel, panels
from analysis.tables import as_json, coefficients, panel_tables, written
from orchestrator.keeper import identity_columns
from orchestrator.plan import expand
from orchestrator.store import Store
from orchestrator.sweep import Sweep
from trainer.catalog import AUGMENTATIONS
from trainer.trial import Trial

PAIRS = ["resnet20/resnet8", "resnet20/resnet14"]


def sweep(**changes: Any) -> Sweep:
    content = {"name": "x", "dataset": "fashion_mini", "pairs": PAIRS, "seeds": [0, 1]}
    return Sweep.model_validate(content | changes)


def add(store: Store, trial: Trial) -> None:
    """A finished trial with made-up numbers: worse and wider for earlier augmentations."""
    known = trial.augmentation in AUGMENTATIONS
    rank = AUGMENTATIONS.index(str(trial.augmentation)) if known else 0
    dependencies = {
        name: getattr(trial, name, None)
        for name in ("teacher_fingerprint", "student_fingerprint", "student_cell")
    }
    metrics: dict[str, Any] = {
        "test_loss": 2 - 0.1 * rank + 0.01 * trial.seed,
        "test_accuracy": 0.5,
    }
    if trial.kind == "stddev":
        wider = 0.001 if trial.student == "resnet14" else 0.0
        metrics = {"t_stddev": 0.01 - 0.0005 * rank + 0.00001 * trial.seed + wider}
    row = identity_columns(trial) | dependencies | metrics
    store.add_result(row | {"cell": trial.cell, "trial": trial.model_dump_json()}, [])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def fill(store: Store, *sweeps: Sweep) -> list[Panel]:
    for wanted in sweeps:
        for trial in expand(wanted):
            add(store, trial)
    return panels(store.results())


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
    for panel in found:
        assert all(p.test_loss and p.test_loss.n == 2 for p in panel.points)
        assert all(p.t_stddev and p.t_stddev.n == 2 for p in panel.points)


def test_stddev_measured_in_two_ways_makes_two_panels(store: Store) -> None:
    found = fill(store, sweep(), sweep(stddev={"epochs": 20}))
    assert len(found) == 2 * len(PAIRS)


def test_partial_sweeps_give_partial_panels(store: Store) -> None:
    for trial in expand(sweep(pairs=PAIRS[:1])):
        if trial.augmentation in (None, "flip", "mixup") and trial.kind != "stddev":
            add(store, trial)
        if trial.augmentation == "mixup":
            add(store, trial)
    (panel,) = panels(store.results())
    assert [point.augmentation for point in panel.points] == ["flip", "mixup"]
    assert [point.augmentation for point in panel.complete] == ["mixup"]
    assert coefficients(panel.correlation)[0].startswith("no correlation yet: 1 augmentations")


def test_an_empty_store_has_no_panels(store: Store) -> None:
    assert panels(store.results()) == []


def printed(panels: list[Panel]) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    for table in panel_tables(panels):
        console.print(table)
    return console.export_text()


def test_tables(store: Store) -> None:
    text = printed(fill(store, sweep(pairs=PAIRS[:1])))
    assert "fashion_mini resnet20/resnet8" in text
    assert "2.0050 ± 0.0071" in text
    assert "Kendall" in text
    assert "n = 9" in text


def test_missing_values_are_visible() -> None:
    assert written(None, 4) == "missing"


def test_json_has_no_nan(store: Store) -> None:
    data = as_json(fill(store, sweep(seeds=[0], augmentations=["flip"])))
    assert data[0]["points"][0]["test_loss"]["std"] is None
    assert data[0]["correlation"]["pearson"] is None


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plots(ending: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"scatter.{ending}"
    scatter(fill(store, sweep()), path)
    content = path.read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])
    if ending == "svg":
        assert content.count(b"<!-- cutmixpick_t -->") == len(PAIRS)
        assert b"<!-- Pearson " in content


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        scatter([], tmp_path / "x.png")
