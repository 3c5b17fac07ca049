"""verify, prune and export on a store that real trials made: what is broken is found, and mended."""

import hashlib
import io
import json
import pickle
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from orchestrator.driver.run import make_again
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.lost_weights import as_far_as_known, needed_weights, with_lost_weights
from orchestrator.planning.plan import expand, make_plan
from orchestrator.store.columns import SCHEMA_VERSION, VERSION_KEY
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.records import failure_row
from orchestrator.store.signs import sign_of_life
from orchestrator.store.store import Store
from orchestrator.upkeep.bundle import export
from orchestrator.upkeep.pruning import carry_out, removals
from orchestrator.upkeep.verification import Finding, as_json, verify
from orchestrator.worker.keeper import Intervals, Place, StoreKeeper
from tests.orchestrator.commands import run
from tests.orchestrator.parquet import file_of, put, put_bytes
from tests.orchestrator.sweeps import write_sweep
from trainer.checkpoint import CheckpointError
from trainer.datasets.dataset import load_dataset
from trainer.files import LocalFolder
from trainer.keeper import Command, Progress
from trainer.lockstep import run_group
from trainer.problems import UserError
from trainer.trial import StddevTrial, Trial

CPU = torch.device("cpu")
DATA = Path("data")


class ImpatientKeeper(StoreKeeper):
    """Stops after a few steps, as SIGTERM would."""

    def after_step(self, progress: Progress) -> Command:
        super().after_step(progress)
        return Command.STOP


def keeper(store: Store, kind: type[StoreKeeper] = StoreKeeper) -> StoreKeeper:
    return kind(
        store,
        "run",
        "job",
        command="kdsweep run",
        place=Place("cpu", num_threads=1, share=1.0, node="", execution="eager"),
        checkpoints=Intervals(seconds=60, epochs=None),
        must_leave=lambda: False,
    )


