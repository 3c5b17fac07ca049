"""A keeper that stops a group after some steps, as a signal would."""

from pathlib import Path

import torch
from torch import Tensor

from trainer.checkpoint import CheckpointFolder
from trainer.keeper import Command, FolderKeeper, Progress
from trainer.trial import Trial

ALIKE = {"seconds": 0, "group_size": 0}
"""What may differ between equal epochs: how long they took, and how many trials shared them."""


class StoppingKeeper(FolderKeeper):
    """Says STOP once, after `steps` steps; with `save_at`, also SAVE after those steps."""

    def __init__(
        self, folder: Path, stop_after: int, save_at: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(folder)
        self._left = stop_after
        self._save_at = save_at

    @property
    def has_stopped(self) -> bool:
        return self._left == 0

    def after_step(self, progress: Progress) -> Command:
        self._left -= 1
        if self.has_stopped:
            return Command.STOP
        return Command.SAVE if self._left in self._save_at else Command.GO_ON


class LenientKeeper(FolderKeeper):
    """Collects failures instead of raising them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.failures: dict[str, Exception] = {}

    def fail(self, trial: Trial, error: Exception) -> None:
        self.failures[trial.fingerprint] = error


def final_weights(folder: Path, trial: Trial) -> dict[str, Tensor]:
    return CheckpointFolder(folder / trial.fingerprint).weights()


def assert_equal_results(one: Path, other: Path, trial: Trial) -> None:
    """Equal bits: metrics, every epoch's losses, and the final weights."""
    first, second = (FolderKeeper(folder).result(trial) for folder in (one, other))
    assert repr(first["metrics"]) == repr(second["metrics"])
    for row, same in zip(first["curve"], second["curve"], strict=True):
        assert repr({**row, **ALIKE}) == repr({**same, **ALIKE})
    if trial.kind in ("teacher", "student"):
        weights, equal = final_weights(one, trial), final_weights(other, trial)
        assert list(weights) == list(equal)
        for name, tensor in weights.items():
            assert torch.equal(tensor, equal[name]), name
