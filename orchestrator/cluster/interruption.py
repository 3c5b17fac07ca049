"""What a command does when it is asked to stop: by a person, a batch system, systemd, a terminal that closes.

    listen()                      # the first line of a command: from now on a signal raises KeyboardInterrupt
    with stopping_in_order(stop): # of a run: the first signal calls `stop`, a later one raises KeyboardInterrupt
        ...
    check()                       # raises it again where a library has swallowed it
    take_over()                   # raises it where a library has made another exit of it
    tell_all_is_done()            # from now on a signal only cuts short what is still shown: `all_is_done`

Signals within two seconds of each other are one: Slurm's and a forwarding script's, or those that a process gets
for itself and for its group. `lose` ends a run that has lost its Ray, from whatever thread notices.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
ONE_WITHIN_S = 2.0
RAYS_ALARM_S = 3


class RayLostError(KeyboardInterrupt):
    """The Ray of a run is gone; it cannot go on, and whoever starts it again goes on from the last checkpoints.

    Like Ctrl-C it is no `Exception`: nothing between here and the command may take it for a failed trial.
    """


class _Interruption:
    """One per process, as signals are."""

    def __init__(self) -> None:
        self._asked = False
        self._counted_at = -ONE_WITHIN_S
        self._stop: Callable[[], None] | None = None
        self._lost: str | None = None
        self._all_is_done = False

    def listen(self) -> None:
        """To be said first of all, and again after a library may have set handlers of its own."""
        for number in STOPPING:
            # `nohup` has it ignored; then a terminal that closes is to change nothing.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        sys.unraisablehook = _silent_when_interrupted

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has come and was swallowed."""
        if self._lost:
            raise RayLostError(self._lost)
        if self._asked:
            raise KeyboardInterrupt

    def take_over(self) -> NoReturn:
        """A library's handler took a signal and raised an exit of its own: from here on it counts as come to ours."""
        _call_off_the_abort()
        self.listen()
        self._counted_at, self._asked = time.monotonic(), True
        raise KeyboardInterrupt

    @contextmanager
    def stopping_in_order(self, stop: Callable[[], None]) -> Iterator[None]:
        """While this goes on, the first signal calls `stop`, and only a later one raises KeyboardInterrupt."""
        self.check()
        self._stop, self._all_is_done = stop, False
        try:
            yield
        finally:
            self._stop = None

    def lose(self, reason: str) -> None:
        """Raises `RayLostError` in the main thread; may be said in any."""
        self._lost = reason
        # Python runs handlers in the main thread, also where that one waits in Ray.
        os.kill(os.getpid(), signal.SIGUSR2)

    def lost(self) -> str | None:
        """Why the run has lost its Ray, if it has."""
        return self._lost

    def tell_all_is_done(self) -> None:
        """Nothing is left to do but to leave and to show it: no signal makes that undone."""
        self._all_is_done = True

    def all_is_done(self) -> bool:
        """Whether that was told."""
        return self._all_is_done

    def broke_in(self) -> bool:
        """Whether something was interrupted wherever it was, and not stopped in order."""
        return self._asked or self._lost is not None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        _call_off_the_abort()
        if self._lost:
            raise RayLostError(self._lost)
        now = time.monotonic()
        if now - self._counted_at < ONE_WITHIN_S:
            return
        self._counted_at = now
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
            return
        self._asked = True
        raise KeyboardInterrupt


_of_this_process = _Interruption()
listen = _of_this_process.listen
check = _of_this_process.check
take_over = _of_this_process.take_over
stopping_in_order = _of_this_process.stopping_in_order
lose = _of_this_process.lose
lost = _of_this_process.lost
tell_all_is_done = _of_this_process.tell_all_is_done
all_is_done = _of_this_process.all_is_done
broke_in = _of_this_process.broke_in


def _call_off_the_abort() -> None:
    """Ray's own handler, in place for a moment while a driver connects, hands SIGTERM on (to ours, or to one of Ray's
    that makes an exit of it) but has set an alarm before, which ends the process with SIGABRT three seconds later, in
    the middle of leaving in order.
    """
    # An alarm that Python has set a handler for is somebody else's, and so is one that is further away.
    if signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, None):
        left = signal.alarm(0)
        if left > RAYS_ALARM_S:
            signal.alarm(left)


def end_deaf() -> None:
    """The exit code is decided: no signal changes it while Python takes itself down."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _silent_when_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    """A signal may come while Python finalizes an object: nobody can catch it there, and it is remembered."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
