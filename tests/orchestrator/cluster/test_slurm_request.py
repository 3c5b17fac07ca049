"""What is asked of Slurm, and what is read of its answers and environment: text and values, no Slurm."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster.slurm.allocation import Allocation, allocation
from orchestrator.cluster.slurm.commands import JobState, accounts, refusal
from orchestrator.cluster.slurm.hand import Hand, Word
from orchestrator.cluster.slurm.records import (
    KEPT,
    Record,
    all_records,
    begin,
    command,
    end,
    forget_old,
    new_folder,
    run,
)
from orchestrator.cluster.slurm.request import Request, script, slurm_seconds
from orchestrator.cluster.slurm.scratch import scratch_folder
from trainer.problems import UserError

PLAIN = Request(nodes=1, gpus_per_node="0", cpus_per_node=None, time_s=3600)
LAUNCH = ["my sweep.yaml", "--store", "s3://bucket/store"]


def of(request: Request, folder: str | None = None) -> str:
    return script(request, "kdsweep-mine", LAUNCH, "/opt/my env/bin/python", folder, "log-%j")


def test_a_script_for_one_node() -> None:
    assert of(PLAIN) == (
        """#!/bin/bash
#SBATCH --job-name=kdsweep-mine
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --time=0-01:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --open-mode=append
#SBATCH --output=log-%j

# Ray over these nodes, the sweep on it, and the end of both. SIGUSR1: save, leave, queue again.
exec '/opt/my env/bin/python' -P -m orchestrator.cluster.slurm launch 'my sweep.yaml' --store s3://bucket/store
"""
    )


def test_a_script_for_several_nodes_with_gpus_and_an_environment_of_its_own() -> None:
    request = Request(
        nodes=3,
        gpus_per_node="a100:4",
        cpus_per_node=16,
        time_s=36.5 * 3600 + 1,
        partition="gpu,long",
        account="lab",
        setup="module load python && source /opt/env/bin/activate",
        options=("--constraint=a100|h100", "--comment=it's mine"),
    )
    assert of(request, "/home/me/it's") == (
        """#!/bin/bash
#SBATCH --job-name=kdsweep-mine
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=a100:4
#SBATCH --time=1-12:31:00
#SBATCH --partition=gpu,long
#SBATCH --account=lab
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --open-mode=append
#SBATCH --output=log-%j
#SBATCH '--constraint=a100|h100'
#SBATCH '--comment=it'"'"'s mine'

# The environment, which the further nodes get from here.
{
module load python && source /opt/env/bin/activate
} || exit 2

# What starts a program once on each node but this one, with this one's standard input.
further=$((SLURM_JOB_NUM_NODES - 1))
others="srun --nodes=$further --ntasks=$further --exclude=$SLURMD_NODENAME --export=ALL --cpu-bind=none --overlap --no-kill --kill-on-bad-exit=0 --wait=0"

