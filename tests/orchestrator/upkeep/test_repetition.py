"""Finished trials once more: what was there stays until all is done, and what differs is told to the last bit."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.cli.again import named_by
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.processes import this_process
from orchestrator.store.records import failure_row
from orchestrator.store.rows import Rows
from orchestrator.store.signs import Run
from orchestrator.store.store import Store
from orchestrator.upkeep.repetition import Repetition
from orchestrator.upkeep.verification import verify
from tests.analysis.stores import add
from tests.orchestrator.commands import descendants, finish, run, start, wait_until
from tests.orchestrator.conftest import SETTINGS
from tests.orchestrator.driver.test_faults import students
from tests.orchestrator.planning.test_own_predictors import TWO
from tests.orchestrator.results import comparable, curves, weights
from tests.orchestrator.sweeps import write_sweep
from trainer.checkpoint import CheckpointFolder
from trainer.files import process_is_alive
from trainer.positions import FINAL
from trainer.problems import UserError

TENSORS = {"a": torch.arange(3.0)}


def keep(store: Store, fingerprint: str, tensors: Mapping[str, torch.Tensor] = TENSORS) -> None:
    CheckpointFolder(store.checkpoint_folder(fingerprint), fingerprint).keep(tensors)


def finished(folder: Path, **changes: Any) -> tuple[Plan, Store]:
    """A sweep all of whose trials have finished, with weights."""
    sweep, store = load_sweep(write_sweep(folder, **changes)), Store(folder / "store")
    for trial in make_plan(sweep, store, retry_failed=False).trials:
        add(store, trial, test_loss=2.0, t_stddev=1.0)
        if trial.kind != "stddev":
            keep(store, trial.fingerprint)
    return make_plan(sweep, store, retry_failed=False), store


def repeat(store: Store, beside: Store, fingerprint: str, **changes: Any) -> None:
    """As if a trial had been computed once more in a store beside."""
    (row,) = store.results([fingerprint]).to_pylist()
    again = {"job_id": "again", "finished_at": datetime(2026, 2, 2, tzinfo=UTC)}
    curve = store.rows.epochs([fingerprint]).to_pylist()
    beside.add_result({**row, **again, **changes}, curve)


def losses(store: Store) -> dict[str, float]:
    return {row["fingerprint"]: row["test_loss"] for row in store.results().to_pylist()}


def test_what_is_repeated_borrows_the_weights_that_it_needs(tmp_path: Path) -> None:
    plan, store = finished(tmp_path)
    teacher = plan.trials[0].fingerprint
    picks = {t.fingerprint for t in plan.trials if t.kind == "stddev" and t.student}
    repetition = Repetition(plan, store, picks)
    needed = {fp for t in plan.trials if t.fingerprint in picks for fp in t.depends_on}
    assert teacher in needed
    assert {t.fingerprint for t in repetition.plan.missing} == picks
    assert {t.fingerprint for t in repetition.plan.trials} == picks | needed
    with repetition.weights_lent():
        assert all(repetition.beside.has_weights(fingerprint) for fingerprint in needed)
    assert not list(repetition.beside.root.rglob(FINAL))
    assert all(store.has_weights(fingerprint) for fingerprint in needed)


def test_what_lost_its_weights_is_repeated_with_what_needs_them(tmp_path: Path) -> None:
    plan, store = finished(tmp_path)
    teacher = plan.trials[0].fingerprint
    (student, *_) = (t.fingerprint for t in plan.trials if t.kind == "student")
    store.checkpoint_folder(teacher).remove(FINAL)
    repetition = Repetition(plan, store, {student})
    assert {t.fingerprint for t in repetition.plan.missing} == {teacher, student}
    assert losses(store).keys() == {t.fingerprint for t in plan.trials}


def test_it_is_compared_and_put_in_its_place(tmp_path: Path) -> None:
    plan, store = finished(tmp_path)
    one, two, three = (t.fingerprint for t in plan.trials if t.kind == "student")
    repetition = Repetition(plan, store, {one, two, three})
    beside = repetition.beside
    repeat(store, beside, one)
    repeat(store, beside, two, test_loss=2.5)
    repeat(store, beside, three)
    for fingerprint in (one, two, three):
        keep(beside, fingerprint, TENSORS if fingerprint != three else {"a": torch.ones(3)})
    told: list[str] = []
    repetition.settle(told.append)
    assert told[0] == "repeated 3 trials: 1 equal in every bit, 2 different"
    assert told[1].startswith("the greatest difference: student ")
    assert told[1].endswith(f"({two[:12]}): test_loss: 2.0 -> 2.5 (+0.5)")
    assert [line.rpartition(": ")[2] for line in told[2:]] == ["test_loss", "weights"]
    assert losses(store)[two] == 2.5
    rows = {row["fingerprint"]: row for row in store.results().to_pylist()}
    assert len(rows) == len(plan.trials)
    assert {fp for fp, row in rows.items() if row["job_id"] == "again"} == {one, two, three}
    kept = CheckpointFolder(store.checkpoint_folder(three), three).weights()
    assert torch.equal(kept["a"], torch.ones(3))
    assert not (store.root / "again").exists()
    assert not [finding for finding in verify(store) if "curve" in finding.problem]


def test_killed_while_it_replaces_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = finished(tmp_path)
    before = losses(store)
    one, two, _ = (t.fingerprint for t in plan.trials if t.kind == "student")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    repetition = Repetition(plan, store, {one, two})
    repeat(store, repetition.beside, one, test_loss=3.0)
    repeat(store, repetition.beside, two)
    with monkeypatch.context() as patched:
        patched.setattr(Rows, "replace_results", killed)
        with pytest.raises(KeyboardInterrupt):
            repetition.settle(lambda _line: None)
    assert losses(store) == before
    again = Repetition(plan, store, {one, two})
    assert not again.plan.missing
    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.upkeep.repetition._empty", killed)
        with pytest.raises(KeyboardInterrupt):
            again.settle(lambda _line: None)
    assert losses(store) == before | {one: 3.0}
    told: list[str] = []
    Repetition(plan, store, {one, two}).settle(told.append)
    assert told == [
        "repeated 0 trials: 0 equal in every bit; 2 more were repeated and replaced before"
    ]
    assert losses(store) == before | {one: 3.0}
    assert not (store.root / "again").exists()


def test_what_fails_keeps_its_old_result(tmp_path: Path) -> None:
    plan, store = finished(tmp_path)
    before = losses(store)
    picking = next(
        t for t in plan.trials if t.kind == "student" and t.augmentation == "cutmixpick_s"
    )
    measured = next(t for t in plan.trials if picking.fingerprint in t.depends_on)
    repetition = Repetition(plan, store, {picking.fingerprint, measured.fingerprint})
    failure = Failure(Cause.PROGRAM, "ValueError: no")
    repetition.beside.add_failure(failure_row(picking, failure))
    told: list[str] = []
    repetition.settle(told.append)
    assert told[0] == "repeated 0 trials: 0 equal in every bit"
    assert told[1].startswith("failed: student cutmixpick_s resnet8/resnet8")
    assert told[1].endswith("ValueError: no; what was there stays")
    assert told[2] == "1 trials that depend on them were not repeated"
    assert losses(store) == before


def test_a_filter_leaves_out_what_has_no_such_value(tmp_path: Path) -> None:
    plan, store = finished(tmp_path)
    found = named_by(["augmentation=cutmix"], plan, store)
    named = [t for t in plan.trials if t.fingerprint in found]
    assert [(t.kind, t.augmentation) for t in named] == [
        ("student", "cutmix"),
        ("stddev", "cutmix"),
    ]
    students = named_by(["student.temperature=4"], plan, store)
    assert {t.kind for t in plan.trials if t.fingerprint in students} == {"student"}


def test_predictors_are_found_by_the_settings_of_stddev(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TWO)
    plan, store = finished(tmp_path, predictors=str(tmp_path / "mine.py"))
    found = named_by(["stddev.epochs=4"], plan, store)
    kinds = [t.kind for t in plan.trials if t.fingerprint in found]
    assert Counter(kinds) == {"stddev": 3, "predictor": 6}


def test_nobody_repeats_beside_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of this machine is known at once; one of another is looked at until its sign has gone stale."""
    plan, store = finished(tmp_path)
    signs = Store(store.root / "again").signs
    signs.set_run(Run("mine", "tiny", "here", "now", this_process()))
    with pytest.raises(UserError, match="are being repeated already, on here"):
        Repetition(plan, store, plan.done)
    signs.clear_run("mine")
    signs.set_run(Run("other", "tiny", "elsewhere", "now", lives_for_s=0.01))
    monkeypatch.setattr("orchestrator.store.signs.LOOK_AGAIN_S", 0.02)
    told: list[str] = []
    assert Repetition(plan, store, plan.done, told.append).plan.missing
    assert told == [
        "a run may be at work (elsewhere): looking for signs of life, two minutes at most"
    ]


