"""A worker hears signals from its first moment on, also while it waits for a store."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.patience import BRIEFLY_S
from orchestrator.worker import run as worker_module
from orchestrator.worker.job import JobConfig
from tests.orchestrator.store.test_patience import Clock, clock

__all__ = ["clock"]

SENT = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


@pytest.fixture
def unheard() -> Iterator[list[int]]:
    """Signals that the worker has not heard; their default would end the tests."""
    numbers: list[int] = []
    before = {n: signal.signal(n, lambda number, _: numbers.append(number)) for n in SENT}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_worker_that_waits_for_its_store_hears_that_it_must_leave(
    clock: Clock, unheard: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(*numbers: int) -> str:
        for number in numbers:
            os.kill(os.getpid(), number)
        return "here"

    monkeypatch.setattr(worker_module, "see_only_given_gpus", lambda: send(*SENT[:2]))
    clock.after = lambda _: send(signal.SIGTERM) and None
    job = JobConfig(
        run_id="a",
        job_id="b",
        store=str(tmp_path / "not mounted"),
        data_folder="data",
        trials=(),
        cpu=1,
        gpu=0.0,
        bundle={},
        avoid=(),
        execution="eager",
        checkpoint_every_s=60.0,
        checkpoint_every_epochs=None,
        command="",
        code="",
        trainer_sha256="",
    )
    with pytest.raises(OSError, match="is it mounted"):
        worker_module.run_job(job)
    assert unheard == []
    assert sum(clock.waits) < 2 * BRIEFLY_S
