"""What tables, CSV and JSON say of seed noise, of new teachers and of slopes, on a store."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.attenuation import WithoutNoise
from analysis.bootstrap import UNDEFINED, Bootstrap, Interval
from analysis.correlation_tables import correlation_grids
from analysis.evidence import Findings, weigh
from analysis.formats import csv_lines
from analysis.grid import DASH, Row
from analysis.noise_free_tables import free_of_noise, noise_free_grids
from analysis.partial_pooling import hierarchy
from analysis.points import Panel, panels
from analysis.pooling import panel_draws
from analysis.rows import read_rows
from analysis.tables import as_json
from analysis.within_teachers import repeated_measures
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials

FEW = Bootstrap(200)
PAIRS = ("vgg13/vgg8", "vgg13/MobileNetV2", "resnet56/resnet20", "wrn_40_2/wrn_16_2")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Panel]:
    store = Store(tmp_path_factory.mktemp("store"))
    return panels(read_rows(fill(store, paper_trials(PAIRS))))


@pytest.fixture(scope="module")
def findings(found: list[Panel]) -> Findings:
    return weigh(found, bootstrap=FEW)


def test_panels_and_pools_have_their_coefficients_without_noise_and_reliabilities(
    findings: Findings,
) -> None:
    (grid,) = noise_free_grids(findings)
    (evidence, *_) = findings.evidence
    estimate = evidence.estimates["pearson"]
    expected = estimate.value / evidence.reliability.factor
    assert estimate.without_noise.value == pytest.approx(expected)
    row = grid.rows[0]
    assert row.heading == evidence.panel.title
    assert row.entries[0].text.startswith(f"{expected:.3f} (")
    shares = evidence.reliability
    assert row.entries[3].text == f"{shares.t_stddev:.3f}, {shares.s_test_loss:.3f}"
    assert [row.heading for row in grid.rows[8:]] == [f"pooled: {p.group}" for p in findings.pooled]
    assert not any("R below" in note for note in grid.notes)


def test_what_is_hardly_more_than_noise_is_told(found: list[Panel]) -> None:
    generator = np.random.default_rng(0)
    points = []
    for place, point in enumerate(found[0].points):
        assert point.test_loss is not None
        values = 1 + 0.01 * place + 0.06 * generator.standard_normal(3)
        loss = replace(point.test_loss, mean=float(values.mean()), values=tuple(map(float, values)))
        points.append(replace(point, test_loss=loss))
    noisy = replace(found[0], points=tuple(points))
    findings = weigh([noisy, *found[1:3]], bootstrap=FEW)
    assert 0 < findings.evidence[0].reliability.s_test_loss < 0.7
    (grid,) = noise_free_grids(findings)
    assert any(note.startswith("1 of 3 panels have an R below 0.7") for note in grid.notes)
    assert grid.rows[-1].entries[-1].text == "low"
    assert [row.entries[-1].text for row in noise_free_rows(found)][-1] == ""


def noise_free_rows(panels: list[Panel]) -> tuple[Row, ...]:
    (grid,) = noise_free_grids(weigh(panels, bootstrap=FEW))
    return grid.rows


def test_a_coefficient_that_is_cut_says_so() -> None:
    cut = WithoutNoise(1.0, Interval(0.95, 1.0), is_clipped=True)
    assert free_of_noise(cut) == "1.000 (0.950 to 1.000), clipped"
    assert free_of_noise(replace(cut, value=0.97, is_clipped=False)) == "0.970 (0.950 to 1.000)"
    assert free_of_noise(WithoutNoise(math.nan, UNDEFINED, is_clipped=False)) == DASH
    assert free_of_noise(WithoutNoise(1.0, UNDEFINED, is_clipped=False)) == "1.000"


def test_the_next_teacher_is_by_teachers_and_by_architectures(
    found: list[Panel], findings: Findings
) -> None:
    pooled = findings.pooled[-1]
    assert (len(pooled.teachers), pooled.architectures) == (6, ("resnet56", "vgg13", "wrn_40_2"))
    estimate = pooled.estimates["kendall"]
    draws = [
        panel_draws(*map(tuple, list(zip(*panel.cells(), strict=True))[1:]), FEW)[0]
        for panel in found
    ]
    by_teacher: dict[tuple[str, str], list[np.ndarray]] = {}
    for panel, drawn in zip(found, draws, strict=True):
        by_teacher.setdefault((panel.dataset, panel.teacher), []).append(drawn[:, 2])
    of_teachers = np.stack([np.mean(d, axis=0) for d in by_teacher.values()], axis=1)
    expected = hierarchy("kendall", np.array(estimate.of_teachers), of_teachers)
    assert estimate.by_teacher.next_unit.low == pytest.approx(expected.next_unit.low)
    values = np.array(estimate.of_teachers).reshape(2, 3).mean(0)
    names = [name.split()[1] for name in pooled.teachers]
    assert names == [*pooled.architectures] * 2
    assert estimate.by_architecture.mean == pytest.approx(math.sin(np.arcsin(values).mean()))
    *_, grid = correlation_grids(findings)
    entry = grid.rows[-1].entries[grid.headings.index("95% next teacher")]
    assert entry.text == f"{expected.next_unit.low:.3f} to {expected.next_unit.high:.3f}"
    assert any(
        note.startswith(
            "with the 3 architectures of teachers as units (random effects, 95%): all: mean Pearson "
        )
        for note in grid.notes
    )
    assert not any("cifar100: mean Pearson" in note for note in grid.notes)


def test_the_slope_within_teachers_averages_a_teachers_pairs_first(
    found: list[Panel], findings: Findings
) -> None:
    pooled = findings.pooled[0]
    mine = [panel for panel in found if panel.dataset == "cifar100"]
    points: dict[str, list[np.ndarray]] = {}
    for panel in mine:
        points.setdefault(panel.teacher, []).append(np.array(panel.coordinates()))
    x, y = np.stack([np.mean(of_pairs, axis=0) for of_pairs in points.values()], axis=1)
    assert pooled.within.r == pytest.approx(float(repeated_measures(x, y)))
    assert pooled.within.freedom == 3 * 8 - 1
    *_, grid = correlation_grids(findings)
    assert any(
        note.startswith(
            f"within teachers: cifar100: one slope for all, repeated-measures r = {pooled.within.r:.3f} (23 "
        )
        for note in grid.notes
    )


def test_all_of_it_is_in_json_and_csv(found: list[Panel], findings: Findings) -> None:
    data = json.loads(json.dumps(as_json(found, findings), allow_nan=False))
    evidence = data["panels"][0]["evidence"]
    assert set(evidence["reliability"]) == {"t_stddev", "s_test_loss"}
    assert evidence["pearson"]["simex"] is None
    assert evidence["kendall"]["simex"] == findings.evidence[0].estimates["kendall"].simex
    assert set(evidence["kendall"]["without_noise"]) == {"value", "interval", "is_clipped"}
    pooled = data["pooled"][-1]
    assert {"slope", "r", "freedom", "by_freedom", "over_augmentations"} == set(pooled["within"])
    assert len(pooled["estimates"]["pearson"]["by_teacher"]["of_units"]) == len(pooled["teachers"])
    rows = list(csv.DictReader(io.StringIO(csv_lines(list(correlation_grids(findings))))))
    last = [row for row in rows if row["table"] == "pooled"][-1]
    told = findings.pooled[-1].estimates["kendall"]
    assert float(last["next_teacher_low"]) == told.by_teacher.next_unit.low
    assert (
        float(rows[0]["without_noise"])
        == findings.evidence[0].estimates["pearson"].without_noise.value
    )


def test_without_two_seeds_none_of_it_is_known(tmp_path: Path) -> None:
    store = fill(Store(tmp_path), paper_trials(PAIRS, ["cifar100"], seeds=[0]))
    findings = weigh(panels(read_rows(store)), bootstrap=FEW)
    estimate = findings.evidence[0].estimates["spearman"]
    assert math.isnan(estimate.without_noise.value)
    assert math.isnan(estimate.simex)
    assert math.isnan(findings.pooled[0].estimates["pearson"].by_teacher.mean)
    assert math.isfinite(findings.pooled[0].within.r)
    assert not list(noise_free_grids(findings))
    _, pooled_grid = correlation_grids(findings)
    column = pooled_grid.headings.index("95% next teacher")
    assert {row.entries[column].text for row in pooled_grid.rows} == {DASH}
