"""What is asked of Slurm, and the batch script that asks it: text from values, nothing else."""

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.problems import UserError

LONGEST_WARNING_S = 180
WARNING_SHARE = 0.25
"""So long before its end a job is told to save, or that share of it where it is short."""

OWN_OPTIONS = frozenset(
    {
        *("--array", "-a", "--nodes", "-N", "--ntasks", "-n", "--ntasks-per-node", "--open-mode"),
        *("--output", "-o", "--time", "-t", "--wrap"),
    }
)
"""What a launcher and a record rely on."""

NOT_FOR_JOBS = frozenset({"--clusters", "-M", "--wait", "-W"})
"""A job elsewhere could not be asked about from here, and sbatch is to return as soon as Slurm has taken the job."""

_SLURM_TIME = re.compile(
    r"(?:(?P<days>\d+)-(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?"
    r"|(?:(?P<hours>\d+):(?=\d+:))?(?P<minutes>\d+)(?::(?P<seconds>\d+))?)"
)
_GPUS = re.compile(r"(?:[A-Za-z][\w.-]*:)?\d+")
_WORD = re.compile(r"[\w.,:@%+-]+")


@dataclass(frozen=True)
class Request:
    """An allocation.

    Attributes:
        nodes: how many.
        gpus_per_node: a number, or a type and a number as in a100:4.
        cpus_per_node: None: as many as the site gives.
        time_s: its length.
        partition, account: None: the user's usual ones.
        setup: a shell line that activates the environment; None: that of the submission is used.
        options: further ones of sbatch, one word each.
    """

    nodes: int
    gpus_per_node: str
    cpus_per_node: int | None
    time_s: float
    partition: str | None = None
    account: str | None = None
    setup: str | None = None
    options: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises UserError of a value that sbatch, or a line of the script, would take for something else."""
        if not _GPUS.fullmatch(self.gpus_per_node):
            raise UserError(
                f"--gpus-per-node: {self.gpus_per_node!r}: expected a number, or TYPE:NUMBER as in a100:4"
            )
        for name, value in (("--partition", self.partition), ("--account", self.account)):
            if value is not None and not _WORD.fullmatch(value):
                raise UserError(f"{name}: {value!r}: expected a name without spaces")
        for option in self.options:
            name = option.partition("=")[0] if option.startswith("--") else option[:2]
            if not option.startswith("-") or not option.isprintable() or not option.isascii():
                raise UserError(
                    f"--sbatch: {option!r}: expected an option of sbatch, as in --constraint=a100"
                )
            if name in OWN_OPTIONS:
                raise UserError(f"--sbatch: {name} is set by kdsweep slurm itself")
            if name in NOT_FOR_JOBS:
                raise UserError(
                    f"--sbatch: {name}: kdsweep slurm hands over to this cluster, and waits for nothing"
                )

    @property
    def warning_s(self) -> int:
        """How long before its end the job is told to save."""
        return max(1, min(LONGEST_WARNING_S, int(WARNING_SHARE * self.time_s)))


def slurm_seconds(text: str) -> float | None:
    """The length of a span as Slurm writes it: `90` minutes, `11:00:00`, `1-12`, `1-12:30:00`; None of any other."""
    match = _SLURM_TIME.fullmatch(text.strip())
    if match is None:
        return None
    part = {name: int(digits or 0) for name, digits in match.groupdict().items()}
    hours = 24 * part["days"] + part["h"] + part["hours"]
    minutes = 60 * hours + part["m"] + part["minutes"]
    return 60.0 * minutes + part["s"] + part["seconds"] or None


def script(
    request: Request,
    name: str,
    launch: Sequence[str],
    python: str,
    folder: str | None,
    log: str,
) -> str:
    """The batch script.

    Args:
        request: the allocation.
        name: the job's.
        launch: what the launcher is told: the sweep, and where its results are.
        python: what runs it where no `setup` activates another.
        folder: where it stands while it runs; None: where it was submitted.
        log: the file for what it prints, in Slurm's words: %j is the job's number.
    """
    return "\n".join(_lines(request, name, launch, python, folder, log)) + "\n"


def _lines(
    request: Request,
    name: str,
    launch: Sequence[str],
    python: str,
    folder: str | None,
    log: str,
) -> Iterator[str]:
    yield "#!/bin/bash"
    yield from (f"#SBATCH {shlex.quote(option)}" for option in options(request, name, log))
    if request.setup:
        yield "\n# The environment, which the further nodes get from here."
        yield from ("{", request.setup, "} || exit 2")
        python = "python3"
    # In a submission's own folder its packages are meant; elsewhere no trainer.py that lies there.
    safely = ["-P"] if folder is None else []
    words = [python, *safely, "-m", "orchestrator.cluster.slurm", "launch", *launch]
    line = f"exec {shlex.join(words)}"
    if request.nodes > 1:
        yield "\n# What starts a program once on each node but this one, with this one's standard input."
        yield "further=$((SLURM_JOB_NUM_NODES - 1))"
        yield (
            'others="srun --nodes=$further --ntasks=$further --exclude=$SLURMD_NODENAME --export=ALL '
            '--cpu-bind=none --overlap --no-kill --kill-on-bad-exit=0 --wait=0"'
        )
        line += ' --nodes "$SLURM_JOB_NUM_NODES" --others "$others"'
    yield "\n# Ray over these nodes, the sweep on it, and the end of both. SIGUSR1: save, leave, queue again."
    if folder is not None:
        yield f"cd {shlex.quote(folder)} || exit 2"
    yield line


def options(request: Request, name: str, log: str) -> Iterator[str]:
    """What sbatch is told, in the script and, against variables such as SBATCH_PARTITION, once more beside it."""
    yield f"--job-name={name}"
    yield f"--nodes={request.nodes}"
    yield "--ntasks-per-node=1"
    if request.cpus_per_node is not None:
        yield f"--cpus-per-task={request.cpus_per_node}"
    if request.gpus_per_node.rpartition(":")[2].strip("0"):
        yield f"--gpus-per-node={request.gpus_per_node}"
    yield f"--time={_slurm_time(request.time_s)}"
    if request.partition is not None:
        yield f"--partition={request.partition}"
    if request.account is not None:
        yield f"--account={request.account}"
    yield f"--signal=B:USR1@{request.warning_s}"
    yield from ("--requeue", "--no-kill", "--open-mode=append")
    yield f"--output={log}"
    yield from request.options


def _slurm_time(seconds: float) -> str:
    """In whole minutes, as Slurm counts them."""
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:00"
