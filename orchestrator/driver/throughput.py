"""Images per second of a run, from how far its trials are."""

from collections import deque
from collections.abc import Mapping

WINDOW_S = 30.0
"""Signs of life are written every few seconds, each trial's at moments of its own."""


class Throughput:
    """How many images all trials together trained with, per second of the last half minute.

    Only what is seen to move counts: a trial that goes on from a checkpoint begins where it is first seen, and one
    that is tried again begins anew.
    """

    def __init__(self) -> None:
        self._images: dict[str, float] = {}
        self._total = 0.0
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, now_s: float, images: Mapping[str, float]) -> float:
        """Take down how many images each working trial is past; the rate, 0 until two looks are told apart."""
        for trial, number in images.items():
            before = self._images.get(trial, number)
            self._total += max(number - before, 0.0)
        self._images = dict(images)
        self._seen.append((now_s, self._total))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - WINDOW_S:
            self._seen.popleft()
        (since, first), (until, last) = self._seen[0], self._seen[-1]
        return (last - first) / (until - since) if until > since else 0.0
