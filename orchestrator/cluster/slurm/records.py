"""What was submitted to Slurm from here, kept for the job itself and for whoever asks about it later.

    ~/.local/state/kdsweep/slurm/mine-0a1b2c3d/     0700; XDG_STATE_HOME says where else
        mine.yaml analysis/ orchestrator/ ...       the resolved sweep and the code that run, whatever is edited later
        job.sh                                      the batch script
        job.json                                    the job's number, its sweep and store, the command that submitted it
        log                                         what it prints
        run.json                                    when it began, and how it ended

Slurm forgets jobs after minutes; without accounting these files alone tell how one has ended. Nodes read them, so
they lie where all nodes see them, as homes do.
"""

import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from trainer.files import write_atomically
from trainer.problems import UserError

KEPT = 20
"""So many jobs that are over are kept."""

JOB, RUN, LOG, SCRIPT = "job.json", "run.json", "log", "job.sh"


@dataclass(frozen=True)
class Record:
    """A submission. Times are Unix seconds; `job` is its name, slurm-1234, once Slurm has taken it."""

    folder: Path
    sweep: str
    store: str
    command: str
    submitted_at: float
    job: str | None = None

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def write(self) -> None:
        """Keep it, or what has changed of it."""
        content = asdict(self)
        del content["folder"]  # wherever it is found
        _write(self.folder / JOB, content)


@dataclass(frozen=True)
class Run:
    """What a job tells of itself; without an end while it runs, or where it was killed."""

    began_at: float
    ended_at: float | None = None
    exit_code: int | None = None


def place() -> Path:
    """The folder of all submissions."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state).absolute() / "kdsweep" / "slurm"


def new_folder(sweep: str) -> Path:
    """An empty folder for a submission.

    Raises:
        UserError: none can be made.
    """
    try:
        folder = place() / f"{sweep}-{uuid.uuid4().hex[:8]}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=stat.S_IRWXU)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{error}: what is submitted is kept in ~/.local/state; XDG_STATE_HOME names another "
            "folder that all nodes see"
        ) from error
    return folder


def all_records() -> list[Record]:
    """Those that Slurm has taken, the newest last."""
    found = [record for record in map(_read, place().glob(f"*/{JOB}")) if record and record.job]
    return sorted(found, key=lambda record: record.submitted_at)


def run(folder: Path) -> Run | None:
    """What the job of a folder tells; None before it has begun."""
    try:
        return Run(**json.loads((folder / RUN).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def begin(folder: Path) -> Run:
    """By the job: it runs, perhaps once more."""
    begun = Run(time.time())
    _write(folder / RUN, asdict(begun))
    return begun


def end(folder: Path, begun: Run, exit_code: int) -> None:
    """By the job: it is over."""
    _write(folder / RUN, asdict(replace(begun, ended_at=time.time(), exit_code=exit_code)))


def command(folder: Path) -> str:
    """What submits it again."""
    record = _read(folder / JOB)
    return record.command if record else "submit it again"


def forget_old(live: Collection[str]) -> None:
    """Remove the folders of jobs that are over, all but the newest; those that are not are `live`."""
    over = [record for record in all_records() if record.job not in live]
    for record in over[:-KEPT]:
        shutil.rmtree(record.folder, ignore_errors=True)


def _read(path: Path) -> Record | None:
    try:
        return Record(path.parent, **json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, content: object) -> None:
    write_atomically(path, json.dumps(content, indent=1).encode())
