"""A job on its way to a worker, and what comes back: plain JSON-like values both."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class JobConfig:
    """A job as it travels to its worker: plain JSON-like values.

    `bundle` is what Ray reserves for it, `avoid` are the nodes, by Ray's names, where the job is not to be placed.
    """

    run_id: str
    store: str
    data_folder: str
    trials: tuple[dict[str, Any], ...]
    cpu: int
    gpu: float
    bundle: dict[str, float]
    avoid: tuple[str, ...]
    checkpoint_every_s: float
    checkpoint_every_epochs: int | None
    command: str

    def as_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FailedTrial:
    """A trial that failed in a job that lives on; the fields are those of `failures.Failure`.

    `recorded`: its row is in the store; the worker itself may not have been able to write it.
    """

    fingerprint: str
    cause: str
    error: str
    place: str
    trace: str
    recorded: bool


@dataclass(frozen=True)
class JobReport:
    """How a job ended. What is neither finished nor failed was stopped and can go on later."""

    finished: tuple[str, ...]
    failed: tuple[FailedTrial, ...]
    node: str = ""

    @classmethod
    def of(cls, report: dict[str, Any]) -> "JobReport":
        """The report that came back as plain data."""
        failed = tuple(FailedTrial(**entry) for entry in report["failed"])
        return cls(tuple(report["finished"]), failed, report["node"])


RunJob = Callable[[dict[str, Any]], dict[str, Any]]
"""From a `JobConfig` to a `JobReport`, both as plain data."""