def test_nothing_is_repeated_that_has_not_finished(tmp_path: Path) -> None:
    plan, store = finished(tmp_path)
    with pytest.raises(UserError, match="no trial of tiny that is asked for has finished"):
        Repetition(plan, store, {"0" * 64})
    sweep = write_sweep(tmp_path)
    code, output = run(tmp_path, "run", sweep, "--store", tmp_path / "none", "--again")
    assert (code, output) == (
        2,
        "--again: no trial of tiny that is asked for has finished\n",
    )
    code, output = run(tmp_path, "run", sweep, "--filter", "augmentation=cutmix")
    assert (code, output) == (2, "--filter augmentation=cutmix: goes with --again\n")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_killed_in_between_the_old_rows_stand_and_it_goes_on(home: Path, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, **SETTINGS, augmentations=["identity", "cutmix"])
    store = Store(tmp_path / "store")
    arguments = (sweep, "--store", store.root, "--cpus", 2)
    code, output = run(home, "run", *arguments)
    assert code == 0, output
    first, kept, drawn = comparable(store), weights(store), curves(store)
    jobs = {row["fingerprint"]: row["job_id"] for row in store.results().to_pylist()}
    (wrong,) = (
        row
        for row in store.results().to_pylist()
        if (row["kind"], row["augmentation"]) == ("student", "cutmix")
    )
    fingerprint = wrong["fingerprint"]
    curve = store.rows.epochs([fingerprint]).to_pylist()
    another = {**wrong, "test_loss": wrong["test_loss"] + 1}
    store.rows.replace_results({fingerprint: another}, {fingerprint: curve})
    before = comparable(store)
    assert before != first

    beside = Store(store.root / "again")
    process = start(home, "run", *arguments, "--again")
    wait_until(lambda: students(beside))
    others = [pid for pid, _ in descendants(process.pid)]
    process.kill()
    finish(process)
    wait_until(lambda: not any(map(process_is_alive, others)))
    assert comparable(store) == before
    assert curves(store) == drawn
    for name, tensors in weights(store).items():
        assert all(torch.equal(tensor, kept[name][key]) for key, tensor in tensors.items())

    code, output = run(home, "run", *arguments, "--again")
    assert code == 0, output
    assert "repeated 5 trials: 4 equal in every bit, 1 different" in output
    assert "the greatest difference: student cutmix resnet8/resnet8" in output
    assert "(-1)" in output
    assert comparable(store) == first
    assert curves(store) == drawn
    assert not beside.root.exists()
    after = {row["fingerprint"]: row["job_id"] for row in store.results().to_pylist()}
    assert after.keys() == jobs.keys()
    assert not set(after.values()) & set(jobs.values())
    code, output = run(home, "verify", store.root)
    assert code == 0, output
