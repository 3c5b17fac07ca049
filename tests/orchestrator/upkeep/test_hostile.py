"""What somebody has changed by hand, or put there on purpose: refused in one line, and nothing outside is touched."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.driver.run import start_over
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.store.columns import RESULTS
from orchestrator.store.store import Store
from orchestrator.upkeep.pruning import carry_out, removals
from orchestrator.upkeep.verification import verify
from tests.analysis.stores import add
from tests.orchestrator.commands import run
from tests.orchestrator.parquet import file_of, put, put_bytes
from tests.orchestrator.store.test_store import ONE, OTHER, running
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import FileError, UserError


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path)


@pytest.fixture
def store(sweep: Path, tmp_path: Path) -> Store:
    """All trials of a sweep with made-up numbers."""
    made = Store(tmp_path / "store")
    for trial in expand(load_sweep(sweep)):
        add(made, trial)
    return made


def sweep_of(path: Path) -> Sweep:
    return load_sweep(path)


def one_line(output: str, expected: str) -> bool:
    return expected in output and len(output.strip().splitlines()) == 1


# Sweeps


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", ".x", "..", "", "a\\b", "a\nb"])
def test_a_sweeps_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"name: .*expected"):
        load_sweep(write_sweep(tmp_path, name=name))
    with pytest.raises(UserError, match="not a name for a file"):
        Store(tmp_path / "store").save_sweep(name, {})
    assert not (tmp_path / "store").exists()


def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="/dev/zero: cannot be read: too long"):
        load_sweep(write_sweep(tmp_path, schemes="/dev/zero"))
    with pytest.raises(UserError, match="/dev/zero: too long"):
        load_sweep("/dev/zero")


# Parquet


def results_file(store: Store) -> Path:
    return sorted((store.root / "results").glob("*.parquet"))[0]


def rewrite(path: Path, **columns: pa.Array) -> Path:
    """Put other columns into a file, which otherwise looks like one of ours."""
    table = pq.read_table(path)
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return put(path, table)


def not_utf8() -> pa.Array:
    bad = pa.array([b"\xff\xfe"], pa.binary())
    return pa.Array.from_buffers(pa.string(), 1, bad.buffers())


TAMPERED: list[tuple[str, Callable[[Path], Path]]] = [
    ("not a readable Parquet file", lambda p: put_bytes(p, p.read_bytes()[:-20])),
    ("not a readable Parquet file", lambda p: put_bytes(p, b"PAR1" + b"\0" * 100 + b"PAR1")),
    ("not a readable Parquet file", lambda p: put_bytes(p, b"")),
    ("not one of kdsweep's tables", lambda p: put(p, pa.table({"a": [1]}))),
    ("damaged: ", lambda p: rewrite(p, test_loss=pa.array(["x"]))),
    ("damaged: ", lambda p: rewrite(p, seed=pa.array([[1]]))),
    ("damaged: ", lambda p: rewrite(p, teacher=not_utf8())),
    ("damaged: a row without a fingerprint", lambda p: rewrite(p, fingerprint=pa.array([None], pa.string()))),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "tamper"), TAMPERED, ids=range(len(TAMPERED)))
def test_a_tampered_file_is_named_and_pruned(
    expected: str, tamper: Callable[[Path], Path], store: Store
) -> None:
    path = tamper(results_file(store))
    with pytest.raises(UserError) as caught:
        store.results()
    assert one_line(str(caught.value), expected)
    assert str(path) in str(caught.value)
    (found,) = [finding for finding in verify(store) if finding.where == str(path)]
    assert expected.removeprefix("damaged: ") in found.problem
    carry_out(removals(store, ["damaged"]))
    assert not path.exists()
    assert store.results().num_rows < 7


def test_commands_tell_of_a_tampered_file_in_one_line(
    store: Store, sweep: Path, tmp_path: Path
) -> None:
    path = results_file(store)
    path.write_bytes(path.read_bytes()[:-20])
    for command in (("table", store.root), ("run", sweep, "--store", store.root)):
        code, output = run(tmp_path, *command)
        assert code == 2
        assert (
            f"{path}: damaged: its bytes do not match the digest in its name"
            in output.splitlines()[-1]
        )
        assert "Traceback" not in output


def test_what_is_no_fingerprint_is_none(store: Store) -> None:
    """In a merged file, where no name tells it."""
    rows: list[dict[str, Any]] = [{"fingerprint": "../../etc"}, {"fingerprint": ONE}]
    path = store.root / "results" / "merged-x.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=RESULTS), path)
    assert ONE in store.finished()
    assert all(len(fingerprint) == 64 for fingerprint in store.finished())
    assert any("'../../etc': a fingerprint is" in f"{f.where}: {f.problem}" for f in verify(store))
    for _ in range(3):
        carry_out(removals(store, ["damaged"]))
    assert not any("etc" in finding.where for finding in verify(store))


def test_a_trial_that_is_none_is_told_in_one_line(
    store: Store, sweep: Path, tmp_path: Path
) -> None:
    student = next(t for t in expand(load_sweep(sweep)) if t.kind == "student")
    rewrite(
        file_of(store.root / "results", student.fingerprint), trial=pa.array(['{"kind": "other"}'])
    )
    code, output = run(tmp_path, "table", store.root)
    assert code == 2
    assert one_line(output, "its trial cannot be read by this kdsweep")
    code, output = run(tmp_path, "plan", sweep, "--store", store.root)
    assert code == 0, output


# Signs of life and sweeps of others


@pytest.mark.parametrize(
    "changes",
    [
        {"lives_for_s": "for ever"},
        {"lives_for_s": None},
        {"epochs": 0},
        {"steps_per_epoch": 0},
        {"process": {"pid": "1; rm"}},
        {"process": 1},
        {"step": []},
        {"host": None},
    ],
)
def test_a_sign_that_is_none_is_passed_over(
    changes: dict[str, Any], store: Store, sweep: Path
) -> None:
    store.signs.set_running(running(OTHER))
    content = asdict(running(ONE)) | changes
    (store.root / "running" / f"{ONE}.json").write_text(json.dumps(content))
    assert list(store.signs.running()) == [OTHER]
    assert store.signs.last(ONE) is None
    store.tidy()
    assert not (store.root / "running" / f"{ONE}.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '"x"', '{"name": "../x"}', "1" * 5000])
def test_a_kept_sweep_that_is_none_is_passed_over(
    content: str, store: Store, tmp_path: Path
) -> None:
    (store.root / "sweeps").mkdir()
    (store.root / "sweeps" / "x.json").write_text(content)
    from orchestrator.planning.kept_sweeps import kept_plans
    from orchestrator.reports.progress import progress_of

    (found,) = progress_of(kept_plans(store))
    assert (found.name, found.total) == ("x", None)


# Links and files where folders should be


@pytest.fixture
def elsewhere(store: Store, tmp_path: Path) -> Path:
    """The checkpoints of somebody else, to which a folder of the store leads."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("final.safetensors", "step-000001-00000001.safetensors", "thesis.txt"):
        (folder / name).write_text(name)
    (folder / ".x.host.1.1.tmp").write_text("x")
    os.utime(folder / ".x.host.1.1.tmp", (time.time() - 10**7,) * 2)
    (store.root / "checkpoints").mkdir()
    return folder


