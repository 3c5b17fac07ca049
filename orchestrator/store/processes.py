"""Which process it was: a number alone may be another's by now, or be counted in another container.

process = this_process()     # written down
process.is_here, process.is_gone   # asked by whoever reads it, on whatever machine
"""

import os
from dataclasses import dataclass
from pathlib import Path

from trainer.files import process_is_alive, process_space


@dataclass(frozen=True)
class Process:
    """A process of some machine.

    `space` is where its number counts: one boot of one machine, and of that one namespace of processes.
    `started_at` is in the kernel's ticks since that boot, which no clock that is set can change; 0: unknown.
    """

    pid: int = 0
    started_at: int = 0
    space: str = ""

    @property
    def is_here(self) -> bool:
        """Whether its number counts here, so that it can be looked for."""
        return bool(self.pid) and self.space == process_space()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended; of a process that counts elsewhere nothing is known."""
        return self.is_here and not (
            process_is_alive(self.pid) and _started_at(self.pid) == self.started_at
        )


def this_process() -> Process:
    """The one that asks."""
    return Process(os.getpid(), _started_at(os.getpid()), process_space())


def _started_at(pid: int) -> int:
    """0 where there is no /proc, or no such process."""
    try:
        # The name, in parentheses, may hold anything; the start is the 22nd field of all.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
