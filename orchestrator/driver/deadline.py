"""When a run is to be over, and when it has to begin to save for that."""

import math
import time
from dataclasses import dataclass

SHARE_TO_SAVE, LONGEST_TO_SAVE_S, SHORTEST_TO_SAVE_S = 0.1, 120.0, 3.0
"""How long before its deadline a run asks its workers to save: a share of it, within bounds."""


@dataclass(frozen=True)
class Deadline:
    """Moments of `time.monotonic`: when to ask for a stop, and when to leave whatever still runs."""

    stop_at: float
    leave_at: float

    @classmethod
    def after(cls, length_s: float | None) -> "Deadline":
        """So many seconds from now; None: never."""
        if length_s is None:
            return cls(math.inf, math.inf)
        until = time.monotonic() + length_s
        to_save = min(max(SHARE_TO_SAVE * length_s, SHORTEST_TO_SAVE_S), LONGEST_TO_SAVE_S)
        return cls(until - to_save, until)
