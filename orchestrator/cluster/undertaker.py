"""Ends what is left of a Ray whose driver is gone, however that went: by SIGKILL as well.

    python undertaker.py FOLDER

A process of its own, which the driver hands the sessions that it starts, a line each, through a pipe. The kernel
closes that pipe with the driver. Ray binds its own servers to the driver's life, but their agents live on for a
minute. What is ended is in one of the sessions and has a file of the run's folder open: numbers of processes are
used again, and neither a stranger nor somebody who reads a log is to be hit.

Nothing but Python's standard library is imported: it starts in a moment, and stands on nothing that can break.
"""

import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

AGAIN_S = 0.05
ROUNDS = 100


def end_all(folder: str, sessions: Collection[int]) -> None:
    """End the processes of these sessions that have a file below the folder open, until none is left."""
    for _ in range(ROUNDS):
        left = list(_members(folder, sessions)) if sessions else []
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(AGAIN_S)


def _members(folder: str, sessions: Collection[int]) -> Iterator[int]:
    """None where there is no /proc."""
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):  # noqa: PTH208
            with suppress(OSError):
                if name.isdigit() and os.getsid(int(name)) in sessions and _opens(name, folder):
                    yield int(name)


def _opens(pid: str, folder: str) -> bool:
    """Whether a process has a file below a folder open."""
    for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith(f"{folder}/"):  # noqa: PTH115
                return True
    return False


def main() -> None:
    """Wait for the driver's end; signals that are meant for the driver do not end this one before."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    sessions = {int(line) for line in sys.stdin if line.strip().isdigit()}
    end_all(sys.argv[1], sessions)


if __name__ == "__main__":
    main()