def test_nothing_behind_a_link_is_read_written_or_removed(
    elsewhere: Path, store: Store, sweep: Path
) -> None:
    teacher, student, *_ = expand(sweep_of(sweep))
    store.forget([student.fingerprint])
    for trial in (teacher, student):
        (store.root / "checkpoints" / trial.fingerprint).symlink_to(elsewhere)
    before = sorted(path.name for path in elsewhere.iterdir())
    store.tidy()
    carry_out(removals(store, ["checkpoints"]))
    for refused in (
        lambda: store.checkpoint_folder(student.fingerprint),
        lambda: store.forget([teacher.fingerprint]),
        lambda: removals(store, ["teacher-weights"]),
        lambda: start_over(make_plan(sweep_of(sweep), store, retry_failed=True).missing, store),
    ):
        with pytest.raises(UserError, match="a link; kdsweep neither"):
            refused()
    assert sorted(path.name for path in elsewhere.iterdir()) == before
    assert teacher.fingerprint in store.finished()
    links = [finding for finding in verify(store) if "a link" in finding.problem]
    assert [finding.where for finding in links] == [
        str(store.root / "checkpoints" / teacher.fingerprint)
    ]


def test_all_checkpoints_may_lie_on_another_disk(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (store.root / "checkpoints").symlink_to(tmp_path / "scratch")
    store.checkpoint_folder(ONE).write("step-000001-00000001.safetensors", b"x")
    assert (tmp_path / "scratch" / ONE).is_dir()
    (removal,) = removals(store, ["checkpoints"])
    carry_out([removal])
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("name", ["results", "running", "checkpoints"])
def test_a_file_where_a_folder_should_be_is_named(
    name: str, store: Store, sweep: Path, tmp_path: Path
) -> None:
    shutil.rmtree(store.root / name, ignore_errors=True)
    (store.root / name).write_text("not a folder")
    for command in (
        ("status", sweep, "--store", store.root),
        ("verify", store.root),
        ("prune", store.root, "checkpoints"),
        ("run", sweep, "--store", store.root, "--address", "127.0.0.1:1"),
    ):
        code, output = run(tmp_path, *command)
        assert "Traceback" not in output, command
        assert code in (0, 2) or command[0] == "verify"
        if code == 2 and command[0] != "run":
            line = output.splitlines()[-1]
            is_named = line.startswith(str(store.root / name)) and line.endswith("Not a directory")
            assert is_named or f"{store.root}: not a store" in line
    assert (store.root / name).read_text() == "not a folder"
