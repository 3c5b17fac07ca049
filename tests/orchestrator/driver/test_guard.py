"""What is raised on our side of Tune's loop: borne for a while, or kept until the run has been stopped in order."""

import errno

import pytest

from orchestrator.driver import guard as guard_module
from orchestrator.driver.guard import UNUSABLE_S, Guard, StoreUnusableError


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Run:
    """What a guard talks to."""

    def __init__(self) -> None:
        self.stops = 0
        self.notes: list[str] = []
        self.guard = Guard(self.stop, self.notes.append)

    def stop(self) -> None:
        self.stops += 1

    def meets(self, error: BaseException) -> None:
        with self.guard:
            raise error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(guard_module, "time", clock)
    return clock


def test_a_store_that_refuses_for_a_while_is_told_once_and_borne(clock: Clock) -> None:
    run = Run()
    for _ in range(5):
        run.meets(OSError(errno.ESTALE, "Stale file handle"))
        clock.now += UNUSABLE_S / 5
    run.guard.raise_kept()
    assert run.stops == 0
    assert len(run.notes) == 1
    assert "Stale file handle" in run.notes[0]


def test_a_store_that_refuses_for_good_ends_the_run(clock: Clock) -> None:
    run = Run()
    run.meets(OSError(errno.EIO, "first"))
    while not run.stops:
        clock.now += 1
        run.meets(OSError(errno.EIO, f"after {clock.now - 1000:.0f} s"))
    for _ in range(3):
        clock.now += 1
        run.meets(OSError(errno.EIO, "later"))
    assert run.stops == 1
    assert len(run.notes) == 1
    with pytest.raises(
        StoreUnusableError, match=rf"for 10 minutes: .*after {UNUSABLE_S + 1:.0f} s"
    ):
        run.guard.raise_kept()


def test_an_hour_in_which_the_driver_was_stopped_is_no_hour_of_a_refusing_store(
    clock: Clock,
) -> None:
    run = Run()
    run.meets(OSError(errno.EIO, "first"))
    clock.now += 3600
    run.meets(OSError(errno.EIO, "last"))
    assert run.stops == 0


def test_what_was_borne_is_over_once_the_store_can_be_used(clock: Clock) -> None:
    run = Run()
    run.meets(OSError("one"))
    run.guard.relieve()
    for _ in range(10):
        clock.now += UNUSABLE_S / 9
        with run.guard:
            pass
    run.meets(OSError("another"))
    run.guard.raise_kept()
    assert len(run.notes) == 2


def test_errors_of_our_own_stop_the_run_once_and_the_first_is_raised() -> None:
    run = Run()
    run.meets(ValueError("first"))
    run.meets(KeyError("second"))
    assert run.stops == 1
    with pytest.raises(ValueError, match="first"):
        run.guard.raise_kept()


def test_leaving_at_once_is_no_error() -> None:
    run = Run()
    with pytest.raises(KeyboardInterrupt):
        run.meets(KeyboardInterrupt())
    run.guard.raise_kept()
    assert run.stops == 0
