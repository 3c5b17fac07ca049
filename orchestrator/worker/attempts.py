"""How often a trial was begun: kept beside its checkpoints, so that it also counts what a `kill -9` ended.

The file carries a digest of what it says, so that a flipped bit is never read as another number: then nobody knows
any more, and that is what the trial's row will say.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.store.names import short_digest
from trainer.files import Folder

NAME = "attempts.json"


@dataclass(frozen=True)
class Attempts:
    """When the first attempt at a trial began, and which one this is; None: what was written down is damaged."""

    first_started_at: datetime | None
    count: int | None


UNKNOWN = Attempts(None, None)


def begin_attempt(folder: Folder) -> Attempts:
    """Count one more attempt."""
    try:
        before = attempts_in(folder.read(NAME)) or UNKNOWN
    except FileNotFoundError:
        before = Attempts(datetime.now(UTC), 0)
    count = None if before.count is None else before.count + 1
    attempts = Attempts(before.first_started_at, count)
    folder.write(NAME, _written(attempts))
    return attempts


def end_attempts(folder: Folder) -> None:
    """The trial is finished; its row has the count."""
    folder.remove(NAME)


def attempts_in(content: bytes) -> Attempts | None:
    """What a file says; None: it is damaged. Those of older versions have no digest."""
    try:
        told = json.loads(content)
        first, count = told["first_started_at"], told["count"]
        attempts = Attempts(first and datetime.fromisoformat(first), count and int(count))
    except (ValueError, KeyError, TypeError):
        return None
    is_old = told.keys() == {"first_started_at", "count"}
    return attempts if is_old or content == _written(attempts) else None


def _written(attempts: Attempts) -> bytes:
    first = attempts.first_started_at
    told = {"first_started_at": first and first.isoformat(), "count": attempts.count}
    return json.dumps({**told, "digest": short_digest(json.dumps(told).encode())}).encode()
