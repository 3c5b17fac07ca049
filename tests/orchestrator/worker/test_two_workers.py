"""Two workers on one trial, neither of which knows of the other: no progress is lost, and the bits stay equal."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.worker.keeper import StoreKeeper
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import work
from trainer.checkpoint import Checkpoint, CheckpointFolder
from trainer.files import LocalFolder
from trainer.keeper import Command, Progress
from trainer.positions import FINAL, Position, name_of, newest_position
from trainer.trial import Trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A teacher of three epochs."""
    teachers = {"epochs": 3}
    return expand(load_sweep(write_sweep(tmp_path_factory.mktemp("sweep"), teachers=teachers)))[0]


@pytest.fixture(scope="module")
def undisturbed(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """What one worker alone comes to."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("alone"))
    work(store, [trial])
    return outcome(store, trial)


def outcome(store: Store, trial: Trial) -> dict[str, bytes]:
    """Weights and metrics, as bytes."""
    (row,) = store.results((trial.fingerprint,), ("test_loss", "best_accuracy")).to_pylist()
    weights = store.checkpoint_folder(trial.fingerprint).read(FINAL)
    return {"weights": weights, "metrics": repr(row).encode()}


def stopping(at: Position, meanwhile: Callable[[], None] = lambda: None) -> type[StoreKeeper]:
    """A worker that is stopped there, as by SIGTERM; another does something just before."""

    class Stopping(StoreKeeper):
        def after_step(self, progress: Progress) -> Command:
            super().after_step(progress)
            if Position(progress.epoch, progress.step) < at:
                return Command.GO_ON
            meanwhile()
            return Command.STOP

    return Stopping


def test_the_slower_leaves_the_progress_of_the_faster(
    trial: Trial, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    folder = store.checkpoint_folder(trial.fingerprint)

    def the_faster_goes_ahead() -> None:
        work(store, [trial], stopping(Position(3, 1)))

    work(store, [trial], stopping(Position(1, 1), the_faster_goes_ahead))
    ahead = newest_position(folder)
    assert ahead is not None
    assert ahead.epoch == 3
    work(store, [trial], stopping(ahead))
    work(store, [trial])
    assert outcome(store, trial) == undisturbed


def test_the_slower_ends_as_it_would_alone_though_the_faster_has_finished(
    trial: Trial, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    store = Store(tmp_path)

    def the_faster_finishes() -> None:
        work(store, [trial])

    work(store, [trial], stopping(Position(2, 1), the_faster_finishes))
    assert outcome(store, trial) == undisturbed
    work(store, [trial])
    assert outcome(store, trial) == undisturbed
    assert store.checkpoint_folder(trial.fingerprint).names() == [FINAL]


def test_of_two_that_save_in_turns_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    fast, slow = CheckpointFolder(tmp_path), CheckpointFolder(tmp_path)

    def save(folder: CheckpointFolder, epoch: int) -> None:
        folder.save(Checkpoint(Position(epoch, 0), {"w": torch.full((2,), float(epoch))}, {}))

    for step in range(1, 5):
        save(fast, 50 * step)
        save(slow, step)
        latest = slow.latest()
        assert latest is not None
        assert latest.position == Position(50 * step, 0)
    assert LocalFolder(tmp_path).names() == [name_of(Position(e, 0)) for e in (150, 200)]


def test_one_ahead_that_cannot_be_read_now_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ahead = CheckpointFolder(tmp_path), name_of(Position(9, 0))
    folder.save(Checkpoint(Position(9, 0), {"w": torch.ones(2)}, {}))
    read = LocalFolder.read

    def stale(where: LocalFolder, name: str) -> bytes:
        if name == ahead:
            raise OSError(116, "Stale file handle")
        return read(where, name)

    monkeypatch.setattr(LocalFolder, "read", stale)
    folder.save(Checkpoint(Position(2, 0), {"w": torch.ones(2)}, {}))
    assert ahead in LocalFolder(tmp_path).names()
