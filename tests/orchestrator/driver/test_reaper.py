"""What hangs is asked for its stack and ended; nobody else is, whatever number he has by now."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.driver.reaper import GONE, end
from orchestrator.store.processes import Process
from orchestrator.worker.stacks import stack_file
from tests.orchestrator.driver.test_sweep_run import raises
from trainer.private_folder import private_folder

WORKER = """
import sys
from dataclasses import astuple
from orchestrator.store.processes import this_process
from orchestrator.worker.run import signals_heard
from orchestrator.worker.stacks import stack_on_request

def hang_here():
    print(*astuple(this_process()), sep="|", flush=True)
    sys.stdin.readline()

with signals_heard() as must_leave, stack_on_request():
    hang_here()
    print(must_leave(), flush=True)
"""


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of all users."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


Worker = tuple["subprocess.Popen[str]", Process]


@pytest.fixture
def worker(shared: Path) -> Iterator[Worker]:
    """A process that hangs in a job until it gets a line, and who it says it is."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        pid, started_at, space = started.stdout.readline().strip().split("|")
        yield started, Process(int(pid), int(started_at), space)
        started.kill()


def test_it_tells_where_it_hung_and_is_gone(worker: Worker) -> None:
    one, process = worker
    assert "in hang_here" in end(process)
    assert one.wait(30) == -signal.SIGKILL
    assert end(process) == GONE
    assert list(private_folder("stacks").iterdir()) == []


def test_one_that_was_stopped_does_not_answer_and_is_ended(worker: Worker) -> None:
    one, process = worker
    os.kill(one.pid, signal.SIGSTOP)
    assert "did not answer" in end(process)
    assert one.wait(30) == -signal.SIGKILL


def test_one_whose_stack_cannot_be_read_is_ended(worker: Worker) -> None:
    one, process = worker
    path = stack_file(process.pid)
    path.unlink()
    path.mkdir()
    assert "did not answer" in end(process)
    assert one.wait(30) == -signal.SIGKILL


def test_one_is_ended_where_there_is_no_place_for_stacks(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, process = worker
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("orchestrator.driver.reaper.stack_file", raises(full))
    assert "did not answer" in end(process)
    assert one.wait(30) == -signal.SIGKILL


def test_another_that_has_the_number_by_now_is_left_alone(worker: Worker) -> None:
    one, process = worker
    others = (
        replace(process, started_at=process.started_at - 1),
        replace(process, space="another container of this machine"),
        Process(pid=process.pid),
    )
    for other in others:
        assert end(other) == GONE
    assert one.communicate("\n") == ("False\n", "")


def test_warnings_of_batch_systems_neither_end_it_nor_make_it_leave(worker: Worker) -> None:
    one, _ = worker
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(one.pid, number)
    assert one.communicate("\n") == ("False\n", "")
    assert one.returncode == 0


def test_preemption_makes_it_leave(worker: Worker) -> None:
    one, _ = worker
    os.kill(one.pid, signal.SIGTERM)
    assert one.communicate("\n") == ("True\n", "")


class TestAFolderThatSomebodyElseMade:
    @pytest.fixture
    def shared(self, shared: Path) -> Path:
        (shared / "victim").mkdir(mode=0o700)
        (shared / f"kdsweep-{os.geteuid()}").symlink_to(shared / "victim")
        return shared

    def test_is_not_used_and_the_job_goes_on_without(self, worker: Worker, shared: Path) -> None:
        one, _ = worker
        answer, told = one.communicate("\n")
        assert (answer, one.returncode) == ("False\n", 0)
        assert told.startswith("no stack can be told: ")
        assert "a link; it is not used" in told
        assert list((shared / "victim").iterdir()) == []

    def test_does_not_save_what_hangs(self, worker: Worker) -> None:
        one, process = worker
        assert "did not answer" in end(process)
        assert one.wait(30) == -signal.SIGKILL
