"""What is tried again, when and where; and what failed for good."""

import pytest

from orchestrator.driver.retries import Attempt, after
from orchestrator.planning.scheduling import Again
from orchestrator.store.failures import Cause, Failure


def attempt(cause: Cause, place: str = "", position: object = None, node: str = "a") -> Attempt:
    return Attempt(Failure(cause, "", place), position, node)


def retries(attempts: list[Attempt]) -> list[Again | None]:
    return [after(attempts[: n + 1], now=100.0) for n in range(len(attempts))]


@pytest.mark.parametrize(
    "cause",
    [
        *(Cause.WORKER_DIED, Cause.NODE_DIED, Cause.OUT_OF_MEMORY, Cause.HUNG, Cause.DEVICE),
        *(Cause.NO_SPACE, Cause.NO_DATA, Cause.IO, Cause.NO_GPU, Cause.OTHER_CODE),
    ],
)
def test_what_the_machine_did_is_tried_again_later_and_later_and_elsewhere(cause: Cause) -> None:
    dying = [attempt(cause, node=node) for node in "abcd"]
    found = retries(dying)
    delays = [retry.ready_at - 100 for retry in found if retry]
    assert delays == [1, 4, 16]
    assert [sorted(retry.avoid) for retry in found if retry] == [["a"], ["a", "b"], ["a", "b", "c"]]
    # Of a worker that died all of its group are suspects; of memory that one trial asked for it alone.
    alone_at_once = cause is Cause.OUT_OF_MEMORY
    assert [retry.alone for retry in found if retry] == [alone_at_once, True, True]
    assert found[-1] is None


def test_random_deaths_wear_no_trial_out_that_makes_progress() -> None:
    killed = [attempt(Cause.WORKER_DIED, position=n) for n in range(100)]
    assert all(retry == Again(101.0, frozenset("a"), False) for retry in retries(killed))


def test_an_error_at_the_same_place_is_final_the_second_time() -> None:
    same = [attempt(Cause.PROGRAM, "x.py:1", position=n) for n in range(2)]
    first, second = retries(same)
    assert first == Again(101.0, frozenset("a"), alone=True)
    assert second is None
    elsewhere = [attempt(Cause.PROGRAM, f"x.py:{n}") for n in range(3)]
    assert [retry is None for retry in retries(elsewhere)] == [False, False, True]
    between = [same[0], attempt(Cause.NODE_DIED), same[1]]
    assert [retry is None for retry in retries(between)] == [False, False, True]


def test_what_comes_back_for_certain_is_not_tried_again() -> None:
    assert after([attempt(Cause.DIVERGED)], now=100.0) is None
    slow = [attempt(Cause.OVER_TIME)] * 2
    assert [retry is None for retry in retries(slow)] == [False, True]


def test_weights_that_cannot_be_read_are_read_once_more_elsewhere() -> None:
    unread = [attempt(Cause.NO_WEIGHTS, node="a"), attempt(Cause.NO_WEIGHTS, node="b")]
    assert retries(unread) == [Again(101.0, frozenset("a"), alone=False), None]
