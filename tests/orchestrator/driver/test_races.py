"""Two at once: what is removed while a run goes on, two drivers, a compaction beside a removal."""

from pathlib import Path

import pytest
import torch

from orchestrator.driver.claims import Claims
from orchestrator.driver.run import start_over
from orchestrator.language.resources import Resources
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import Plan, expand, make_plan
from orchestrator.planning.scheduling import Job
from orchestrator.store.signs import sign_of_life
from orchestrator.store.store import Store
from orchestrator.upkeep.pruning import carry_out, removals
from tests.orchestrator.sweeps import write_sweep
from trainer.checkpoint import Checkpoint, CheckpointError, CheckpointFolder
from trainer.files import LocalFolder
from trainer.positions import FINAL, Position, name_of, newest_position
from trainer.problems import UserError
from trainer.trial import Trial

STEP = "step-000001-00000001.safetensors"


class Meanwhile(Store):
    """A store in which a trial ends right after somebody has asked what is finished."""

    def __init__(self, root: Path, ending: Trial) -> None:
        super().__init__(root)
        self._ending: Trial | None = ending

    def finished(self) -> frozenset[str]:
        found = super().finished()
        ending, self._ending = self._ending, None
        if ending is not None:
            folder = self.checkpoint_folder(ending.fingerprint)
            folder.write(FINAL, b"weights")
            self.add_result({"fingerprint": ending.fingerprint}, [])
            folder.remove(STEP)
            self.signs.clear_running(ending.fingerprint)
        return found


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Everything is missing; at the first trial somebody works, and it has a checkpoint."""
    sweep = load_sweep(write_sweep(tmp_path))
    store = Store(tmp_path / "store")
    first = expand(sweep)[0]
    store.checkpoint_folder(first.fingerprint).write(STEP, b"x")
    store.signs.set_running(sign_of_life(first, "run", step=0))
    return make_plan(sweep, store, retry_failed=True)


def names(tmp_path: Path, trial: Trial) -> list[str]:
    return Store(tmp_path / "store").checkpoint_folder(trial.fingerprint).names()


def test_prune_leaves_the_weights_of_what_just_ended(plan: Plan, tmp_path: Path) -> None:
    trial = plan.trials[0]
    store = Meanwhile(tmp_path / "store", trial)
    carry_out(removals(store, ["checkpoints"]))
    store.finished()
    assert names(tmp_path, trial) == [FINAL]


def test_starting_over_leaves_the_weights_of_what_just_ended(plan: Plan, tmp_path: Path) -> None:
    """The plan was made before."""
    trial = plan.trials[0]
    store = Meanwhile(tmp_path / "store", trial)
    store.finished()
    assert start_over(plan.missing, store) == 0
    assert names(tmp_path, trial) == [FINAL]


def test_a_file_that_is_gone_before_it_is_counted_does_not_matter(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = plan.trials[0]
    store = Store(tmp_path / "store")
    store.signs.clear_running(trial.fingerprint)
    kind = type(store.folder)
    size = kind.size

    def gone(folder: object, name: str) -> int:
        store.checkpoint_folder(trial.fingerprint).remove(STEP)
        return size(folder, name)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "size", gone)
    (removal,) = removals(store, ["checkpoints"])
    carry_out([removal])
    assert removal.num_bytes == 0


def test_what_a_compaction_has_read_and_prune_has_dropped_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    one, two, three = ("1" * 64, "2" * 64, "3" * 64)
    for fingerprint in (one, two, three):
        store.add_result({"fingerprint": fingerprint}, [])
    table = store.tables["results"]
    write, dropped = table._write, []

    def drop_before(name: str, rows: object) -> str:
        if not dropped:
            dropped.append(one)
            Store(tmp_path / "store").forget([one])
        return write(name, rows)

    monkeypatch.setattr(table, "_write", drop_before)
    store.compact()
    assert store.finished() == {two, three}
    store.compact()
    assert store.finished() == {two, three}
    assert len(table.files()) == 1


def test_a_claim_of_another_driver_is_seen_before_ones_own(tmp_path: Path, plan: Plan) -> None:
    store = Store(tmp_path / "store")
    first, second = Claims(store, "one"), Claims(store, "two")
    job = Job(0, plan.trials[1:3], Resources(gpu=0))
    assert second.taken(job) == frozenset()
    first.claim(Job(0, plan.trials[1:2], Resources(gpu=0)))
    assert second.taken(job) == {plan.trials[1].fingerprint}
    assert first.taken(job) == frozenset()


# What a file system may do


def test_a_dead_link_in_a_table_is_named_and_loops_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.add_result({"fingerprint": "1" * 64}, [])
    (tmp_path / "store" / "results" / f"{'2' * 64}.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="listed, but not there"):
        store.results()


def test_a_sign_that_cannot_be_read_is_none(tmp_path: Path, plan: Plan) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "store" / "running" / f"{'3' * 64}.json").mkdir(parents=True)
    assert set(store.signs.running()) == {plan.trials[0].fingerprint}


# What is of another trial


def test_weights_and_checkpoints_of_another_trial_are_refused(tmp_path: Path) -> None:
    mine, others = "a" * 64, "b" * 64
    weights = {"w": torch.ones(3)}
    checkpoint = Checkpoint(Position(1, 1), weights, {})
    CheckpointFolder(tmp_path, others).save(checkpoint)
    CheckpointFolder(tmp_path, others).keep(weights)
    assert CheckpointFolder(tmp_path, others).latest() is not None
    folder = CheckpointFolder(tmp_path, mine)
    assert folder.latest() is None
    with pytest.raises(CheckpointError, match="of another trial, bbbbbbbbbbbb"):
        folder.weights()
    assert len(folder.damaged()) == 2


def test_after_a_damaged_checkpoint_the_last_two_good_ones_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for epoch in (5, 9):
        folder.save(Checkpoint(Position(epoch, 0), {"w": torch.ones(epoch)}, {}))
    (tmp_path / name_of(Position(9, 0))).write_bytes(b"damaged")
    for epoch in (6, 7):
        folder.save(Checkpoint(Position(epoch, 0), {"w": torch.ones(epoch)}, {}))
        assert newest_position(LocalFolder(tmp_path)) == Position(epoch, 0)
    (tmp_path / name_of(Position(7, 0))).write_bytes(b"damaged, too")
    latest = folder.latest()
    assert latest is not None
    assert latest.position == Position(6, 0)
