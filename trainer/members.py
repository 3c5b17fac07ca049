"""What the members of a group have in common: one trial each, at work.

A member is fed step by step, closes each epoch, can be saved after any step and brought back, and yields a
result at its last epoch. Some learn (`trainer.learners`), some watch a teacher (`trainer.watchers`).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from trainer.checkpoint import Checkpoint
from trainer.keeper import Row
from trainer.positions import Position
from trainer.views import StepViews


class DivergedError(ArithmeticError):
    """A trial's loss is no longer a number."""


class Member(Protocol):
    """One trial of a group, at work."""

    curve: list[dict[str, float | int]]

    def begin_epoch(self, epoch: int) -> None: ...

    def begin_step(self, views: StepViews) -> None: ...

    def step(self, views: StepViews) -> None: ...

    def end_epoch(self, epoch: int, group_size: int) -> None: ...

    def save(self, position: Position) -> Checkpoint: ...

    def restore(self, checkpoint: Checkpoint) -> None: ...

    def metrics(self) -> Row: ...

    def weights(self) -> Mapping[str, Tensor] | None: ...


class EpochClock:
    """Seconds spent in the current epoch, also before an interruption."""

    def __init__(self) -> None:
        self.restart()

    def restart(self, seconds_before: float = 0.0) -> None:
        self._start = time.monotonic() - seconds_before

    def seconds(self) -> float:
        return time.monotonic() - self._start


def last_losses(members: Sequence[Member]) -> list[float]:
    """The training losses of the members' last whole epochs."""
    return [m.curve[-1]["train_loss"] for m in members if m.curve and "train_loss" in m.curve[-1]]
