"""How long `submit` waits for a job to begin, with a cluster's answers played to it."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import jobs as module
from orchestrator.cluster.jobs import SweepJob
from orchestrator.cluster.submission import SUBMITTED, has_begun, is_seen, watched
from orchestrator.store.store import Store
from trainer.problems import UserError

JOB = "kdsweep-tiny-0a1b2c3d"


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Played:
    """A cluster that says one state after the other, the last one for ever."""

    url = "http://head:8265"

    def __init__(self, *states: str, exit_code: int | None = None) -> None:
        self._states: Iterator[str] = iter(states)
        self._state = ""
        self._exit_code = exit_code

    def one(self, job_id: str) -> SweepJob:
        self._state = next(self._states, self._state)
        return SweepJob(job_id, "tiny", "store", self._state, 0.0, None, self._exit_code, "")

    def log(self, job_id: str) -> str:
        return "asking 1 node\n"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def wait(cluster: Any, store: Store) -> tuple[int, list[str]]:
    told: list[str] = []
    return module._until_begun(cluster, JOB, store, told.append), told


def test_a_mark_in_the_store_ends_the_wait(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setenv(SUBMITTED, JOB)
    with watched(store) as tell_that_it_begins:
        assert (is_seen(store, JOB), has_begun(store, JOB)) == (True, False)
        tell_that_it_begins()
        assert wait(Played("RUNNING"), store) == (0, ["asking 1 node"])
    assert clock.now == 0
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_seen_to_check_is_waited_for_to_its_end(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding data on every node takes its time; what is refused after it must not be told as a success."""
    store = Store(tmp_path)
    monkeypatch.setenv(SUBMITTED, JOB)
    with watched(store):
        assert wait(Played(*["RUNNING"] * 2000, "FAILED", exit_code=2), store)[0] == 2
    assert clock.now > 10 * module.LEFT_ALONE_AFTER_S


def test_a_run_that_is_refused_leaves_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUBMITTED, JOB)
    with pytest.raises(UserError), watched(Store(tmp_path)):
        raise UserError("a node lacks the data")
    assert list(tmp_path.iterdir()) == []


def test_who_was_not_submitted_leaves_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SUBMITTED, raising=False)
    with watched(Store(tmp_path)) as tell_that_it_begins:
        tell_that_it_begins()
        assert list(tmp_path.iterdir()) == []


def test_a_job_whose_store_is_not_seen_from_here_is_left_to_itself(
    clock: Clock, tmp_path: Path
) -> None:
    store = Store(tmp_path / "elsewhere")
    pending = ["PENDING"] * 1000
    code, told = wait(Played(*pending, "RUNNING"), store)
    assert code == 0
    assert told[0] == "asking 1 node"
    assert told[1].startswith("it runs; whether it has begun to train cannot be seen in ")
    assert clock.now - len(pending) * module.LOOK_EVERY_S == pytest.approx(
        module.LEFT_ALONE_AFTER_S, abs=2 * module.LOOK_EVERY_S
    )
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_refused_within_that_time_is_told(clock: Clock, tmp_path: Path) -> None:
    cluster = Played(*["RUNNING"] * 20, "FAILED", exit_code=2)
    assert wait(cluster, Store(tmp_path / "elsewhere"))[0] == 2


def test_a_store_that_refuses_has_no_mark_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)

    def refuse(_name: str) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(store.begun, "is_set", refuse)
    assert not has_begun(store, JOB)
    assert not is_seen(store, JOB)
