"""Rows of predictors of one's own: as a worker writes them, as they are verified, pruned and told."""

from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.predictors import measured
from analysis.rows import read_rows
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.reports.tracking.runs import tracked_runs
from orchestrator.store.store import Store
from orchestrator.upkeep.verification import verify
from tests.orchestrator.planning.test_own_predictors import TWO
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import tamper, work


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("own")
    (made / "mine.py").write_text(TWO)
    return made


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Store:
    torch.set_num_threads(1)
    made = Store(tmp_path / "store")
    sweep = load_sweep(
        write_sweep(folder, predictors=str(folder / "mine.py"), augmentations=["identity"])
    )
    work(made, expand(sweep))
    made.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    assert not make_plan(sweep, made, retry_failed=False).missing
    return made


def own_rows(store: Store) -> list[dict[str, Any]]:
    return [row for row in store.results().to_pylist() if row["kind"] == "predictor"]


def test_a_row_holds_name_value_and_direction(store: Store) -> None:
    assert verify(store) == []
    rows = own_rows(store)
    assert sorted(row["predictor"] for row in rows) == ["one", "other"]
    told = {
        (row["predictor_value"], row["predictor_stderr"], row["predictor_lower_is_better"])
        for row in rows
    }
    assert told == {(1.0, 0.0, True)}
    assert {row["t_stddev"] for row in rows} == {None}
    (stddev,) = (row for row in store.results().to_pylist() if row["kind"] == "stddev")
    for name in ("entropy", "confidence", "covariance_trace"):
        assert stddev[name] > 0
        # Two windows have no jackknife.
        error = stddev[f"{name}_stderr"]
        assert error is None if name == "covariance_trace" else error > 0
    assert stddev["predictor"] is None
    names = [p.name for p in measured(read_rows(store))]
    assert names == ["t_stddev", "entropy", "confidence", "covariance_trace", "one", "other"]
    titles = {
        run.title
        for run in tracked_runs(store.results().to_pylist(), store.epochs().to_pylist())
        if run.kind == "predictor"
    }
    assert titles == {
        f"{name} identity resnet8 on fashion_mini, seed 0" for name in ("one", "other")
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"predictor": "another"}, "predictor is 'another', but 'one' in its trial"),
        ({"predictor_value": float("inf")}, "predictor_value is inf"),
        ({"predictor_stderr": -1.0}, "predictor_stderr is -1.0, which cannot be"),
        ({"entropy": 1.0}, "entropy is 1.0, but a predictor trial has none"),
    ],
)
def test_a_row_that_nothing_can_have_computed_is_found(
    change: dict[str, Any], problem: str, store: Store
) -> None:
    row = next(row for row in own_rows(store) if row["predictor"] == "one")
    tamper(store, row, **change)
    assert [finding.problem for finding in verify(store)] == [problem]
