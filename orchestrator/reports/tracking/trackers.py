"""Where runs are tracked, as a user writes it: `tensorboard:DIR`, `wandb:PROJECT`, `wandb:ENTITY/PROJECT`."""

import re
from pathlib import Path
from typing import Protocol

from orchestrator.reports.tracking.runs import TrackedRun
from orchestrator.reports.tracking.tensorboard import TensorBoard
from orchestrator.reports.tracking.weights_and_biases import WeightsAndBiases
from trainer.problems import UserError, did_you_mean

KINDS = ("tensorboard", "wandb")

_PROJECT = re.compile(r"(?:([A-Za-z0-9_.-]+)/)?([A-Za-z0-9_.-]{1,128})")


class Tracker(Protocol):
    """Keeps each run once."""

    def keep(self, run: TrackedRun) -> bool:
        """Whether it was not there yet."""
        ...

    def told(self) -> str:
        """How it is looked at."""
        ...


def tracker_of(text: str) -> Tracker:
    """The tracker that is meant.

    Raises:
        UserError: it is none, or its place cannot be one.
    """
    kind, _, place = text.partition(":")
    if kind not in KINDS:
        raise UserError(f"--to: {text!r}: unknown tracker {kind!r}{did_you_mean(kind, KINDS)}")
    if not place:
        example = "tensorboard:DIR" if kind == "tensorboard" else "wandb:PROJECT"
        raise UserError(f"--to: {text!r}: expected {example}")
    if kind == "tensorboard":
        folder = Path(place).expanduser()
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--to: {text!r}: {place} is a file; expected a folder")
        return TensorBoard(folder)
    if match := _PROJECT.fullmatch(place):
        return WeightsAndBiases(match[2], match[1])
    raise UserError(f"--to: {text!r}: expected wandb:PROJECT or wandb:ENTITY/PROJECT")
