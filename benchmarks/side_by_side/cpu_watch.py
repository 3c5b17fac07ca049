"""CPU seconds of everything that this process starts, while it runs: also of what outlives its parent (Linux).

What a parent has not waited for is in no `getrusage`, and Ray's workers are such processes. So /proc is read every
so often; of each process what it uses after the last look is missed.
"""

import ctypes
import os
import threading
from pathlib import Path
from typing import Self

INTERVAL_S = 0.1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """What a running process has used itself, in user and kernel mode."""
    return _parent_and_ticks(pid)[1] / _TICKS_PER_S


def _parent_and_ticks(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12])


class CpuWatch:
    """A context within which the descendants of this process are watched; one per process.

    with CpuWatch() as watch:
        subprocess.run(...)
    watch.seconds
    """

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def seconds(self) -> float:
        return sum(self._ticks.values()) / _TICKS_PER_S

    def __enter__(self) -> Self:
        set_child_subreaper = 36
        # Whose parent ends is then ours, and is still found below us.
        ctypes.CDLL(None).prctl(set_child_subreaper, 1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL_S):
            self._look()

    def _look(self) -> None:
        parents: dict[int, int] = {}
        ticks: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                pid = int(entry.name)
                try:
                    parents[pid], ticks[pid] = _parent_and_ticks(pid)
                except (FileNotFoundError, ProcessLookupError):
                    continue
        found, newest = set[int](), {os.getpid()}
        while newest:
            newest = {pid for pid, parent in parents.items() if parent in newest}
            found |= newest
        self._ticks |= {pid: ticks[pid] for pid in found}
