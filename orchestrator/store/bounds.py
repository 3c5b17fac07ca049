"""How often, and how long, anything is asked of an object store that refuses: three layers ask again.

    obstore     an HTTP request, `RETRIES`: thrice, none begun later than 15 s after the first
    `ask`       that, `THOROUGH`: five times, none begun later than 25 s after the first
    `Patience`  that, until it has been refused for 2 s (commands, a driver) or 3 minutes (a worker)

Each layer counts its time from its own first try, so that times add up while numbers are multiplied. Beside them
stand only an answer that is empty, which is asked for twice more, and a large file that is on its way. Signs of life
and marks are asked for once in the first two layers (`BRIEF`).
"""

from datetime import timedelta

from orchestrator.store.patience import FIRST_WAIT_S, GROWTH, LONGEST_WAIT_S
from orchestrator.store.requests import (
    ATTEMPTS,
    CLIENT,
    FIRST_PAUSE_S,
    NO_MORE_AFTER_S,
    RETRIES,
    SILENCE_S,
)


def _seconds(length: timedelta) -> float:
    return length.total_seconds()


REQUESTS_PER_ASK: int = ATTEMPTS * (1 + RETRIES["max_retries"])
"""HTTP requests, at most."""

PAUSES_S: list[float] = [FIRST_PAUSE_S * 2**number for number in range(ATTEMPTS - 1)]

LONGEST_REQUEST_S = _seconds(CLIENT["connect_timeout"]) + SILENCE_S
LONGEST_ATTEMPT_S: float = (
    _seconds(RETRIES["retry_timeout"])
    + _seconds(RETRIES["backoff"]["max_backoff"])
    + LONGEST_REQUEST_S
)
LONGEST_ASK_S = NO_MORE_AFTER_S + PAUSES_S[-1] + LONGEST_ATTEMPT_S
"""So long the first two layers take to give up."""


def most_asks(waits_s: float) -> int:
    """So often `Patience` has `ask` try: each time it fails it has paused between its attempts."""
    refused_s, wait_s, asks = sum(PAUSES_S), FIRST_WAIT_S, 1
    while refused_s < waits_s:
        refused_s += wait_s + sum(PAUSES_S)
        wait_s, asks = min(wait_s * GROWTH, LONGEST_WAIT_S), asks + 1
    return asks


def longest_s(waits_s: float) -> float:
    """So long all layers take to give up: the last try begins when patience has just not ended."""
    is_once = waits_s <= sum(PAUSES_S)
    return LONGEST_ASK_S if is_once else waits_s + LONGEST_WAIT_S + LONGEST_ASK_S
