"""Jobs that find no place: told after a while, and not waited for without end."""

from orchestrator.driver.waiting import GIVE_UP_AFTER_S, TELL_AFTER_S, TELL_AGAIN_AFTER_S, Waiting
from orchestrator.language.resources import Resources
from orchestrator.planning.scheduling import Capacity, Job

NOTHING = Capacity(0.0, 0.0)
JOB = Job(0, (), Resources(cpu=2, gpu=1.0))


class Table:
    def __init__(self, most: Capacity = NOTHING) -> None:
        self.now = 0.0
        self.notes: list[str] = []
        self._waiting = Waiting(most, self.notes.append, lambda: self.now)

    def after(self, seconds: float, *jobs: Job, has_place: bool = False) -> bool:
        self.now += seconds
        return self._waiting.is_in_vain(jobs, has_place=has_place)


def test_a_short_wait_is_not_told() -> None:
    table = Table()
    assert not table.after(0, JOB)
    assert not table.after(TELL_AFTER_S / 2, JOB)
    assert not table.after(1)
    assert not table.after(TELL_AFTER_S / 2 + 1, JOB)
    assert table.notes == []


def test_what_is_waited_for_is_told_now_and_then_and_ends() -> None:
    table = Table()
    table.after(0, JOB)
    assert not table.after(TELL_AFTER_S, JOB)
    assert table.notes == [
        "nothing has run for 01:00: jobs wait for 2 CPU and 1 GPU; no node is there any more that has them"
    ]
    assert not table.after(1, JOB)
    assert not table.after(TELL_AGAIN_AFTER_S, JOB)
    assert len(table.notes) == 2
    assert table.after(GIVE_UP_AFTER_S, JOB)
    assert len(table.notes) == 3


def test_what_an_autoscaler_does_not_bring_is_told_so() -> None:
    table = Table(most=Capacity(8.0, 8.0))
    table.after(0, JOB)
    table.after(TELL_AFTER_S, JOB)
    assert "no node has come that has them; is --scale-to what" in table.notes[0]


def test_a_queue_behind_others_is_told_and_never_ended() -> None:
    table = Table()
    table.after(0, JOB, has_place=True)
    assert not table.after(10 * GIVE_UP_AFTER_S, JOB, has_place=True)
    assert "busy with something else" in table.notes[0]
