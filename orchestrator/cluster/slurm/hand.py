"""What launcher and nodes say to each other, a line of JSON each.

    launcher -> node   where the head is, with its token; later perhaps that logs are wanted; then the end of the input
    node -> launcher   that it has joined, or why it cannot, or that it is lost

A node's lines go through `srun`, or whatever else started it, between lines that others print.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

MARK = "kdsweep-node"


@dataclass(frozen=True)
class Hand:
    """How a node finds its head, and what it shows there."""

    address: str
    token: str

    def line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, line: str) -> "Hand | None":
        """None where that is no such line, as at the end of the input."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None


KEEP_LOGS = "keep your logs"

Event = Literal["joined", "refused", "lost"]


@dataclass(frozen=True)
class Word:
    """What a node says of itself."""

    node: str
    event: Event
    what: str

    def line(self) -> str:
        return f"{MARK} {json.dumps(asdict(self))}"

    @classmethod
    def read(cls, line: str) -> "Word | None":
        """None where somebody else printed the line."""
        mark, _, rest = line.partition(" ")
        try:
            return cls(**json.loads(rest)) if mark == MARK else None
        except (ValueError, TypeError):
            return None
