import hashlib
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.store.columns import EPOCHS, FAILURES, RESULTS
from orchestrator.store.failures import Cause
from orchestrator.store.processes import Process, this_process
from orchestrator.store.signs import Running
from orchestrator.store.store import Store
from orchestrator.store.table import fingerprint_in
from tests.orchestrator.parquet import file_of, put, put_bytes
from trainer.problems import UserError

ONE, OTHER = "1" * 64, "2" * 64


DEAD = Process(2**22 + 1, 1, this_process().space)
"""A process of this machine that has ended."""


def running(fingerprint: str, process: Process | None = None) -> Running:
    return Running(
        fingerprint=fingerprint,
        owner="run",
        host="host",
        device="cpu",
        epoch=2,
        epochs=4,
        step=5,
        steps_per_epoch=10,
        loss=None,
        process=process or this_process(),
    )


def failure(fingerprint: str, second: int, by_machine: bool) -> dict[str, Any]:
    at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    return {"fingerprint": fingerprint, "by_machine": by_machine, "error": f"e{second}", "at": at}


def test_an_empty_store_has_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.finished() == frozenset()
    assert (store.results().schema, store.results().num_rows) == (RESULTS, 0)
    assert store.failures().num_rows == store.epochs().num_rows == 0
    assert store.signs.running() == {}
    assert not (tmp_path / "store").exists()


def test_a_result_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    row = {"fingerprint": ONE, "kind": "student", "seed": 3, "test_loss": 0.1, "best_epoch": 2}
    store.add_result(row, [{"epoch": 1, "test_loss": 0.2}, {"epoch": 2, "test_loss": 0.1}])
    store.add_result({"fingerprint": OTHER, "t_stddev": 0.01}, [])
    store.add_result(row, [{"epoch": 1, "test_loss": 0.2}, {"epoch": 2, "test_loss": 0.1}])
    assert store.finished() == {ONE, OTHER}
    (one,) = [r for r in store.results().to_pylist() if r["fingerprint"] == ONE]
    assert row.items() <= one.items()
    assert one["t_stddev"] is None
    assert store.results([OTHER])["fingerprint"].to_pylist() == [OTHER]
    assert store.epochs()["epoch"].to_pylist() == [1, 2]


def test_an_imported_run_stands_beside_results_and_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_result({"fingerprint": ONE}, [])
    row = {"fingerprint": OTHER, "kind": "student", "source": "imported", "origin": "a/log.txt"}
    store.add_imported(row, [{"epoch": 1, "test_loss": 0.2}])
    assert store.finished() == {ONE}
    assert store.results()["fingerprint"].to_pylist() == [ONE]
    assert store.epochs().num_rows == 0
    (imported,) = store.imported().to_pylist()
    assert row.items() <= imported.items()
    assert store.imported_epochs()["fingerprint"].to_pylist() == [OTHER]
    with pytest.raises(UserError, match="64 hexadecimal digits"):
        store.add_imported({"fingerprint": "../x"}, [])


