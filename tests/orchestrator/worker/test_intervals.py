"""When checkpoints are taken, and that a trial killed between two of them goes on to the same bits."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.worker.keeper import Intervals, Place, StoreKeeper
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import CPU, DATA
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import load_dataset
from trainer.keeper import Command, Progress
from trainer.lockstep import run_group
from trainer.positions import Position
from trainer.trial import Trial

LATE = 1e9


class Killed(BaseException):
    """No trial can catch it, as none can catch SIGKILL."""


class CountingKeeper(StoreKeeper):
    """Remembers where it saved, and is killed after some steps."""

    def __init__(self, store: Store, intervals: Intervals, killed_after: float = LATE) -> None:
        place = Place("cpu", num_threads=1, share=1.0, node="", execution="eager")
        super().__init__(
            store,
            "run",
            "job",
            command="kdsweep run",
            place=place,
            checkpoints=intervals,
            must_leave=lambda: False,
        )
        self.saved: list[Position] = []
        self._steps_left = killed_after

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        super().save(trial, checkpoint)
        self.saved.append(checkpoint.position)

    def after_step(self, progress: Progress) -> Command:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Killed
        return super().after_step(progress)


def work(keeper: CountingKeeper, trials: Sequence[Trial]) -> list[Position]:
    """What a worker does, without Ray: where it saved, also where it was killed."""
    keeper.begin({trial.model_dump_json(): trial for trial in trials}, DATA)
    try:
        run_group(trials, keeper, load_dataset(trials[0].data, DATA), CPU)
    except Killed:
        return keeper.saved
    keeper.leave(trials)
    return keeper.saved


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """A teacher and two students of five epochs, ten steps each."""
    student = {"epochs": 5, "batch_size": 16, "pick_size": 16}
    changes = {"measure": ["s_test_loss"], "augmentations": ["identity", "cutmixpick_s"]}
    folder = tmp_path_factory.mktemp("sweep")
    return expand(load_sweep(write_sweep(folder, student=student, **changes)))


def test_checkpoints_come_after_those_epochs_alone_and_bring_the_same_bits(
    trials: list[Trial], tmp_path: Path
) -> None:
    teacher, *students = trials
    never, every_second = Intervals(LATE, None), Intervals(LATE, 2)
    reference, store = Store(tmp_path / "reference"), Store(tmp_path / "store")
    for one in (reference, store):
        assert work(CountingKeeper(one, never), [teacher]) == []
    assert work(CountingKeeper(reference, never), students) == []

    for killed_after, expected in (
        (19, []),
        (25, [Position(3)]),
        (25, [Position(5)]),
        (5, []),
        (LATE, []),
    ):
        keeper = CountingKeeper(store, every_second, killed_after)
        saved = work(keeper, students)
        assert saved == [position for position in expected for _ in students]
    assert_same_results(store, reference)
    assert is_clean(store)
    rows = store.results([t.fingerprint for t in students]).to_pylist()
    assert [row["num_attempts"] for row in rows] == [5, 5]


def test_whichever_comes_first(trials: list[Trial], tmp_path: Path) -> None:
    teacher, student, _ = trials
    store = Store(tmp_path)
    work(CountingKeeper(store, Intervals(LATE, None)), [teacher])
    saved = work(CountingKeeper(store, Intervals(0, 2)), [student])
    assert saved == [Position(e, s) for e in range(1, 6) for s in range(10)][1:]
    store.forget([student.fingerprint])
    saved = work(CountingKeeper(store, Intervals(LATE, 1)), [student])
    assert saved == [Position(epoch) for epoch in range(2, 6)]
