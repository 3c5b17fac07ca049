"""What is undefined is missing: never a NaN in a file, and no harm where an older version wrote one."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis.evidence import weigh
from analysis.points import panels
from analysis.ranking import rank, ranking_grids
from analysis.rows import read_rows
from analysis.tables import as_json
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.upkeep.verification import verify
from tests.orchestrator.parquet import put
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import work

UNDEFINED = ("t_stddev_stderr", "t_stddev")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two windows alone, one in each epoch: no standard error, and after the first not even T. stddev."""
    folder = tmp_path_factory.mktemp("short")
    short = {"epochs": 2, "batches_per_window": 3}
    sweep = write_sweep(folder, augmentations=["identity", "flip", "cutmix"], stddev=short)
    store = Store(folder / "store")
    work(store, expand(load_sweep(sweep)))
    return store


@pytest.fixture
def older(made: Store, tmp_path: Path) -> Store:
    """The same, as it was written when NaN was still stored."""
    shutil.copytree(made.root, tmp_path / "older")
    for path in list((tmp_path / "older").glob("*/*.parquet")):
        table = pq.read_table(path)
        rows = table.to_pylist()
        if any("num_windows" in row and row["num_windows"] for row in rows):
            rows = [{k: _nan_for_none(k, v) for k, v in row.items()} for row in rows]
            put(path, type(table).from_pylist(rows, schema=table.schema))
    return Store(tmp_path / "older")


def _nan_for_none(name: str, value: Any) -> Any:
    return math.nan if name in UNDEFINED and value is None else value


def test_what_is_undefined_is_null(made: Store) -> None:
    measured = [r for r in made.results().to_pylist() if r["kind"] == "stddev"]
    assert len(measured) == 3
    assert all(row["t_stddev"] > 0 and row["t_stddev_stderr"] is None for row in measured)
    curves = [r for r in made.epochs().to_pylist() if r["num_windows"]]
    assert [r["t_stddev"] is None for r in curves] == [True, False] * 3
    assert verify(made) == []
    for path in made.root.glob("*/*.parquet"):
        assert "nan" not in repr(pq.read_table(path).to_pylist())


def test_a_nan_of_an_older_version_reads_like_a_null(made: Store, older: Store) -> None:
    (stored,) = {
        repr(r["t_stddev_stderr"]) for r in older.results().to_pylist() if r["num_windows"]
    }
    assert stored == "nan"
    assert verify(older) == []
    older.compact()
    answers = []
    for rows in map(read_rows, (made, older)):
        found = panels(rows)
        answers.append([as_json(found, weigh(found)), ranking_grids(rank(rows))])
    assert answers[0] == answers[1]
    assert "NaN" not in json.dumps(answers[0][0])
