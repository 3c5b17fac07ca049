"""A failed attempt as one value: the same from the worker that caught it to the line that tells of it.

The cause decides whether the trial is tried again (`orchestrator.driver.retries`), and who is to blame: what
the machine did is tried again by any later run, an error of the program only by `resume`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    PROGRAM = "error"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out of memory"
    NO_SPACE = "no space left"
    NO_DATA = "data unreadable"
    NO_WEIGHTS = "weights unreadable"
    """Those of what a trial depends on: it is whole again once they are."""
    IO = "input or output failed"
    WORKER_DIED = "worker died"
    NODE_DIED = "node died"
    NO_GPU = "no gpu"
    DEVICE = "device failed"
    OTHER_CODE = "other code"
    HUNG = "no sign of life"
    OVER_TIME = "time limit"

    @property
    def by_machine(self) -> bool:
        """Not the program's fault."""
        return self not in (Cause.PROGRAM, Cause.DIVERGED)


_CAUSES = {cause.value: cause for cause in Cause}


@dataclass(frozen=True)
class Failure:
    """One failed attempt. `place` is where the program raised; empty where the worker died."""

    cause: Cause
    error: str
    place: str = ""
    trace: str = ""

    def __str__(self) -> str:
        """The error; behind it its cause, where the error does not say it, and its place.

        `DivergedError: the loss is nan (diverged, trainer/learners.py:120 in step)`
        """
        is_told = self.cause is Cause.PROGRAM or self.cause.value in self.error.lower()
        behind = [*([] if is_told else [self.cause.value]), *([self.place] if self.place else [])]
        return f"{self.error} ({', '.join(behind)})" if behind else self.error


def failure_of(row: Mapping[str, Any]) -> Failure:
    """The failure of a row of `failures`; rows of the first schema have neither cause nor place."""
    cause = _CAUSES.get(row["cause"], Cause.WORKER_DIED if row["by_machine"] else Cause.PROGRAM)
    return Failure(cause, row["error"] or "", row["place"] or "", row["traceback"] or "")
