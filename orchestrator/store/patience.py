"""File systems and object stores fail for moments: what is tried again, how long, and what is certain at once.

    patiently = Patience(longest_s=180)
    content = patiently(lambda: folder.read(name))

Some errors come back for certain (`is_certain`): a missing file, a missing right. All others come and go: a stale
handle, a broken wire, a file system that is read-only until somebody mends it, an object store that answers 500.
Such an operation is tried again with growing waits, until the store has refused for `longest_s` in a row; from
then on each is tried only once more, until one succeeds. So a store that is gone for good costs every further
operation a moment, and not the whole wait again.

A full disk or a full table of files is emptied by somebody or not at all; for those the wait is short in any case,
as it is for all once the process has been asked to leave. Time in which it was stopped is no time of waiting.
"""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.store.clocks import AttentiveClock

BRIEFLY_S = 2.0
"""For whoever must not stand still: a person's command, the driver, signs of life."""

FIRST_WAIT_S, LONGEST_WAIT_S, GROWTH = 0.05, 5.0, 2.0

ASKED_EVERY_S = 0.5
"""So often whoever waits looks whether it has to leave."""

LONGEST_OPERATION_S = 120.0
"""What takes longer to fail was stopped meanwhile (an object store has given up before: `orchestrator.store.bounds`)."""

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
USED_UP = NO_SPACE | {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Waiting gives none of these back."""

_CERTAIN = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
_CERTAIN_NUMBERS = frozenset({errno.ENAMETOOLONG, errno.ELOOP})

T = TypeVar("T")


def is_certain(error: OSError) -> bool:
    """Whether the same operation would fail again, whenever it is tried."""
    return isinstance(error, _CERTAIN) or error.errno in _CERTAIN_NUMBERS


class Patience:
    """Tries again what one kind of operation on one store fails at.

    Reading and changing are two kinds: what is read-only can be read all the time.

    Args:
        longest_s: so long a store may refuse in a row.
        must_leave: whether this process has been asked to; then it waits briefly.
    """

    def __init__(self, longest_s: float, must_leave: Callable[[], bool] = lambda: False) -> None:
        self._longest_s = longest_s
        self._must_leave = must_leave
        self._clock = AttentiveClock(time.monotonic, LONGEST_OPERATION_S)
        self._refused_since: float | None = None

    def __call__(self, act: Callable[[], T]) -> T:
        """What `act` returns; it may be called many times.

        Raises:
            OSError: the last error, once patience is at its end or the error certain.
        """
        began, wait, is_first = self._clock(), FIRST_WAIT_S, True
        while True:
            try:
                answer = act()
            except OSError as error:
                if is_certain(error):
                    raise
                # Another thread may have found it usable since; what fails here has still failed all the time.
                since = began if self._refused_since is None else min(began, self._refused_since)
                self._refused_since = since
                # What has failed but once is tried once more, unless the failing itself took all the time.
                refused_s = self._clock() - (began if is_first else since)
                if refused_s >= self._longest(error):
                    raise
            else:
                self._refused_since = None
                return answer
            self._wait(wait)
            wait, is_first = min(wait * GROWTH, LONGEST_WAIT_S), False

    def _wait(self, seconds: float) -> None:
        """Wait, but not on once this process must leave: a signal alone ends no sleep."""
        while seconds > 0:
            time.sleep(min(seconds, ASKED_EVERY_S))
            seconds -= ASKED_EVERY_S
            if self._must_leave():
                return

    def _longest(self, error: OSError) -> float:
        is_brief = error.errno in USED_UP or self._must_leave()
        return min(self._longest_s, BRIEFLY_S) if is_brief else self._longest_s