def test_one_glob_reads_it_elsewhere(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_result({"fingerprint": ONE, "test_loss": 0.1}, [])
    store.add_result({"fingerprint": OTHER, "test_loss": 0.3}, [])
    frame = pd.concat(map(pd.read_parquet, tmp_path.glob("results/*.parquet")))
    assert sorted(frame["test_loss"]) == [0.1, 0.3]


def test_the_last_failure_of_each_trial_counts_whatever_clocks_say(tmp_path: Path) -> None:
    """The node of a trial's first failure is ahead: the second, by the machine, is tried again all the same."""
    store = Store(tmp_path)
    store.add_failure(failure(ONE, 2, by_machine=False))
    store.add_failure(failure(ONE, 1, by_machine=True))
    store.add_failure(failure(OTHER, 1, by_machine=False))
    store.add_failure(failure(OTHER, 2, by_machine=True))
    store.compact()
    last = {fp: (f.error, f.cause.by_machine) for fp, f in store.rows.last_failures().items()}
    assert last == {ONE: ("e1", True), OTHER: ("e2", True)}


def test_who_works_on_what(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.signs.set_running(running(ONE))
    store.signs.set_running(running(OTHER, DEAD))
    (tmp_path / "running" / f"{'3' * 64}.json").write_text("{")
    assert list(store.signs.running()) == [ONE]
    assert store.signs.running()[ONE].share == pytest.approx(0.375)
    store.signs.clear_running(ONE)
    store.signs.clear_running(ONE)
    assert store.signs.running() == {}


def test_the_stop_flag(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.stops.is_set("run")
    store.stops.set("run")
    assert store.stops.is_set("run")
    store.stops.clear("run")
    assert not store.stops.is_set("run")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "1" * 63, "G" * 64, f"{ONE}\n"])
def test_only_fingerprints_become_paths(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UserError, match="64 hexadecimal digits"):
        store.checkpoint_folder(name)
    with pytest.raises(UserError, match="64 hexadecimal digits"):
        store.add_failure({"fingerprint": name})
    with pytest.raises(UserError, match="64 hexadecimal digits"):
        store.add_result({"fingerprint": name}, [])


def test_a_newer_schema_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_result({"fingerprint": ONE}, [])
    path = file_of(tmp_path / "results", ONE)
    table = pq.read_table(path)
    path = put(path, table.replace_schema_metadata({"kdsweep_schema_version": "99"}))
    with pytest.raises(UserError, match="schema 99, newer than 4, which this kdsweep reads"):
        store.results()
    path = put(path, table.replace_schema_metadata({}))
    with pytest.raises(UserError, match="not one of kdsweep's tables"):
        store.results()
    path = put_bytes(path, b"PAR1 nonsense")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        store.results()
    path.write_bytes(b"PAR1 other nonsense")
    with pytest.raises(UserError, match="its bytes do not match the digest in its name"):
        store.results()


def test_a_store_of_version_1_is_read_and_compacted(tmp_path: Path) -> None:
    """Its files were written by the code of that time; what they lack is null."""
    shutil.copytree(Path(__file__).parents[2] / "golden" / "store_v1", tmp_path / "store")
    store = Store(tmp_path / "store")
    (row,) = store.results().to_pylist()
    assert (row["fingerprint"], row["test_loss"], row["host"]) == (ONE, 0.5, "h")
    assert row["num_attempts"] is row["cuda_version"] is row["git_dirty"] is None
    assert store.results().schema == RESULTS
    assert store.epochs().num_rows == 1
    (failed,) = store.failures().to_pylist()
    assert (failed["error"], failed["cause"]) == ("ValueError: no", None)
    (failure,) = store.rows.last_failures().values()
    assert (failure.error, failure.cause, failure.place) == ("ValueError: no", Cause.PROGRAM, "")
    store.add_result({"fingerprint": OTHER, "num_attempts": 3}, [])
    store.compact()
    assert store.results()["num_attempts"].to_pylist() == [None, 3]
    (file,) = (tmp_path / "store" / "results").glob("*.parquet")
    assert pq.read_schema(file).metadata[b"kdsweep_schema_version"] == b"4"
    assert fingerprint_in(file.name) is None


def test_a_store_of_version_2_is_read_and_rewritten_by_compaction(tmp_path: Path) -> None:
    """Its files were written by the code of that time: named by bare fingerprints, without digests."""
    shutil.copytree(Path(__file__).parents[2] / "golden" / "store_v2", tmp_path / "store")
    store = Store(tmp_path / "store")
    rows = {row["fingerprint"]: row for row in store.results().to_pylist()}
    assert store.finished() == rows.keys() == {ONE, OTHER}
    assert (rows[ONE]["test_loss"], rows[ONE]["num_attempts"]) == (0.5, 2)
    assert rows[ONE]["job_id"] is rows[ONE]["trainer_sha256"] is rows[ONE]["notes"] is None
    assert store.epochs()["seconds"].to_pylist() == [1.5, 1.0]
    (failure,) = store.rows.last_failures().values()
    assert (failure.cause, failure.place) == (Cause.DIVERGED, "trainer/a.py:1 in f")
    assert store.sweeps() == {"tiny": b'{\n "name": "tiny"\n}'}
    store.compact()
    assert {row["fingerprint"]: row for row in store.results().to_pylist()} == rows
    for folder in ("results", "epochs"):
        (file,) = (tmp_path / "store" / folder).glob("*.parquet")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        assert file.name.startswith("merged-")
        assert file.name.endswith(f".{digest}.parquet")
        assert pq.read_schema(file).metadata[b"kdsweep_schema_version"] == b"4"


def fingerprints_to_the_last_release(folder: Path) -> list[str]:
    """How kdsweep of schema 2 found what is finished: a file by its name, unless the name says `merged-`."""
    names = [path.name for path in folder.glob("*.parquet")]
    for name in names:
        if name.startswith("merged-"):
            version = pq.read_schema(folder / name).metadata[b"kdsweep_schema_version"]
            if int(version) > 2:
                raise UserError(f"{folder / name}: written with schema {version.decode()}")
    return [name.removesuffix(".parquet") for name in names]


def test_the_last_release_refuses_what_this_one_wrote(tmp_path: Path) -> None:
    """And does not take every trial for missing, because names have changed."""
    shutil.copytree(Path(__file__).parents[2] / "golden" / "store_v2", tmp_path / "store")
    results = tmp_path / "store" / "results"
    assert set(fingerprints_to_the_last_release(results)) == {ONE, OTHER}
    Store(tmp_path / "store").add_result({"fingerprint": "3" * 64}, [])
    with pytest.raises(UserError, match="written with schema 4"):
        fingerprints_to_the_last_release(results)


def test_of_two_computations_the_newer_curve_counts_as_a_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = [{"epoch": e, "test_loss": 1.0, "seconds": 9.0} for e in (1, 2)]
    second = [{"epoch": e, "test_loss": 2.0, "seconds": 1.0} for e in (1, 2)]
    store.add_result({"fingerprint": ONE}, first)
    store.add_result({"fingerprint": ONE}, second)
    assert store.epochs()["test_loss"].to_pylist() == [2.0, 2.0]
    store.compact()
    assert store.epochs()["test_loss"].to_pylist() == [2.0, 2.0]


def test_only_the_columns_that_are_wanted_are_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_result({"fingerprint": ONE, "kind": "student", "seed": 3}, [])
    store.add_result({"fingerprint": OTHER, "kind": "teacher", "seed": 4}, [])
    table = store.results(columns=("seed", "kind"))
    assert table.to_pylist() == [{"seed": 3, "kind": "student"}, {"seed": 4, "kind": "teacher"}]
    assert store.results([OTHER], columns=("seed",)).to_pylist() == [{"seed": 4}]
    store.compact()
    assert store.results(columns=("seed", "kind")).equals(table)


def test_a_store_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a store is a folder"):
        Store(tmp_path / "file")
    assert Store(f"file://{tmp_path}/store").root == tmp_path / "store"


def test_files_never_appear_half_written(tmp_path: Path) -> None:
    """A writer killed in the middle leaves no visible file that is not whole."""
    script = f"""
import os, signal
from orchestrator.store.store import Store
store = Store({str(tmp_path)!r})
real = os.fsync
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
store.add_result({{"fingerprint": "{ONE}"}}, [])
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    store = Store(tmp_path)
    assert store.finished() == frozenset()
    assert store.results().num_rows == store.epochs().num_rows == 0
    store.add_result({"fingerprint": ONE}, [])
    assert store.finished() == {ONE}


def test_the_schema_is_a_promise() -> None:
    """Columns may be added under a new version; this freezes version 4."""
    known = {"fingerprint", "cell", "kind", "test_loss", "t_stddev", "trial"}
    assert known <= set(RESULTS.names)
    assert [len(schema.names) for schema in (RESULTS, EPOCHS, FAILURES)] == [57, 11, 14]
    assert RESULTS.field("finished_at").type == pa.timestamp("us", tz="UTC")


def test_the_store_needs_neither_ray_nor_torch() -> None:
    script = "import sys, json, orchestrator.store.store; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    modules = {name.split(".")[0] for name in json.loads(answer.stdout)}
    assert not modules & {"ray", "torch", "torchvision", "pandas", "matplotlib"}
