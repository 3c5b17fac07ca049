"""Why attempts fail: what an exception or a worker's death tells, in a few words.

The cause decides whether the trial is tried again (`orchestrator.driver.retries`), and who is to blame: what the
machine did is tried again by any later run, an error of the program only by `resume`.
"""

import errno
import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from trainer.datasets.errors import DataError

OUR_CODE = Path(__file__).resolve().parents[2]
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
OF_THE_PROGRAM = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
"""What comes back for certain; other errors of a file system or an object store come and go."""

NO_MEMORY = ("can't allocate memory", "Cannot allocate memory", "out of memory", "std::bad_alloc")


class Cause(StrEnum):
    PROGRAM = "error"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out of memory"
    NO_SPACE = "no space left"
    NO_DATA = "data unreadable"
    IO = "input or output failed"
    WORKER_DIED = "worker died"
    NODE_DIED = "node died"
    HUNG = "no sign of life"
    OVER_TIME = "time limit"

    @property
    def by_machine(self) -> bool:
        """Not the program's fault."""
        return self not in (Cause.PROGRAM, Cause.DIVERGED)


@dataclass(frozen=True)
class Failure:
    """One failed attempt. `place` is where the program raised; empty where the worker died."""

    cause: Cause
    error: str
    place: str = ""
    trace: str = ""


def of_exception(error: BaseException) -> Failure:
    """The failure that an exception in a worker is."""
    message = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return Failure(_cause(error), message, _place(error), trace)


def of_death(text: str) -> Failure:
    """The failure that Ray's account of a dead worker is."""
    lowered = text.lower()
    if "memoryerror" in lowered or "low on memory" in lowered or "out_of_memory" in lowered:
        return Failure(Cause.OUT_OF_MEMORY, "the worker was out of memory", trace=text)
    if "node" in lowered and ("has died" in lowered or "was terminated" in lowered):
        return Failure(Cause.NODE_DIED, "the worker's node died", trace=text)
    return Failure(Cause.WORKER_DIED, "the worker died", trace=text)


def _cause(error: BaseException) -> Cause:
    if type(error).__name__ == "DivergedError":
        return Cause.DIVERGED
    if isinstance(error, DataError):
        return Cause.NO_DATA
    if isinstance(error, OSError):
        return _cause_of_io(error)
    is_runtime = isinstance(error, RuntimeError) and any(t in str(error) for t in NO_MEMORY)
    return Cause.OUT_OF_MEMORY if isinstance(error, MemoryError) or is_runtime else Cause.PROGRAM


def _cause_of_io(error: OSError) -> Cause:
    if error.errno in NO_SPACE:
        return Cause.NO_SPACE
    if error.errno == errno.ENOMEM:
        return Cause.OUT_OF_MEMORY
    return Cause.PROGRAM if isinstance(error, OF_THE_PROGRAM) else Cause.IO


def _place(error: BaseException) -> str:
    """`trainer/lockstep.py:150 in _each`: the innermost line of ours, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    ours = [f for f in frames if Path(f.filename).resolve().is_relative_to(OUR_CODE)]
    ours = [f for f in ours if "site-packages" not in f.filename] or list(frames)
    path = Path(ours[-1].filename)
    return f"{path.parent.name}/{path.name}:{ours[-1].lineno} in {ours[-1].name}"