def work(store: Store, trials: list[Trial], kind: type[StoreKeeper] = StoreKeeper) -> None:
    """What a worker does, without Ray."""
    for trial in trials:
        one = keeper(store, kind)
        one.begin({trial.model_dump_json(): trial}, DATA)
        run_group([trial], one, load_dataset(trial.data, DATA), CPU)
        one.leave([trial])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return load_sweep(write_sweep(tmp_path_factory.mktemp("sweep")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sweep: Sweep) -> Store:
    """A store with all trials of a sweep but one, which was cut off."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("made"))
    *finished, last = expand(sweep)
    work(store, finished)
    work(store, [last], ImpatientKeeper)
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    store.add_failure({"fingerprint": finished[1].fingerprint, "error": "e"})
    return store


@pytest.fixture(scope="module")
def complete(made: Store, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same, and the last trial went on to its end."""
    folder = tmp_path_factory.mktemp("complete") / "store"
    shutil.copytree(made.root, folder)
    work(Store(folder), [expand(sweep)[-1]])
    return Store(folder)


@pytest.fixture
def store(made: Store, tmp_path: Path) -> Store:
    """A copy to break."""
    shutil.copytree(made.root, tmp_path / "store")
    return Store(tmp_path / "store")


def of_kind(store: Store, kind: str, **columns: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = store.results().to_pylist()
    return next(r for r in rows if r["kind"] == kind and columns.items() <= r.items())


def results_file(store: Store, row: dict[str, Any]) -> Path:
    return file_of(store.root / "results", row["fingerprint"])


def weights_file(store: Store, row: dict[str, Any]) -> Path:
    return store.root / "checkpoints" / row["fingerprint"] / "final.safetensors"


def tamper(store: Store, row: dict[str, Any], **changes: Any) -> None:
    path = results_file(store, row)
    schema = pq.read_schema(path)
    put(path, pa.Table.from_pylist([{**row, **changes}], schema=schema))


def test_rows_say_where_they_come_from(made: Store) -> None:
    for row in made.results().to_pylist():
        assert row["command"] == "kdsweep run"
        assert row["num_attempts"] == 1
        assert row["device"] == "cpu"
        assert 0 < row["device_seconds"] <= row["wall_seconds"]
        assert row["started_at"] < row["finished_at"]
        assert isinstance(row["git_dirty"], bool)
        assert len(row["git_commit"]) == 40
        assert set(json.loads(row["environment"])) <= {
            *("CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS"),
            *("NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "SLURM_JOB_ID"),
        }


def test_attempts_are_counted_over_interruptions(store: Store, sweep: Sweep) -> None:
    last = expand(sweep)[-1]
    work(store, [last])
    (row,) = store.results([last.fingerprint]).to_pylist()
    assert row["num_attempts"] == 2


def test_attempts_whose_file_is_damaged_are_unknown_and_the_trial_goes_on(
    store: Store, sweep: Sweep
) -> None:
    *_, last = expand(sweep)
    (path,) = store.root.glob("checkpoints/*/attempts.json")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"count": 1', b'"count": 3'))
    assert path.read_bytes() != whole
    (finding,) = verify(store)
    assert (finding.where, finding.problem) == (str(path), "damaged: its digest is another")
    work(store, [last], ImpatientKeeper)
    assert verify(store) == [], "that nobody knows is written down"
    work(store, [last])
    (row,) = store.results([last.fingerprint]).to_pylist()
    assert row["num_attempts"] is row["started_at"] is None
    assert verify(store) == []


def test_attempts_of_an_older_version_are_counted_on(store: Store, sweep: Sweep) -> None:
    *_, last = expand(sweep)
    (path,) = store.root.glob("checkpoints/*/attempts.json")
    path.write_text('{"first_started_at": "2026-01-02T03:04:05+00:00", "count": 4}')
    assert verify(store) == []
    work(store, [last])
    (row,) = store.results([last.fingerprint]).to_pylist()
    assert (row["num_attempts"], row["started_at"].year) == (5, 2026)


# verify


def test_a_sound_store_has_no_findings(store: Store) -> None:
    assert verify(store) == []
    store.compact()
    assert verify(store) == []


def newer(store: Store, row: dict[str, Any]) -> None:
    table = pq.read_table(results_file(store, row))
    metadata = {VERSION_KEY: str(SCHEMA_VERSION + 1).encode()}
    put(results_file(store, row), table.replace_schema_metadata(metadata))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


BREAKAGES: list[tuple[str, str, Callable[[Store, dict[str, Any]], object]]] = [
    ("student", "not a readable Parquet file", lambda s, r: put_bytes(results_file(s, r), b"x")),
    ("student", "do not match the digest in its name", lambda s, r: flip(results_file(s, r))),
    ("student", "its learning curve says", lambda s, r: tamper(s, r, test_loss=0.123)),
    ("stddev", "its learning curve says", lambda s, r: tamper(s, r, t_stddev=0.123)),
    ("student", "best_epoch is 7, but its learning curve says 1", lambda s, r: tamper(s, r, best_epoch=7)),
    ("teacher", "wall_seconds is -1.0, which cannot be", lambda s, r: tamper(s, r, wall_seconds=-1.0)),
    ("student", "test_accuracy is 1.5, which cannot be", lambda s, r: tamper(s, r, test_accuracy=1.5)),
    ("stddev", "device_seconds is inf, which cannot be", lambda s, r: tamper(s, r, device_seconds=float("inf"))),
    ("student", "num_attempts is 0, which cannot be", lambda s, r: tamper(s, r, num_attempts=0)),
    ("student", "t_stddev is 0.1, but a student trial has none", lambda s, r: tamper(s, r, t_stddev=0.1)),
    ("student", "teacher_fingerprint is 'x', but", lambda s, r: tamper(s, r, teacher_fingerprint="x")),
    ("student", "precision is 'bf16', but 'fp32'", lambda s, r: tamper(s, r, precision="bf16")),
    ("student", "newer than", newer),
    ("student", "row or trial was changed", lambda s, r: tamper(s, r, trial=r["trial"].replace('"seed":0', '"seed":7'))),
    ("student", "its trial is not one", lambda s, r: tamper(s, r, trial="{}")),
    ("student", "augmentation is 'mixup'", lambda s, r: tamper(s, r, augmentation="mixup")),
    ("student", "test_loss is None", lambda s, r: tamper(s, r, test_loss=None)),
    ("stddev", "t_stddev is inf", lambda s, r: tamper(s, r, t_stddev=float("inf"))),
    ("student", "holds a row of another fingerprint", lambda s, r: tamper(s, r, fingerprint="0" * 64)),
    ("student", "0 epochs of 1", lambda s, r: s.tables["epochs"].drop([r["fingerprint"]])),
    ("teacher", "which has no row", lambda s, r: results_file(s, r).unlink()),
    ("teacher", "damaged: its content does not match", lambda s, r: flip(weights_file(s, r))),
    ("student", "not a safetensors file", lambda s, r: weights_file(s, r).write_bytes(pickle.dumps(print))),
    ("student", "its final weights are missing", lambda s, r: weights_file(s, r).unlink()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected", "damage"), BREAKAGES, ids=[f"{b[0]}: {b[1]}" for b in BREAKAGES]
)
def test_what_is_broken_is_found_and_mended(
    kind: str,
    expected: str,
    damage: Callable[[Store, dict[str, Any]], object],
    store: Store,
    sweep: Sweep,
    complete: Store,
) -> None:
    row = of_kind(store, kind)
    had = store.finished()
    damage(store, row)
    findings = verify(store)
    assert any(expected in finding.problem for finding in findings)
    assert json.loads(json.dumps(as_json(findings)))[0].keys() == (
        {"where", "problem", "mend", "fingerprint", "is_note"}
    )
    if expected == "newer than":
        assert "update kdsweep" in findings[0].mend
        assert removals(store, ["damaged"]) == []
        return
    while found := removals(store, ["damaged"]):
        carry_out(found)
    for finding in verify(store):
        assert finding.fingerprint is None
        if named := re.search(r"kdsweep prune STORE ([0-9a-f]{64})", finding.mend):
            prune(store, named[1])
    missing = [t for t in expand(sweep) if t.fingerprint not in store.finished()]
    assert len(had - store.finished()) == 1, "what is right stays, whatever is lost around it"
    work(store, missing)
    assert verify(store) == []
    metrics = ["fingerprint", "trial", "test_loss", "train_loss", "t_stddev"]
    assert store.results().select(metrics) == complete.results().select(metrics)


def test_a_damaged_trial_file_and_resolved_sweep_are_found_and_removed(store: Store) -> None:
    """What they say is in the row as well, and the next run of the sweep writes it again."""
    had = store.finished()
    trial_file = store.trial_folder(of_kind(store, "student")["fingerprint"]) / "trial.yaml"
    (resolved,) = (store.root / "sweeps").glob("*.json")
    for path in (trial_file, resolved):
        flip(path)
    assert {f.where for f in verify(store)} == {str(trial_file), str(resolved)}
    assert len(prune(store, "damaged")) == 2
    assert verify(store) == []
    assert store.finished() == had


def test_a_damaged_checkpoint_beside_final_weights_goes_alone(store: Store) -> None:
    """What could not be tidied when the trial ended: row, curve and weights are sound."""
    had, rows = store.finished(), store.epochs()
    leftovers = []
    for kind in ("teacher", "student", "stddev"):
        folder = store.checkpoint_folder(of_kind(store, kind)["fingerprint"])
        folder.write("step-000001-00000001.safetensors", b"x")
        leftovers.append(f"{folder.address}/step-000001-00000001.safetensors")
    weights = sorted(store.root.glob("checkpoints/*/final.safetensors"))
    assert {(f.where, f.fingerprint) for f in verify(store)} == {(name, None) for name in leftovers}
    assert len(prune(store, "damaged")) == 3
    assert verify(store) == []
    assert (store.finished(), store.epochs()) == (had, rows)
    assert sorted(store.root.glob("checkpoints/*/final.safetensors")) == weights


def test_each_version_of_a_sweep_is_kept_and_what_none_names_can_go(
    store: Store, sweep: Sweep
) -> None:
    assert prune(store, "unnamed") == []
    changed = sweep.model_copy(update={"augmentations": ("identity", "flip")})
    work(store, [t for t in expand(changed) if t.fingerprint not in store.finished()])
    others = {t.fingerprint for t in expand(changed)} - {t.fingerprint for t in expand(sweep)}
    told = [removal.what for removal in removals(store, ["unnamed"])]
    assert {what.split()[1].rstrip(":") for what in told} == others
    assert others < store.finished(), "only told"
    store.save_sweep(changed.name, changed.model_dump(mode="json"))
    assert len(store.sweeps()) == 2
    assert removals(store, ["unnamed"]) == []
    shutil.rmtree(store.root / "sweeps")
    with pytest.raises(UserError, match="no sweep is kept here"):
        removals(store, ["unnamed"])


def test_the_folder_of_sweeps_stays_for_the_runs_that_know_the_store_by_it(store: Store) -> None:
    living = Store(store.address, is_made=True)
    for path in (store.root / "sweeps").glob("*.json"):
        flip(path)
    assert prune(store, "damaged")
    store.tidy()
    assert store.sweeps() == {}
    living.checkpoint_folder("0" * 64).write("step-000001-00000001.safetensors", b"x")


def test_what_a_run_has_in_hand_by_then_is_not_forgotten_as_damaged(
    store: Store, sweep: Sweep
) -> None:
    student = of_kind(store, "student")
    flip(weights_file(store, student))
    found = removals(store, ["damaged"])
    trial = next(t for t in expand(sweep) if t.fingerprint == student["fingerprint"])
    store.signs.set_running(sign_of_life(trial, "run"))
    carry_out(found)
    assert trial.fingerprint in store.finished()
    store.signs.clear_running(trial.fingerprint)
    carry_out(removals(store, ["damaged"]))
    assert trial.fingerprint not in store.finished()


@pytest.mark.parametrize("has_ended", [True, False], ids=["ended", "between attempts"])
def test_what_was_made_again_since_it_was_seen_damaged_stays(
    has_ended: bool, store: Store, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = of_kind(store, "student")
    fingerprint = student["fingerprint"]
    flip(weights_file(store, student))
    found = removals(store, ["damaged"])

    def looked(seen: Store) -> list[Finding]:
        findings = verify(seen)
        store.forget([fingerprint])
        work(store, [t for t in expand(sweep) if t.fingerprint == fingerprint])
        if not has_ended:
            store.tables["results"].drop([fingerprint])
        return findings

    monkeypatch.setattr("orchestrator.upkeep.pruning.verify", looked)
    carry_out(found)
    assert (fingerprint in store.finished()) == has_ended
    assert store.has_weights(fingerprint)


def test_checkpoints_stay_of_what_a_run_begins_while_others_go(
    complete: Store, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(complete.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    first, second = sorted(expand(sweep), key=lambda trial: trial.fingerprint)[:2]
    for trial in (first, second):
        store.checkpoint_folder(trial.fingerprint).write("step-000001-00000001.safetensors", b"x")
    found, remove = removals(store, ["checkpoints"]), LocalFolder.remove

    def begun(folder: LocalFolder, name: str) -> None:
        remove(folder, name)
        store.signs.set_running(sign_of_life(second, "run"))

    monkeypatch.setattr(LocalFolder, "remove", begun)
    carry_out(found)
    (left,) = store.root.glob("checkpoints/*/step-*")
    assert left.parent.name == second.fingerprint


def test_one_bad_answer_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an object store behind a broken proxy: the second look finds the file whole."""
    path, had = results_file(store, of_kind(store, "student")), store.finished()
    content = path.read_bytes()
    flip(path)
    found = removals(store, ["damaged"])
    path.write_bytes(content)
    carry_out(found)
    assert len(found) == 1
    assert store.finished() == had


def test_a_cell_of_two_trainers_is_noted_and_not_broken(store: Store) -> None:
    row = of_kind(store, "student")
    other = {**row, "fingerprint": "a" * 64, "trainer_sha256": "b" * 64}
    store.add_result({**other, "trial": "{}"}, [])
    notes = [finding for finding in verify(store) if finding.is_note]
    assert [note.where for note in notes] == [f"cell {row['cell']} of student trials"]
    assert "2 versions of the trainer" in notes[0].problem
    assert row["trainer_sha256"][:12] in notes[0].problem


def test_a_pickle_in_place_of_a_checkpoint_is_never_run(store: Store, sweep: Sweep) -> None:
    trap = store.root / "trap"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trap,))

    (folder,) = [p.parent for p in store.root.glob("checkpoints/*/step-*")]
    for path in folder.glob("step-*"):
        path.write_bytes(pickle.dumps(Trap()))
    buffer = io.BytesIO()
    torch.save(Trap(), buffer)
    (folder / "step-000001-00000009.safetensors").write_bytes(buffer.getvalue())
    assert len(verify(store)) == 2
    work(store, [expand(sweep)[-1]])
    assert not trap.exists()
    assert verify(store) == []


def test_one_bad_answer_is_no_damage(
    complete: Store, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short, empty, or a listing that lacks a file: each file answers so once, as a bad line to a store may."""
    read, names = LocalFolder.read, LocalFolder.names
    answered: set[Path] = set()

    def bad_at_first(folder: LocalFolder, name: str) -> bytes:
        path, content = folder.path / name, read(folder, name)
        is_first = path not in answered and path.suffix in (".parquet", ".safetensors")
        answered.add(path)
        return content[: len(content) // 2 * (len(answered) % 2)] if is_first else content

    def lacking_at_first(folder: LocalFolder) -> list[str]:
        is_first = folder.path not in answered and folder.path.parent.name == "checkpoints"
        answered.add(folder.path)
        return [] if is_first else names(folder)

    monkeypatch.setattr(LocalFolder, "read", bad_at_first)
    assert verify(complete) == []
    answered.clear()
    assert removals(complete, ["damaged"]) == []
    monkeypatch.setattr(LocalFolder, "names", lacking_at_first)
    answered.clear()
    assert verify(complete) == []


@pytest.mark.parametrize(("num_bad", "num_removed"), [(2, 0), (3, 0), (4, 1)])
def test_prune_takes_out_what_was_read_damaged_twice_and_twice_more(
    num_bad: int, num_removed: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = weights_file(store, of_kind(store, "student")), LocalFolder.read
    bad_answers = iter(range(num_bad))

    def bad_so_often(folder: LocalFolder, name: str) -> bytes:
        content = read(folder, name)
        is_bad = folder.path / name == path and next(bad_answers, None) is not None
        return content[:-1] if is_bad else content

    monkeypatch.setattr(LocalFolder, "read", bad_so_often)
    had = store.finished()
    carry_out(removals(store, ["damaged"]))
    assert len(had) - len(store.finished()) == num_removed


def test_damaged_weights_are_the_machine_s_fault_and_made_again(store: Store, sweep: Sweep) -> None:
    """What needs them fails without a word against the program, so `prune damaged` and any run mend it."""
    *_, last = expand(sweep)
    assert last.depends_on
    for fingerprint in last.depends_on:
        flip(weights_file(store, {"fingerprint": fingerprint}))
        one = keeper(store)
        one.begin({last.model_dump_json(): last}, DATA)
        with pytest.raises(CheckpointError, match=r"kdsweep prune .* damaged") as caught:
            one.weights(fingerprint)
        one.fail(last, caught.value)
    failure = store.rows.last_failures()[last.fingerprint]
    assert failure.cause is Cause.NO_WEIGHTS
    assert last in make_plan(sweep, store, retry_failed=False).missing
    assert len(prune(store, "damaged")) == len(last.depends_on)
    plan = make_plan(sweep, store, retry_failed=False)
    assert {trial.fingerprint for trial in plan.missing} == {last.fingerprint, *last.depends_on}
    work(store, list(plan.missing))
    assert verify(store) == []


# prune


def prune(store: Store, *words: str) -> list[str]:
    found = removals(store, words)
    carry_out(found)
    return [removal.what for removal in found]


def test_nothing_is_removed_before_it_is_carried_out(store: Store) -> None:
    before = sorted(store.root.rglob("*"))
    words = ("checkpoints", "student-weights", "teacher-weights", "failures", "damaged")
    assert len(removals(store, words)) == 1 + 2 + 0 + 1
    assert sorted(store.root.rglob("*")) == before


def test_each_word_removes_what_it_says(complete: Store, sweep: Sweep, tmp_path: Path) -> None:
    shutil.copytree(complete.root, tmp_path / "store")
    store, last = Store(tmp_path / "store"), expand(sweep)[-1]
    store.checkpoint_folder(last.fingerprint).write("step-000001-00000001.safetensors", b"x")
    assert prune(store, "checkpoints") == [f"checkpoints of {last.fingerprint}"]
    assert not list(store.root.glob("checkpoints/*/step-*"))
    assert len(prune(store, "failures")) == 1
    assert store.failures().num_rows == 0
    assert len(prune(store, "student-weights")) == 3
    assert len(list(store.root.glob("checkpoints/*/final.safetensors"))) == 1
    assert verify(store) == []
    assert prune(store, "student-weights") == []
    fingerprint = of_kind(store, "stddev")["fingerprint"]
    assert prune(store, fingerprint[:8]) == [f"everything of {fingerprint}"]
    assert fingerprint not in store.finished()
    assert fingerprint not in store.epochs()["fingerprint"].to_pylist()
    assert not list(store.root.glob(f"*/{fingerprint}"))


def test_all_of_a_trial_that_never_finished_can_go(store: Store, sweep: Sweep) -> None:
    """Its log and its failures, too."""
    last = expand(sweep)[-1]
    store.add_failure(failure_row(last, Failure(Cause.PROGRAM, "ValueError: no")))
    (removal,) = removals(store, [last.fingerprint[:10]])
    log = store.trial_folder(last.fingerprint) / "log.txt"
    assert removal.num_bytes > log.stat().st_size > 0
    carry_out([removal])
    assert not list(store.root.glob(f"*/{last.fingerprint}"))
    assert last.fingerprint not in store.failures()["fingerprint"].to_pylist()


def test_weights_that_an_unfinished_trial_needs_stay(store: Store, sweep: Sweep) -> None:
    """The last trial is T. stddev of a student's pick: it needs its teacher's and its student's."""
    last, told = expand(sweep)[-1], list[str]()
    assert isinstance(last, StddevTrial)
    needed = [weights_file(store, {"fingerprint": fp}) for fp in last.depends_on]
    carry_out(removals(store, ["student-weights", "teacher-weights"], told.append))
    assert sorted(store.root.glob("checkpoints/*/final.safetensors")) == sorted(needed)
    assert [line.partition(":")[0] for line in told] == [
        "weights of 1 students stay",
        "weights of 1 teachers stay",
    ]
    work(store, [last])
    assert len(prune(store, "student-weights", "teacher-weights")) == 2
    (store.root / "sweeps" / "x.json").write_text("{}")
    with pytest.raises(UserError, match="what it names is unknown"):
        removals(store, ["student-weights"])


def test_weights_that_come_to_be_needed_before_they_go_stay(
    complete: Store, sweep: Sweep, tmp_path: Path
) -> None:
    """A run of another sweep begins between telling and doing."""
    shutil.copytree(complete.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    found = removals(store, ["teacher-weights"])
    assert len(found) == 1
    more = sweep.model_copy(update={"augmentations": ("flip",)})
    store.save_sweep(more.name, more.model_dump(mode="json"))
    carry_out(found)
    assert store.has_weights(of_kind(store, "teacher")["fingerprint"])


def test_weights_stay_that_a_student_needs_to_be_made_again(store: Store, sweep: Sweep) -> None:
    """Its own weights are lost, and what is missing needs them; nothing missing needs its teacher's itself."""
    teacher = of_kind(store, "teacher")["fingerprint"]
    picked = next(t for t in expand(sweep) if isinstance(t, StddevTrial) and t.student_fingerprint)
    fingerprint = picked.student_fingerprint
    assert fingerprint is not None
    weights_file(store, {"fingerprint": fingerprint}).unlink()
    alone = picked.model_copy(update={"teacher_fingerprint": fingerprint})
    trials = (*expand(sweep), alone)
    needed = needed_weights(trials, {alone.fingerprint}, store.finished(), store)
    assert needed == ({fingerprint, teacher}, {fingerprint})


def of_absent_images(sweep: Sweep, folder: Path) -> Sweep:
    choice = {
        "name": "fashion_mini",
        "path": str(folder / "absent"),
        "format": "imagefolder",
        "image_size": 16,
    }
    content = sweep.model_dump(mode="json") | {"dataset": choice, "name": "absent"}
    return Sweep.model_validate(content)


def test_a_kept_sweep_that_is_refused_by_now_keeps_what_it_names(
    store: Store, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older kdsweep took batches of one image."""
    monkeypatch.setattr("orchestrator.planning.plan.batch_of_one", lambda _: "change batch_size")
    with pytest.raises(UserError, match="change batch_size"):
        expand(sweep)
    assert prune(store, "unnamed") == []
    assert len(prune(store, "student-weights")) == 2
    assert prune(store, "teacher-weights") == []


def test_what_a_sweep_of_absent_images_may_name_stays(
    store: Store, sweep: Sweep, tmp_path: Path
) -> None:
    """Nobody can tell which trials those are: all of that data set's name stay, and a line says why."""
    shutil.rmtree(store.root / "sweeps")
    older, told = of_absent_images(sweep, tmp_path), list[str]()
    store.save_sweep(older.name, older.model_dump(mode="json"))
    for word in ("unnamed", "student-weights", "teacher-weights"):
        assert removals(store, [word], told.append) == []
    assert "so all of fashion_mini stays" in told[0]
    other = older.model_copy(update={"name": "elsewhere"})
    content = other.model_dump(mode="json")
    content["dataset"][0]["name"] = "mine"
    shutil.rmtree(store.root / "sweeps")
    store.save_sweep("elsewhere", content)
    assert len(removals(store, ["unnamed"])) == store.results().num_rows


def test_weights_that_are_gone_all_the_same_are_made_again(store: Store, sweep: Sweep) -> None:
    *_, last = expand(sweep)
    for fingerprint in last.depends_on:
        weights_file(store, {"fingerprint": fingerprint}).unlink()
    had = store.finished()
    plan = with_lost_weights(make_plan(sweep, store, retry_failed=False), store)
    assert plan.lost == set(last.depends_on)
    assert {trial.fingerprint for trial in plan.missing} == {last.fingerprint, *last.depends_on}
    assert sum("runs again" in warning for warning in plan.warnings) == 2
    make_again(plan, store)
    assert store.finished() == had - plan.lost
    work(store, list(plan.missing))
    assert verify(store) == []
    assert store.finished() == {trial.fingerprint for trial in expand(sweep)}
    make_again(plan, store)
    assert len(store.finished()) == len(plan.trials), "another run has made them meanwhile"


def test_a_plan_tells_of_weights_that_are_gone_and_a_run_asks_for_a_disk_that_is(
    store: Store, tmp_path: Path
) -> None:
    sweep_file, had = write_sweep(tmp_path), store.finished()
    there = (sweep_file, "--store", store.root)
    for path in store.checkpoints.glob("*/final.safetensors"):
        path.rename(path.with_name("aside"))
    code, output = run(tmp_path, "plan", *there)
    assert code == 0, output
    assert output.count("runs again: its weights are gone") == 2
    store.checkpoints.rename(tmp_path / "disk")
    code, output = run(tmp_path, "run", *there)
    assert code == 2, output
    assert output.startswith(f"{store.checkpoints}: ")
    assert "is that disk mounted?" in output
    assert len(output.splitlines()) == 1
    assert store.finished() == had


def test_weights_on_a_disk_that_is_not_mounted_are_not_taken_for_gone(
    store: Store, sweep: Sweep, tmp_path: Path
) -> None:
    had = store.finished()
    store.checkpoints.rename(tmp_path / "disk")
    store.checkpoints.symlink_to(tmp_path / "elsewhere")
    plan = make_plan(sweep, store, retry_failed=False)
    with pytest.raises(UserError, match=r"is that disk mounted\?"):
        with_lost_weights(plan, store)
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    assert not with_lost_weights(plan, store).lost
    assert store.finished() == had


@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "absent"])
def test_a_mount_point_without_its_disk_is_not_taken_for_lost_weights(
    is_there: bool, store: Store, sweep: Sweep, tmp_path: Path
) -> None:
    had, plan = store.finished(), make_plan(sweep, store, retry_failed=False)
    store.checkpoints.rename(tmp_path / "disk")
    if is_there:
        store.checkpoints.mkdir()
    (*_, told) = as_far_as_known(plan, store).warnings
    assert "is that disk mounted?" in told, "who only looks is told, and sees the plan"
    for act in (
        lambda: with_lost_weights(plan, store),
        lambda: make_again(replace(plan, lost=plan.done), store),
        lambda: removals(store, ["student-weights"]),
    ):
        with pytest.raises(UserError, match=r"is that disk mounted\?.*mkdir -p .*; touch"):
            act()
    (finding,) = verify(store)
    assert finding.where == str(store.checkpoints)
    assert prune(store, "damaged") == []
    assert store.finished() == had
    said = finding.mend.partition("say so: ")[2]
    subprocess.run(said, shell=True, check=True)
    assert with_lost_weights(plan, store).lost == set(plan.missing[-1].depends_on)


def test_what_another_run_has_begun_to_make_again_is_left_to_it(store: Store, sweep: Sweep) -> None:
    """It gives no sign while it waits for its next attempt; its checkpoints, log and failures are its own."""
    *_, last = expand(sweep)
    fingerprint = last.depends_on[0]
    weights_file(store, {"fingerprint": fingerprint}).unlink()
    plan = with_lost_weights(make_plan(sweep, store, retry_failed=False), store)
    assert plan.lost == {fingerprint}
    make_again(plan, store)
    folder = store.checkpoint_folder(fingerprint)
    folder.write("step-000001-00000001.safetensors", b"x")
    make_again(plan, store)
    assert folder.names() == ["step-000001-00000001.safetensors"]


def test_what_nothing_missing_needs_stays_without_its_weights(
    complete: Store, sweep: Sweep, tmp_path: Path
) -> None:
    shutil.copytree(complete.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    prune(store, "student-weights", "teacher-weights")
    plan = with_lost_weights(make_plan(sweep, store, retry_failed=False), store)
    assert plan.missing == ()
    assert not plan.lost


@pytest.mark.parametrize("word", ["failures", "unnamed", "damaged"])
def test_each_table_is_rewritten_once_for_all_trials(
    word: str, store: Store, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {of_kind(store, "teacher")["fingerprint"]}
    for row in store.results().to_pylist():
        store.add_failure({"fingerprint": row["fingerprint"], "error": "e"})
        if word == "damaged" and row["fingerprint"] not in kept:
            tamper(store, row, trial="{}")
    if word == "unnamed":
        shutil.rmtree(store.root / "sweeps")
        other = sweep.model_copy(update={"augmentations": ("flip",)})
        store.save_sweep("other", other.model_dump(mode="json"))
    generations: list[str] = []
    write = LocalFolder.write

    def counted(folder: LocalFolder, name: str, content: bytes) -> None:
        generations.extend([folder.path.name] if name == "_generation" else [])
        write(folder, name, content)

    monkeypatch.setattr(LocalFolder, "write", counted)
    assert len(prune(store, word)) > 3
    assert "failures" in generations
    assert len(generations) == len(set(generations))


@pytest.mark.parametrize("word", ["weights", "../results", "*", "0" * 64])
def test_unknown_words_are_refused(word: str, store: Store) -> None:
    with pytest.raises(UserError):
        removals(store, [word])


# export


def test_the_bundle_holds_all_that_a_claim_rests_on(store: Store, tmp_path: Path) -> None:
    (store.root / "sweeps" / "..evil.json").write_text("{}")
    (resolved,) = store.sweeps()
    names = export(store, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert bundle.testzip() is None
        assert bundle.namelist() == names
        assert set(names) == {
            *("results.parquet", "epochs.parquet", "failures.parquet", f"sweeps/{resolved}.json"),
            *("imported.parquet", "imported_epochs.parquet"),
            *("tables.txt", "tables.json", "plots/scatter.png", "plots/scatter.svg"),
            *("environment.json", "MANIFEST.json"),
        }
        sums = json.loads(bundle.read("MANIFEST.json"))
        for name, expected in sums.items():
            assert hashlib.sha256(bundle.read(name)).hexdigest() == expected
        rows = pq.read_table(io.BytesIO(bundle.read("results.parquet")))
        assert repr(rows.to_pydict()) == repr(store.results().to_pydict())
        environment = json.loads(bundle.read("environment.json"))
        assert environment["of_the_rows"]["command"] == ["kdsweep run"]
        assert "torch" in environment["installed"]
        assert Sweep.model_validate_json(bundle.read(f"sweeps/{resolved}.json")).name == "tiny"


def test_an_empty_store_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to export"):
        export(Store(tmp_path), tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()
