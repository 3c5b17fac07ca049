"""Ctrl-C and SIGTERM while Ray starts: libraries swallow the exception, so it is remembered too."""

import signal
import sys
from types import FrameType


def end_deaf() -> None:
    """The exit code is decided: no signal changes it while Python takes itself down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class Interruption:
    """While it is listening, both signals raise KeyboardInterrupt, and `check` raises it again."""

    def __init__(self) -> None:
        self._asked = False

    def listen(self) -> None:
        """To be said again after a library may have set handlers of its own."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        sys.unraisablehook = _silent_when_interrupted

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has come and was swallowed."""
        if self._asked:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        raise KeyboardInterrupt


def _silent_when_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    """A signal may come while Python finalizes an object: nobody can catch it there, and it is remembered."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
