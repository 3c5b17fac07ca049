"""Who keeps what a group of trials makes: the trainer's one border to the world.

The trainer never knows where results go. It hands them to a `Keeper`: the orchestrator's writes to the
store, `FolderKeeper` to a plain folder.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from trainer.checkpoint import Checkpoint, CheckpointFolder
from trainer.files import write_atomically
from trainer.trial import Trial

Row = Mapping[str, float | int]


@dataclass(frozen=True)
class Result:
    """What a finished trial yields.

    `metrics` name the trial's final numbers, `curve` holds one row per epoch, `weights` is the final
    state_dict (None for stddev and predictor trials), `num_teacher_passes` counts the forward passes that the frozen
    teacher of the whole group has made.
    """

    metrics: Row
    curve: Sequence[Row]
    weights: Mapping[str, Tensor] | None
    num_teacher_passes: int


@dataclass(frozen=True)
class Progress:
    """How far a group is: `epoch` counts from 1, `step` is the number of its steps already done."""

    trials: Sequence[Trial]
    epoch: int
    step: int
    steps_per_epoch: int
    loss: float | None
    """Mean training loss of the last whole epoch, averaged over the group."""


class Command(Enum):
    """What a group is told after a step."""

    GO_ON = "go on"
    SAVE = "save"
    STOP = "stop"
    """Save and leave."""


class Keeper(Protocol):
    def weights(self, fingerprint: str) -> Mapping[str, Tensor]:
        """Final weights of a finished trial."""

    def checkpoint(self, trial: Trial) -> Checkpoint | None:
        """Where to go on with a trial; None: at the start."""

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None: ...

    def finish(self, trial: Trial, result: Result) -> None: ...

    def fail(self, trial: Trial, error: Exception) -> None: ...

    def after_epoch(self, trial: Trial, row: Row) -> None:
        """Called with each new row of a trial's learning curve."""

    def after_step(self, progress: Progress) -> Command:
        """Called after every step; must be quick."""


def _without_nan(row: Row) -> dict[str, float | int | None]:
    """JSON has no NaN: what is undefined is null."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


class FolderKeeper:
    """Keeps trials under one folder: `FINGERPRINT/` with checkpoint, final weights and `result.json`.

    A checkpoint is saved every `save_every_s` seconds. A trial's failure is raised. The weights of what it
    depends on are looked for in `weights_folder`; None: in `folder`.
    """

    def __init__(
        self, folder: Path, save_every_s: float = 60.0, weights_folder: Path | None = None
    ) -> None:
        self._folder = folder
        self._weights_folder = weights_folder or folder
        self._save_every_s = save_every_s
        self._saved_at = time.monotonic()

    def _of(self, fingerprint: str) -> CheckpointFolder:
        return CheckpointFolder(self._folder / fingerprint)

    def weights(self, fingerprint: str) -> dict[str, Tensor]:
        return CheckpointFolder(self._weights_folder / fingerprint).weights()

    def checkpoint(self, trial: Trial) -> Checkpoint | None:
        return self._of(trial.fingerprint).latest()

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        self._of(trial.fingerprint).save(checkpoint)
        self._saved_at = time.monotonic()

    def finish(self, trial: Trial, result: Result) -> None:
        folder = self._of(trial.fingerprint)
        folder.keep(result.weights)
        content: dict[str, Any] = {"trial": trial.model_dump(mode="json")}
        content["metrics"] = _without_nan(result.metrics)
        content["curve"] = [_without_nan(row) for row in result.curve]
        path = self._folder / trial.fingerprint / "result.json"
        write_atomically(path, json.dumps(content, indent=1).encode())
        folder.drop_checkpoints()

    def result(self, trial: Trial) -> dict[str, Any]:
        """The content of a finished trial's `result.json`."""
        content = (self._folder / trial.fingerprint / "result.json").read_text()
        return dict(json.loads(content))

    def fail(self, trial: Trial, error: Exception) -> None:
        raise error

    def after_epoch(self, trial: Trial, row: Row) -> None:
        pass

    def after_step(self, progress: Progress) -> Command:
        due = time.monotonic() - self._saved_at >= self._save_every_s
        return Command.SAVE if due else Command.GO_ON
