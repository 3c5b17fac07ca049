"""What a worker's pod does first when it is taken away, as from a spot node: its jobs save, and nothing new begins there.

    python3 -m orchestrator.cluster.kubernetes.leaving        # the pod's preStop hook

Kubernetes tells process 1 alone, which is Ray's: that drains the node and ends it, with what runs there, when no job is left
or its time is over. So Ray is told first, then each process that trains, which saves at its next step and leaves.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TRAINS = re.compile(rb"ray::\w+\.train\b")
"""What Ray calls a process while it runs a job of ours."""

SAVED_WITHIN_S = 100.0
LOOK_EVERY_S = 0.2


def leave(ray: int, within_s: float = SAVED_WITHIN_S) -> bool:
    """Tell the Ray that is process `ray`, and all that train below it; whether these have left in time."""
    training = frozenset(pid for pid in _below(ray) if _trains(pid))
    for pid in (ray, *training):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + within_s
    while left := [pid for pid in training if _trains(pid)]:
        if time.monotonic() > until:
            sys.stderr.write(f"{len(left)} jobs have not saved within {within_s:.0f} s\n")
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _below(top: int) -> Iterator[int]:
    """All processes whose ancestor is `top`."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; the parent is the second field behind it.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    waiting = [top]
    while waiting:
        below = children.get(waiting.pop(), [])
        yield from below
        waiting += below


def _trains(pid: int) -> bool:
    try:
        return bool(TRAINS.match(Path(f"/proc/{pid}/cmdline").read_bytes()))
    except OSError:
        return False


if __name__ == "__main__":
    leave(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
