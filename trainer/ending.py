"""How a process ends: by its own exit code, whatever becomes of its last words."""

import os
import sys
from contextlib import suppress
from typing import NoReturn


def say(line: str) -> None:
    """A last word on standard error, if anybody can read it."""
    # Closed from the start, a stream is None.
    with suppress(OSError, AttributeError):
        sys.stderr.write(f"{line}\n")


def leave(code: int | str | None) -> NoReturn:
    """End with this exit code, as `sys.exit`.

    Where what is left in a stream's buffer can be written nowhere (its reader is gone, or the disk is full), Python's
    own end would make 120 of it, by which neither a person nor a batch system could tell what became of the work.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
