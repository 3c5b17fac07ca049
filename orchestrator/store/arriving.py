"""Files on their way from an object store, told to a person who waits for them.

with told_to(print):                                      # a command; in a job nobody listens
arriving = Arriving("s3://bucket/mine", [1_000_000])
arriving.came(500_000)                                # from any thread
arriving.give_up()                                    # somebody wants to leave
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from orchestrator.store.clocks import Clock

TELL_EVERY_S = 10.0


def _unheard(_line: str) -> None:
    pass


_tell: ContextVar[Callable[[str], None]] = ContextVar("_tell", default=_unheard)


@contextmanager
def told_to(tell: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile lines about files on their way are for `tell`."""
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


class Arriving:
    """Some files on their way, of these sizes in bytes: their number is told at once, how far they are now and then."""

    def __init__(self, address: str, sizes: Collection[int], clock: Clock = time.monotonic) -> None:
        self._where = address.partition("?")[0]
        self._size, self._came = sum(sizes), 0
        self._tell = _tell.get()  # here: the threads that fetch have a context of their own
        self._clock = clock
        self._told_at = clock()
        self._lock = threading.Lock()
        self._is_given_up = threading.Event()
        if sizes:
            files = "1 file" if len(sizes) == 1 else f"{len(sizes):,} files"
            self._tell(f"{self._where}: fetching {files}, {self._size / 1e6:,.1f} MB")

    def came(self, size: int) -> None:
        """So many more bytes are here."""
        with self._lock:
            self._came += size
            now = self._clock()
            if now - self._told_at < TELL_EVERY_S:
                return
            self._told_at = now
            self._tell(f"{self._where}: {self._came / 1e6:,.1f} of {self._size / 1e6:,.1f} MB")

    def give_up(self) -> None:
        """Nothing more is to be asked for."""
        self._is_given_up.set()

    @property
    def is_given_up(self) -> bool:
        return self._is_given_up.is_set()
