"""Where a worker hangs, told on request, however deep in C it is."""

import faulthandler
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.files import process_is_alive


def stack_file(pid: int) -> Path:
    """Where a worker that gets SIGUSR1 writes what all its threads are doing."""
    return Path(tempfile.gettempdir()) / stack_file_name(str(pid))


def stack_file_name(pid: str) -> str:
    return f"kdsweep-stack-{os.getuid()}-{pid}.txt"


@contextmanager
def stack_on_request() -> Iterator[None]:
    """Lets the driver ask where this process hangs, however deep in C it is; tidies up after the killed."""
    path = stack_file(os.getpid())
    for other in path.parent.glob(stack_file_name("[0-9]*")):
        with suppress(ValueError, OSError):
            if other == path or not process_is_alive(int(other.stem.rpartition("-")[2])):
                other.unlink(missing_ok=True)
    with path.open("x") as file:
        faulthandler.register(signal.SIGUSR1, file=file)
        try:
            yield
        finally:
            faulthandler.unregister(signal.SIGUSR1)
            path.unlink(missing_ok=True)
