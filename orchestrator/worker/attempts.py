"""How often a trial was begun: kept beside its checkpoints, so that it also counts what a `kill -9` ended."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from trainer.files import Folder

NAME = "attempts.json"


@dataclass(frozen=True)
class Attempts:
    """When the first attempt at a trial began, and which one this is."""

    first_started_at: datetime
    count: int


def begin_attempt(folder: Folder) -> Attempts:
    """Count one more attempt."""
    try:
        before = json.loads(folder.read(NAME))
        first = datetime.fromisoformat(before["first_started_at"])
        attempts = Attempts(first, before["count"] + 1)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        attempts = Attempts(datetime.now(UTC), 1)
    content = {"first_started_at": attempts.first_started_at.isoformat(), "count": attempts.count}
    folder.write(NAME, json.dumps(content).encode())
    return attempts


def end_attempts(folder: Folder) -> None:
    """The trial is finished; its row has the count."""
    folder.remove(NAME)
