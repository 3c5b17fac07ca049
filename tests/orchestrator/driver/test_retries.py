"""What is tried again, when and where; and what failed for good."""

from orchestrator.driver.retries import Attempt, after
from orchestrator.planning.scheduling import Again
from orchestrator.store.failures import Cause, Failure


def attempt(cause: Cause, place: str = "", position: object = None, node: str = "a") -> Attempt:
    return Attempt(Failure(cause, "", place), position, node)


def retries(attempts: list[Attempt]) -> list[Again | None]:
    return [after(attempts[: n + 1], now=100.0) for n in range(len(attempts))]


def test_a_dying_worker_is_tried_again_later_and_later_and_elsewhere() -> None:
    dying = [attempt(Cause.WORKER_DIED, node=node) for node in "abcd"]
    found = retries(dying)
    delays = [retry.ready_at - 100 for retry in found if retry]
    assert delays == [1, 4, 16]
    assert [sorted(retry.avoid) for retry in found if retry] == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert [retry.alone for retry in found if retry] == [False, True, True]
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
