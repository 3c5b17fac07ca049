"""Slurm's own commands, and what they print in their formats for machines."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trainer.problems import UserError

ANSWERS_WITHIN_S = 60.0
SEPARATOR = "|"
FIELDS = ("%i", "%T", "%r")
ACCOUNTED = ("JobIDRaw", "State", "ExitCode")

OVER = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)
"""States in which a job does nothing any more."""


@dataclass(frozen=True)
class JobState:
    """What Slurm says of a job: `reason` is why it waits; the exit code where it is told."""

    state: str
    reason: str = ""
    exit_code: int | None = None

    @property
    def is_over(self) -> bool:
        return self.state in OVER


def is_there() -> bool:
    """Whether jobs of Slurm's can be asked about from here."""
    return shutil.which("squeue") is not None


def called(*words: str) -> str:
    """What a command of Slurm's prints.

    Raises:
        UserError: it is not there, or refuses, in its own words and one line.
    """
    name = words[0]
    try:
        answer = subprocess.run(  # noqa: S603 - words, not a line for a shell
            words, capture_output=True, text=True, timeout=ANSWERS_WITHIN_S, check=False
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{name}: no such command: a machine from which jobs are submitted to Slurm has it; "
            "kdsweep slurm --print only shows the script"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{name}: Slurm does not answer") from error
    if answer.returncode:
        raise UserError(f"{name}: {refusal(answer.stderr)}")
    return answer.stdout


def submitted(script: str, options: Iterable[str]) -> str:
    """The number of the job that a batch script has become.

    Raises:
        UserError: it has become none; also where an option only makes sbatch tell something.
    """
    answer = called("sbatch", "--parsable", *options, script)
    number = answer.strip().partition(";")[0]  # behind it a cluster's name, where there are several
    if not number.isdigit():
        raise UserError("sbatch: it has submitted nothing; an option of --sbatch may ask it not to")
    return number


def refusal(errors: str) -> str:
    """All that a command complains of, in one line, without its name before each."""
    lines = (line.partition(": ")[2] or line for line in errors.splitlines())
    told = (line.removeprefix("error: ").strip().rstrip(".") for line in lines)
    return "; ".join(dict.fromkeys(line for line in told if line)) or "refused without a word"


def states(user: str) -> dict[str, JobState]:
    """The jobs of a user, by name or number, that Slurm still knows, by number; those that ended minutes ago too."""
    table = SEPARATOR.join(FIELDS)
    text = called("squeue", "--noheader", "--states=all", f"--user={user}", f"--format={table}")
    return {number: JobState(state, reason) for number, state, reason in _rows(text, len(FIELDS))}


def accounted(numbers: Sequence[str]) -> dict[str, JobState]:
    """What the accounting remembers of jobs; nothing where there is none."""
    if not numbers or shutil.which("sacct") is None:
        return {}
    columns = f"--format={','.join(ACCOUNTED)}"
    try:
        text = called("sacct", "-X", "-P", "-n", columns, f"--jobs={','.join(numbers)}")
    except UserError:
        return {}
    return accounts(text)


def accounts(text: str) -> dict[str, JobState]:
    """What sacct prints, read. Of a job that did not end by itself the code is that of nothing."""
    found = {}
    for number, told, code in _rows(text, len(ACCOUNTED)):
        state = told.partition(" ")[0]  # CANCELLED by 1000
        has_ended = state in ("COMPLETED", "FAILED")
        found[number] = JobState(state, exit_code=_own_code(code) if has_ended else None)
    return found


def _own_code(text: str) -> int | None:
    """`3:0`: a program's exit code, and the signal that killed it; None where one did."""
    code, _, number = text.partition(":")
    return int(code) if code.isdigit() and number == "0" else None


def _rows(text: str, num_columns: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        columns = line.split(SEPARATOR, num_columns - 1)
        if len(columns) == num_columns:
            yield columns


def exit_code(number: str) -> int | None:
    """That of a job's batch script, of a job that is over and that Slurm still knows."""
    try:
        return _own_code(_told_of("job", number).get("ExitCode", ""))
    except UserError:
        return None


def node_names(node_list: str) -> list[str]:
    """`n[1-3]` in full."""
    return called("scontrol", "show", "hostnames", node_list).split()


def node_address(node: str) -> str | None:
    """By which address or name Slurm itself reaches a node."""
    return _told_of("node", node).get("NodeAddr")


def _told_of(kind: str, name: str) -> dict[str, str]:
    """What scontrol shows of something. Values with spaces in them are cut at the first."""
    words = called("scontrol", "--oneliner", "show", kind, name).split()
    return dict(word.split("=", 1) for word in words if "=" in word)
