"""Life is judged by change, seen on one's own clock: what clocks of other machines say changes nothing."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.store import signs as signs_module
from orchestrator.store.clocks import LONGEST_STEP_S, AttentiveClock
from orchestrator.store.processes import Process, this_process
from orchestrator.store.signs import DEAD_AFTER_S, Signs
from tests.orchestrator.store.test_store import DEAD, ONE, OTHER, running
from trainer.files import LocalFolder

ELSEWHERE = Process(pid=1, started_at=1, space="another machine")


class OwnTime:
    """A reader's clock, as a test sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> OwnTime:
    return OwnTime()


@pytest.fixture
def reader(tmp_path: Path, clock: OwnTime) -> Signs:
    return Signs(LocalFolder(tmp_path), clock)


@pytest.fixture
def writer(tmp_path: Path) -> Signs:
    """Another process, somewhere."""
    return Signs(LocalFolder(tmp_path))


def test_one_that_does_not_change_is_believed_for_its_life_and_no_longer(
    reader: Signs, writer: Signs, clock: OwnTime
) -> None:
    clock.now = 1e9
    writer.set_running(running(ONE, ELSEWHERE))
    writer.set_running(replace(running(OTHER, ELSEWHERE), lives_for_s=120))
    assert set(reader.running()) == {ONE, OTHER}
    clock.now += DEAD_AFTER_S
    assert set(reader.running()) == {ONE, OTHER}
    clock.now += 1
    assert set(reader.running()) == {OTHER}
    assert reader.at_work(ONE) is None
    assert reader.last(ONE) is not None
    clock.now += DEAD_AFTER_S
    assert reader.running() == {}


def test_one_that_is_written_again_lives_on_though_it_says_the_same(
    reader: Signs, writer: Signs, clock: OwnTime
) -> None:
    for _ in range(5):
        writer.set_running(running(ONE, ELSEWHERE))
        assert set(reader.running()) == {ONE}
        clock.now += DEAD_AFTER_S
    assert set(reader.running()) == {ONE}
    clock.now += 1
    assert reader.running() == {}
    writer.set_running(running(ONE, ELSEWHERE))
    assert set(reader.running()) == {ONE}


@pytest.mark.parametrize("lives_for_s", [-1.0, 0.0, 121.0, 3600.0, float("inf"), float("nan")])
def test_one_that_says_to_live_for_ever_or_never_lives_as_others_do(
    lives_for_s: float, reader: Signs, writer: Signs, clock: OwnTime
) -> None:
    writer.set_running(replace(running(ONE, ELSEWHERE), lives_for_s=lives_for_s, loss=float("nan")))
    assert set(reader.running()) == {ONE}
    clock.now += DEAD_AFTER_S + 1
    assert reader.running() == {}


def test_a_process_of_this_machine_that_ended_is_known_at_once(
    reader: Signs, writer: Signs
) -> None:
    here = this_process()
    writer.set_running(running(ONE, DEAD))
    writer.set_running(running(OTHER, replace(here, started_at=here.started_at + 1)))
    assert reader.running() == reader.doubtful() == {}
    writer.set_running(running(ONE, replace(DEAD, space="a container of the same name")))
    assert set(reader.running()) == {ONE}


def test_who_looks_for_the_first_time_knows_only_of_this_machine(
    reader: Signs, writer: Signs
) -> None:
    writer.set_running(running(ONE))
    writer.set_running(running(OTHER, ELSEWHERE))
    assert set(reader.running()) == {ONE, OTHER}
    assert set(reader.doubtful()) == {OTHER}
    writer.set_running(running(OTHER, ELSEWHERE))
    assert reader.doubtful() == {}
    assert set(reader.running()) == {ONE, OTHER}


def test_only_what_is_known_to_be_dead_is_tidied_away(
    reader: Signs, writer: Signs, clock: OwnTime
) -> None:
    writer.set_running(running(ONE, DEAD))
    writer.set_running(running(OTHER, ELSEWHERE))
    reader.tidy()
    assert (reader.last(ONE), reader.last(OTHER) is None) == (None, False)
    clock.now += DEAD_AFTER_S + 1
    reader.tidy()
    assert reader.last(OTHER) is None


@pytest.mark.parametrize("claimed_s", [DEAD_AFTER_S, 3500.0], ids=["", "damaged"])
def test_whoever_must_know_looks_until_each_has_changed_or_is_dead(
    claimed_s: float,
    reader: Signs,
    writer: Signs,
    clock: OwnTime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive, dead = running(ONE, ELSEWHERE), running(OTHER, ELSEWHERE)
    dead = replace(dead, lives_for_s=claimed_s)

    def wait(_seconds: float) -> None:
        clock.now += 10
        writer.set_running(alive)

    monkeypatch.setattr(signs_module.time, "sleep", wait)
    told: list[str] = []
    for sign in (alive, dead):
        writer.set_running(sign)
    reader.until_known(told.append)
    assert told == ["2 trials may be at work (host): looking for signs of life, 60 s at most"]
    assert set(reader.running()) == {ONE}
    assert clock.now == 70
    reader.until_known(told.append)
    assert len(told) == 1


def test_a_sign_of_an_older_kdsweep_is_believed_until_it_is_seen_unchanged(
    reader: Signs, clock: OwnTime, tmp_path: Path
) -> None:
    """It says when it expires, by a clock of which nothing is known."""
    content = {k: v for k, v in vars(running(ONE)).items() if k not in ("process", "beat")}
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / f"{ONE}.json").write_text(
        json.dumps({**content, "lives_for_s": 60, "expires_at": 1.0, "pid": 1})
    )
    assert set(reader.running()) == {ONE}
    clock.now += DEAD_AFTER_S + 1
    assert reader.running() == {}


def test_time_in_which_nobody_looked_does_not_count(writer: Signs, tmp_path: Path) -> None:
    """The reader was stopped for an hour, perhaps with all that it looks at."""
    source = OwnTime()
    reader = Signs(LocalFolder(tmp_path), AttentiveClock(source))
    writer.set_running(running(ONE, ELSEWHERE))
    assert set(reader.running()) == {ONE}
    source.now += 3600
    assert set(reader.running()) == {ONE}
    for _ in range(2):
        source.now += LONGEST_STEP_S
        last_seen = set(reader.running())
    assert last_seen == set()


def test_a_sign_that_cannot_be_read_now_is_nobody_s_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = Signs(LocalFolder(tmp_path))
    signs.set_running(running(ONE, ELSEWHERE))

    def stale(_: LocalFolder, name: str) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle", name)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "read", stale)
        for look in (signs.running, signs.tidy):
            with pytest.raises(OSError, match="Stale"):
                look()
    assert set(signs.running()) == {ONE}
