"""Writing something anew while a run goes on, until a person or the end of the run stops it."""

import threading
from collections.abc import Callable
from pathlib import Path

from orchestrator.cluster.interruption import stopping_in_order
from trainer.files import write_atomically


def keep_writing(write: Callable[[bool], bool], every_s: float) -> None:
    """Write again and again.

    Args:
        write: writes once; is told whether it is for the last time, and tells whether there is more to come.
        every_s: how long to wait in between, in seconds.

    A signal ends it in order: what is being written is finished, and written for the last time.
    """
    stopped = threading.Event()
    with stopping_in_order(stopped.set):
        while write(False) and not stopped.wait(every_s):
            pass
    write(True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that readers find whole at any time; what is no file, such as /dev/stdout, is written to."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        write_atomically(path.resolve(), content)
