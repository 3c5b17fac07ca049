"""What a batch system gave this process, read from its environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "slurm-"
"""Of the names of Slurm's jobs, as kdsweep says them: slurm-1234."""

VISIBLE_GPUS = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
NO_GPUS = "NoDevFiles"
"""What Slurm writes there where it gave none."""


@dataclass(frozen=True)
class Allocation:
    """This node's part of an allocation.

    Attributes:
        job: its name, slurm-1234; None outside Slurm.
        node: how the batch system calls this machine.
        node_list: all nodes of the allocation, as Slurm writes such lists: n[1-4].
        cpus: those that this process may use.
        gpus: those that were given; None: nobody says, and Ray looks for itself.
        scratch: a folder on this node's own disk, where there is one of the job's own.
    """

    job: str | None
    node: str
    node_list: str
    cpus: int
    gpus: int | None
    scratch: str | None

    @property
    def number(self) -> str:
        """The job's number, as Slurm knows it."""
        return (self.job or "").removeprefix(PREFIX)


def allocation(environment: Mapping[str, str], affinity: int) -> Allocation:
    """Read from the environment of a process that Slurm, or somebody else, has started.

    Args:
        environment: that of the process.
        affinity: how many CPUs the kernel lets it run on.
    """
    number = environment.get("SLURM_JOB_ID")
    return Allocation(
        job=f"{PREFIX}{number}" if number else None,
        node=environment.get("SLURMD_NODENAME") or socket.gethostname(),
        node_list=environment.get("SLURM_JOB_NODELIST", ""),
        cpus=min(affinity, _count(environment.get("SLURM_CPUS_ON_NODE")) or affinity),
        gpus=_gpus(environment, in_slurm=bool(number)),
        scratch=environment.get("SLURM_TMPDIR") or None,
    )


def _gpus(environment: Mapping[str, str], *, in_slurm: bool) -> int | None:
    """Slurm gives none unless it says so, also where a node's other GPUs can be seen."""
    given = _count(environment.get("SLURM_GPUS_ON_NODE"))
    if given is not None:
        return given
    for name in VISIBLE_GPUS:
        if name in environment:
            visible = [word for word in environment[name].split(",") if word.strip()]
            return 0 if visible == [NO_GPUS] else len(visible)
    return 0 if in_slurm else None


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
