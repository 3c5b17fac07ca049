"""What is tried again, when and where; and what failed for good."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.driver.overdue import Watch
from orchestrator.driver.retries import Attempt, after
from orchestrator.language.sweep import Resources
from orchestrator.planning.scheduling import Again, Job
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.signs import Running
from orchestrator.worker.causes import of_death, of_exception
from tests.orchestrator.planning.test_scheduling import trials
from trainer.datasets.errors import DataError
from trainer.files import LocalFolder
from trainer.learners import DivergedError
from trainer.problems import UserError


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


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DivergedError("nan"), Cause.DIVERGED),
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.NO_SPACE),
        (OSError(errno.EFBIG, "File too large"), Cause.NO_SPACE),
        (RuntimeError("shapes differ"), Cause.PROGRAM),
        (FileNotFoundError("data"), Cause.PROGRAM),
        (DataError("images: gone"), Cause.NO_DATA),
        (OSError(errno.ESTALE, "Stale file handle"), Cause.IO),
        (OSError("When putting an object: connection reset"), Cause.IO),
        (UserError("no"), Cause.PROGRAM),
    ],
)  # fmt: skip
def test_causes_of_exceptions(error: Exception, cause: Cause) -> None:
    assert of_exception(error).cause is cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("The actor died unexpectedly before finishing this task. SIGKILL", Cause.WORKER_DIED),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory", Cause.OUT_OF_MEMORY),
        ("The actor died because its node has died. Node Id: abc", Cause.NODE_DIED),
        ("", Cause.WORKER_DIED),
    ],
)  # fmt: skip
def test_causes_of_deaths(text: str, cause: Cause) -> None:
    assert of_death(text).cause is cause


def test_memory_that_torch_cannot_get_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert of_exception(caught.value).cause is Cause.OUT_OF_MEMORY


def test_the_place_of_an_error_is_the_innermost_line_of_ours(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        LocalFolder(tmp_path.parent).read(tmp_path.name)
    failure = of_exception(caught.value)
    assert failure.place.startswith("trainer/files.py:")
    assert failure.place.endswith("in read")
    assert "Traceback" in failure.trace


# The watch


def sign(job: Job, **changes: Any) -> dict[str, Running]:
    fingerprint = job.trials[0].fingerprint
    content: dict[str, Any] = {
        "fingerprint": fingerprint,
        "owner": "r",
        "host": "h",
        "device": "cpu",
        "epoch": 1,
        "epochs": 2,
        "step": 0,
        "steps_per_epoch": 10,
        "loss": None,
        "expires_at": 0.0,
        "pid": os.getpid(),
    }
    return {fingerprint: Running(**(content | changes))}


@pytest.fixture
def job() -> Job:
    return Job(0, tuple(trials()[:2]), Resources())


def test_silence_is_counted_from_the_last_change(job: Job) -> None:
    watch = Watch(silence_s=10, limit_s=None)
    assert watch.overdue([job], {}, 0) == []
    assert watch.overdue([job], sign(job, step=None), 100) == []
    assert watch.overdue([job], sign(job, step=0), 101) == []
    assert watch.overdue([job], sign(job, step=1), 110) == []
    assert watch.overdue([job], sign(job, step=1), 120) == []
    assert watch.overdue([job], {}, 120.5)[0].failure.cause is Cause.HUNG
    assert watch.overdue([], {}, 200) == []


def test_the_time_limit_is_for_each_trial_of_a_job(job: Job) -> None:
    watch = Watch(silence_s=1000, limit_s=10)
    told = []
    for now in range(23):
        told += watch.overdue([job], sign(job, step=now), now)
    (overdue,) = told
    assert overdue.failure.cause is Cause.OVER_TIME
    assert "20 s (time_limit_minutes)" in overdue.failure.error
