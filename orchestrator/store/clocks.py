"""Time as one process lives it: by nobody else's clock, and without the time in which it was stopped."""

import time
from collections.abc import Callable

LONGEST_STEP_S = 30.0
"""More than this between two looks, and the process was not there to see what happened."""

Clock = Callable[[], float]
"""Seconds from some moment on."""


class AttentiveClock:
    """Goes on while somebody looks at it again and again; over longer gaps it stands still.

    A process that is stopped by a signal, frozen by a batch system or suspended with its machine has seen nothing
    meanwhile: what did not change in that time may have been stopped with it.

    Args:
        source: this process's own clock.
        longest_step_s: no gap between two looks counts for more.
    """

    def __init__(
        self, source: Clock = time.monotonic, longest_step_s: float = LONGEST_STEP_S
    ) -> None:
        self._source = source
        self._longest_step_s = longest_step_s
        self._looked_at = source()
        self._time = 0.0

    def __call__(self) -> float:
        """Seconds since it was made, as far as somebody looked."""
        now = self._source()
        self._time += min(now - self._looked_at, self._longest_step_s)
        self._looked_at = now
        return self._time
