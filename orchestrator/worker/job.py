"""A job on its way to a worker, and what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from orchestrator.store.failures import Failure
from orchestrator.worker.questions import Question
from trainer.trial import ExecutionMode


@dataclass(frozen=True)
class JobConfig:
    """A job as it travels to its worker, in plain values, with all that its rows need.

    `data_folder` may be an address. `trials` are written as they will stand in their rows. `bundle` is what Ray reserves for the job, `avoid`
    are the nodes, by Ray's names, where it is not to be placed. `trainer_sha256` is the digest of the code that
    is to compute them, `code` the folder that has it where the driver is. A node that is not among those `asked`
    answers the `question` before it begins; without one there is nothing to ask.
    """

    run_id: str
    job_id: str
    store: str
    data_folder: str
    trials: tuple[str, ...]
    cpu: int
    gpu: float
    bundle: dict[str, float]
    avoid: tuple[str, ...]
    execution: ExecutionMode
    checkpoint_every_s: float
    checkpoint_every_epochs: int | None
    command: str
    code: str
    trainer_sha256: str
    asked: tuple[str, ...] = ()
    question: Question | None = None

    def as_config(self) -> dict[str, Any]:
        """As Tune wants it; `JobConfig(**config)` is the way back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class FailedTrial:
    """A trial that failed in a job that lives on.

    `is_recorded`: its row is in the store; the worker itself may not have been able to write it.
    """

    failure: Failure
    is_recorded: bool


@dataclass(frozen=True)
class JobReport:
    """How a job ended, by fingerprint. What is neither finished nor failed was stopped and can go on later.

    `node` is Ray's name of where it ran. It lacks what `lacks` says, a line each: then the job has not begun.
    """

    finished: tuple[str, ...] = ()
    failed: Mapping[str, FailedTrial] = field(default_factory=dict)
    node: str = ""
    lacks: tuple[str, ...] = ()


RunJob = Callable[[JobConfig], JobReport]
"""What a worker does with a job."""
