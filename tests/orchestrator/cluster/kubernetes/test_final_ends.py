"""An end that is final stays so, whatever can be told of it: another try would make a new cluster for nothing."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cluster.interruption import STOPPING
from orchestrator.cluster.kubernetes import entrypoint
from tests.orchestrator.full_log import FullLog


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_bad_input_is_final_where_the_log_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopped: list[str] = []

    class Jobs:
        def stop_job(self, job_id: str) -> None:
            stopped.append(job_id)

    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", Jobs)
    monkeypatch.setattr(entrypoint, "HEARD_WITHIN_S", 0.0)
    told = json.dumps({"metadata": {"job_submission_id": "ours"}})
    monkeypatch.setenv(entrypoint.JOB_CONFIG, told)
    file = tmp_path / "command.json"
    file.write_text(json.dumps({"command": ["plan", str(tmp_path / "missing.yaml")]}))
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, FullLog())
    code = entrypoint.main(str(file))
    monkeypatch.undo()
    assert (code, stopped) == (2, ["ours"])
