"""Once a row is written its trial is finished, and nothing that follows can fail it or its group."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.signs import Signs
from orchestrator.store.store import Store
from orchestrator.worker import keeper as keeper_module
from orchestrator.worker.keeper import StoreKeeper
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import CPU, DATA, keeper
from trainer import trial_log
from trainer.checkpoint import Checkpoint, CheckpointFolder
from trainer.datasets.dataset import load_dataset
from trainer.keeper import Command, Progress, Result, Row
from trainer.lockstep import run_group
from trainer.trial import Trial
from trainer.trial_log import TrialLog


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """A teacher and two students."""
    changes = {"measure": ["s_test_loss"], "augmentations": ["identity", "flip"]}
    return expand(load_sweep(write_sweep(tmp_path_factory.mktemp("sweep"), **changes)))


def work(store: Store, trials: list[Trial], kind: type[StoreKeeper] = StoreKeeper) -> StoreKeeper:
    one = keeper(store, kind)
    one.begin({trial.model_dump_json(): trial for trial in trials}, DATA)
    run_group(trials, one, load_dataset(trials[0].data, DATA), CPU)
    return one


def refuse(*_arguments: object) -> None:
    raise OSError(116, "Stale file handle")


def test_a_store_that_takes_no_sign_is_asked_once_a_round(
    tmp_path: Path, trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = keeper(Store(tmp_path), StoreKeeper), list[str]()

    def refuse_and_note(_: Signs, what: Any) -> None:
        asked.append(what)
        refuse()

    monkeypatch.setattr(Signs, "set_running", refuse_and_note)
    monkeypatch.setattr(Signs, "clear_running", refuse_and_note)
    progress = Progress(tuple(trials), epoch=1, step=1, steps_per_epoch=10, loss=0.5)
    assert one.after_step(progress) == Command.GO_ON
    assert len(asked) == 1
    one.leave(trials)
    assert len(asked) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda patch: patch.setattr(Signs, "clear_running", refuse),
        lambda patch: patch.setattr(keeper_module, "end_attempts", refuse),
        lambda patch: patch.setattr(CheckpointFolder, "drop_checkpoints", refuse),
    ],
    ids=["sign of life", "attempts", "checkpoints"],
)
def test_an_error_behind_the_row_fails_nothing(
    spoil: Callable[[pytest.MonkeyPatch], None],
    trials: list[Trial],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(tmp_path)
    teacher, *students = trials
    spoil(monkeypatch)
    for group in ([teacher], students):
        assert work(store, group).failed == {}
    assert store.finished() == {trial.fingerprint for trial in trials}
    assert store.failures().num_rows == 0


class RefusingOnce(StoreKeeper):
    """Cannot keep what the first of a group has come to."""

    def finish(self, trial: Trial, result: Result) -> None:
        if trial.augmentation == "identity":
            raise OSError(28, "No space left on device")
        super().finish(trial, result)


def test_one_that_cannot_be_kept_takes_no_other_with_it(
    trials: list[Trial], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    teacher, *students = trials
    work(store, [teacher])
    failed = work(store, students, RefusingOnce).failed
    (lost,) = [trial for trial in students if trial.augmentation == "identity"]
    assert set(failed) == {lost.fingerprint}
    assert store.finished() == {t.fingerprint for t in trials} - {lost.fingerprint}


class Stumbling(StoreKeeper):
    """Raises at the one without augmentation, wherever a group asks it."""

    def after_epoch(self, trial: Trial, row: Row) -> None:
        self._stumble("after_epoch", trial)
        super().after_epoch(trial, row)

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        self._stumble("save", trial)
        super().save(trial, checkpoint)

    def after_step(self, progress: Progress) -> Command:
        return Command.SAVE

    def _stumble(self, _at: str, trial: Trial) -> None:
        if trial.augmentation == "identity":
            raise OSError(28, "No space left on device")


class StumblingAtSaves(Stumbling):
    def _stumble(self, at: str, trial: Trial) -> None:
        if at == "save":
            super()._stumble(at, trial)


@pytest.mark.parametrize("kind", [Stumbling, StumblingAtSaves])
def test_what_is_kept_of_one_while_it_runs_takes_no_other_with_it(
    kind: type[StoreKeeper], trials: list[Trial], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    teacher, *students = trials
    work(store, [teacher])
    failed = work(store, students, kind).failed
    (lost,) = [trial for trial in students if trial.augmentation == "identity"]
    assert set(failed) == {lost.fingerprint}
    assert store.finished() == {t.fingerprint for t in trials} - {lost.fingerprint}


def test_a_row_whose_writing_seemed_to_fail_is_a_row(
    trials: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flushing the folder failed, say, when the file was there already."""
    store = Store(tmp_path)
    write = store.add_result

    def written_but_refused(*row_and_curve: Any) -> None:
        write(*row_and_curve)
        refuse()

    monkeypatch.setattr(store, "add_result", written_but_refused)
    one = work(store, trials[:1])
    assert (one.failed, one.finished) == ({}, [trials[0].fingerprint])
    assert store.failures().num_rows == 0


def test_no_log_fails_a_trial_and_its_file_is_tried_again(
    trials: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tries = Store(tmp_path), []
    write = trial_log.write_atomically

    def refused_once(path: Path, content: bytes) -> None:
        tries.append(path)
        if len(tries) == 1:
            refuse()
        write(path, content)

    monkeypatch.setattr(trial_log, "write_atomically", refused_once)
    monkeypatch.setattr(TrialLog, "add_row", refuse)
    assert work(store, trials[:1]).failed == {}
    assert len(tries) == 2
    assert (store.trial_folder(trials[0].fingerprint) / "trial.yaml").exists()
