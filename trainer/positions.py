"""Where a trial stands, and how its checkpoints' names tell it; without torch."""

import re
from dataclasses import dataclass

from trainer.files import Folder

FINAL = "final.safetensors"
"""The weights of a finished trial."""

_STEP = re.compile(r"step-(\d{6,})-(\d{8,})\.safetensors")


@dataclass(frozen=True, order=True)
class Position:
    """The next step to run: epochs count from 1, steps from 0."""

    epoch: int = 1
    step: int = 0


def name_of(position: Position) -> str:
    """The file of the checkpoint at a position."""
    return f"step-{position.epoch:06d}-{position.step:08d}.safetensors"


def checkpoints_in(folder: Folder) -> dict[str, Position]:
    """Names of a folder's checkpoints and the positions they claim, from the oldest to the newest."""
    matches = [_STEP.fullmatch(name) for name in folder.names()]
    positions = {m.string: Position(int(m[1]), int(m[2])) for m in matches if m}
    return dict(sorted(positions.items(), key=lambda item: item[1]))


def newest_position(folder: Folder) -> Position | None:
    """Where the newest checkpoint claims to stand, from its name alone."""
    return max(checkpoints_in(folder).values(), default=None)