# Ray over these nodes, the sweep on it, and the end of both. SIGUSR1: save, leave, queue again.
cd '/home/me/it'"'"'s' || exit 2
exec python3 -m orchestrator.cluster.slurm launch 'my sweep.yaml' --store s3://bucket/store --nodes "$SLURM_JOB_NUM_NODES" --others "$others"
"""
    )


@pytest.mark.parametrize(("hours", "warning_s"), [(11, 180), (0.1, 90), (1 / 60, 15)])
def test_a_short_job_is_warned_later(hours: float, warning_s: int) -> None:
    assert replace(PLAIN, time_s=3600 * hours).warning_s == warning_s


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gpus_per_node": "four"}, "--gpus-per-node: 'four': expected a number, or TYPE:NUMBER"),
        ({"gpus_per_node": "a100:"}, "--gpus-per-node: 'a100:'"),
        ({"gpus_per_node": "1\n#SBATCH --exclusive"}, "--gpus-per-node: "),
        ({"partition": "gpu long"}, "--partition: 'gpu long': expected a name without spaces"),
        ({"account": ""}, "--account: ''"),
        ({"options": ("exclusive",)}, "--sbatch: 'exclusive': expected an option of sbatch"),
        ({"options": ("--comment=a\nb",)}, "--sbatch: '--comment=a\\nb'"),
        ({"options": ("--array=1-9",)}, "--sbatch: --array is set by kdsweep slurm itself"),
        ({"options": ("-N4",)}, "--sbatch: -N is set by kdsweep slurm itself"),
        ({"options": ("--wait",)}, "--sbatch: --wait: kdsweep slurm hands over to this cluster"),
        ({"options": ("-Mother",)}, "--sbatch: -M: kdsweep slurm hands over to this cluster"),
    ],
)
def test_what_sbatch_would_take_for_something_else_is_refused(
    change: dict[str, object], expected: str
) -> None:
    with pytest.raises(UserError) as raised:
        replace(PLAIN, **change).check()  # type: ignore[arg-type]
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("11:00:00", 39600),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:15", 131415),
        ("0", None),
        ("11h", None),
        ("1:2:3:4", None),
        ("", None),
    ],
)
def test_a_span_as_slurm_writes_it(text: str, seconds: float | None) -> None:
    assert slurm_seconds(text) == seconds


def test_what_slurm_gave_is_read_from_the_environment() -> None:
    environment = {
        "SLURM_JOB_ID": "1234",
        "SLURMD_NODENAME": "n1",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_CPUS_ON_NODE": "8",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_TMPDIR": "/scratch/1234",
    }
    here = allocation(environment, affinity=64)
    assert here == Allocation("slurm-1234", "n1", "n[1-3]", 8, 2, "/scratch/1234")
    assert here.number == "1234"


@pytest.mark.parametrize(
    ("environment", "cpus", "gpus"),
    [
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "64"}, 4, 0),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0,3"}, 4, 2),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 4, 0),
        ({"SLURM_JOB_ID": "1", "ROCR_VISIBLE_DEVICES": "1"}, 4, 1),
        ({}, 4, None),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-2b"}, 4, 2),
    ],
)
def test_cpus_and_gpus_are_those_that_were_given(
    environment: dict[str, str], cpus: int, gpus: int | None
) -> None:
    """Affinity counts, and what can be seen beside what was given does not."""
    here = allocation(environment, affinity=4)
    assert (here.cpus, here.gpus) == (cpus, gpus)


def test_a_node_s_folder_is_in_the_job_s_own_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "")
    monkeypatch.delenv("RAY_TMPDIR")
    with tempfile.TemporaryDirectory(prefix="kds-", dir="/tmp") as scratch:
        here = allocation({"SLURM_JOB_ID": "1", "SLURM_TMPDIR": scratch}, affinity=1)
        with scratch_folder(here) as folder:
            assert folder.path.parent == Path(scratch)
            assert folder.path.stat().st_mode & 0o777 == 0o700
        assert not list(Path(scratch).iterdir())


def test_a_refusal_is_one_line() -> None:
    told = (
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    )
    assert refusal(told) == (
        "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
    )
    assert refusal("") == "refused without a word"


def test_what_the_accounting_remembers() -> None:
    """Cut short, a job has no code of its own, though one is printed."""
    text = (
        "7|COMPLETED|0:0\n8|FAILED|3:0\n9|CANCELLED by 1000|0:15\n10|FAILED|0:9\n11|TIMEOUT|0:0\n"
    )
    assert accounts(text) == {
        "7": JobState("COMPLETED", exit_code=0),
        "8": JobState("FAILED", exit_code=3),
        "9": JobState("CANCELLED"),
        "10": JobState("FAILED"),
        "11": JobState("TIMEOUT"),
    }


def test_the_last_jobs_are_kept_and_none_that_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for number in range(KEPT + 3):
        folder = new_folder("mine")
        assert folder.stat().st_mode & 0o777 == 0o700
        Record(folder, "mine", "/store", "kdsweep slurm", float(number), f"slurm-{number}").write()
    forget_old({"slurm-1"})
    left = [record.job for record in all_records()]
    assert left == ["slurm-1", *(f"slurm-{number}" for number in range(3, KEPT + 3))]
    assert command(all_records()[0].folder) == "kdsweep slurm"


def test_what_a_job_tells_of_itself(tmp_path: Path) -> None:
    assert run(tmp_path) is None
    begun = begin(tmp_path)
    assert run(tmp_path) == begun
    end(tmp_path, begun, 3)
    ended = run(tmp_path)
    assert ended is not None
    assert (ended.began_at, ended.exit_code) == (begun.began_at, 3)
    begin(tmp_path)
    again = run(tmp_path)
    assert again is not None
    assert again.exit_code is None, "it runs once more"


def test_what_launcher_and_nodes_say_is_told_from_what_others_print() -> None:
    hand = Hand("10.0.0.1:1234", "secret")
    assert Hand.read(hand.line()) == hand
    assert Hand.read("") is None
    word = Word("n2", "refused", "no way\nto the head")
    assert "\n" not in word.line()
    assert Word.read(f"{word.line()}\n") == word
    for line in ("slurmstepd: error: x", "kdsweep-node", "kdsweep-node 3", "kdsweep-node {}", ""):
        assert Word.read(line) is None
