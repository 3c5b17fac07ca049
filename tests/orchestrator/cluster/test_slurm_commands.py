"""What kdsweep asks Slurm's commands, and what it makes of their answers; the commands themselves are pretended."""

import os
import shlex
import signal
from pathlib import Path

import pytest

from orchestrator.cluster.jobs import Handover
from orchestrator.cluster.slurm import jobs, records
from orchestrator.cluster.slurm.jobs import SlurmJobs, submit
from orchestrator.cluster.slurm.launcher import Wish
from orchestrator.cluster.slurm.request import Request
from orchestrator.language.sweep import load_sweep
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

REQUEST = Request(nodes=1, gpus_per_node="0", cpus_per_node=None, time_s=600, partition="gpu")


class Pretended:
    """Commands that do what a line of a shell says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def does(self, name: str, line: str) -> None:
        command = self._folder / name
        command.write_text(f"#!/bin/sh\n{line}\n")
        command.chmod(0o755)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    pretended = Pretended(folder)
    pretended.does("sbatch", "echo 7")
    pretended.does("squeue", "echo '7|PENDING|Resources'")
    return pretended


def hand_over(folder: Path) -> str:
    handover = Handover(store=str(folder / "store"))
    return submit(load_sweep(write_sweep(folder)), handover, REQUEST, "kdsweep slurm")


def test_what_is_asked_counts_more_than_what_the_environment_says(
    slurm: Pretended, tmp_path: Path
) -> None:
    """Of a script sbatch heeds SBATCH_PARTITION and the like first, of its command line last."""
    told = tmp_path / "told"
    slurm.does("sbatch", f'printf "%s\\n" "$@" > {shlex.quote(str(told))}; echo "7;elsewhere"')
    assert hand_over(tmp_path) == "slurm-7"
    first, *words, script = told.read_text().splitlines()
    assert first == "--parsable"
    assert {"--partition=gpu", "--requeue", "--time=0-00:10:00"} <= set(words)
    assert all(f"#SBATCH {shlex.quote(word)}\n" in Path(script).read_text() for word in words)


def test_a_job_is_submitted_though_slurm_answers_nothing_more(
    slurm: Pretended, tmp_path: Path
) -> None:
    slurm.does("squeue", "echo 'slurm_load_jobs error: Socket timed out' >&2; exit 1")
    assert hand_over(tmp_path) == "slurm-7"
    assert [record.job for record in records.all_records()] == ["slurm-7"]


def test_what_has_become_no_job_is_none(slurm: Pretended, tmp_path: Path) -> None:
    """As with --test-only: sbatch is content, and has submitted nothing."""
    slurm.does("sbatch", "echo 'sbatch: Job 8 to start at 12:00' >&2")
    with pytest.raises(UserError, match="sbatch: it has submitted nothing"):
        hand_over(tmp_path)
    assert not list(records.place().iterdir())


def test_who_follows_a_job_endures_that_slurm_does_not_answer(
    slurm: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, asked = hand_over(tmp_path), shlex.quote(str(tmp_path / "asked"))
    for name in ("LOOK_EVERY_S", "ASK_EVERY_S"):
        monkeypatch.setattr(jobs, name, 0.0)
    slurm.does(
        "squeue",
        f"echo >> {asked}\n"
        f"case $(wc -l < {asked}) in\n"
        "1) echo '7|RUNNING|None' ;;\n"
        "2) echo 'Socket timed out' >&2; exit 1 ;;\n"
        "*) echo '7|CANCELLED|None' ;;\n"
        "esac",
    )
    assert SlurmJobs().wait(job).status == "STOPPED"
    slurm.does("squeue", f"rm {asked} 2> /dev/null && echo '7|RUNNING|None' || exit 1")
    monkeypatch.setattr(jobs, "SILENT_AT_MOST_S", 0.0)
    with pytest.raises(UserError, match="squeue: refused without a word"):
        SlurmJobs().wait(job)


@pytest.mark.parametrize(
    ("signals", "comes_back"),
    [
        (["SIGUSR1"], True),
        (["SIGUSR1", "SIGUSR1"], True),
        (["SIGUSR2"], False),
        (["SIGUSR1", "SIGUSR2"], False),
        (["SIGUSR1", "SIGTERM"], False),
    ],
)
def test_who_is_stopped_or_cancelled_after_the_warning_does_not_come_back(
    signals: list[str], comes_back: bool
) -> None:
    """Slurm would queue it again, also a job that it has just cancelled."""
    before = {
        number: signal.getsignal(number) for number in signal.Signals if number.name in signals
    }
    wish = Wish()
    wish.listen()
    try:
        assert not wish.is_to_leave
        for name in signals:
            signal.raise_signal(signal.Signals[name])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert wish.is_to_leave
    assert wish.is_to_come_back == comes_back
