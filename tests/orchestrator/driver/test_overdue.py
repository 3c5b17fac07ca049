"""Jobs that hang are noticed: by silence, and by the clock."""

from typing import Any

import pytest

from orchestrator.driver.overdue import Watch
from orchestrator.language.resources import Resources
from orchestrator.planning.scheduling import Job
from orchestrator.store.failures import Cause
from orchestrator.store.processes import this_process
from orchestrator.store.signs import Running
from tests.orchestrator.planning.test_scheduling import trials


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
        "process": this_process(),
    }
    content |= changes
    return {fingerprint: Running(**content, beat=str(content["step"]))}


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
