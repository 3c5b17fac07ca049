"""Where a worker hangs, told on request, however deep in C it is."""

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.files import process_is_alive
from trainer.private_folder import NotOursError, private_folder

REQUEST = signal.SIGURG
"""Asks for the stack. Batch systems warn by USR1 and USR2, but nobody sends this one to everything, and a process
that does not expect it ignores it."""


def stack_file(pid: int) -> Path:
    """Where a worker that gets `REQUEST` writes what all its threads are doing.

    Raises:
        NotOursError: the folder for it is not to be trusted.
    """
    return private_folder("stacks") / f"{pid}.txt"


@contextmanager
def stack_on_request() -> Iterator[None]:
    """Lets the driver ask where this process hangs; tidies up after the killed.

    It is a courtesy: a machine that has no place for it is told of, and its jobs run without.
    """
    try:
        path = stack_file(os.getpid())
        _tidy(path.parent)
        file = path.open("w")
    except (OSError, NotOursError) as error:
        sys.stderr.write(f"no stack can be told: {error}\n")
        yield
        return
    with file:
        faulthandler.register(REQUEST, file=file)
        try:
            yield
        finally:
            faulthandler.unregister(REQUEST)
            path.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    for path in folder.glob("*.txt"):
        with suppress(ValueError, OSError):
            if not process_is_alive(int(path.stem)):
                path.unlink(missing_ok=True)
