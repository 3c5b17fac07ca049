"""Watches that the Ray of a run lives: nothing else would tell, for whoever waits for a dead Ray waits for ever.

A thread of its own asks every second. What it finds is raised in the main thread; a main thread that does not
come back from Ray within seconds is ended with its process, after the reason was told. Nothing is lost by that:
checkpoints are whole at any moment, and claims and signs of life expire.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from orchestrator.cluster.interruption import lose

EVERY_S = 1.0
LEAVE_WITHIN_S = 10.0
ANSWERS_WITHIN_S = 5.0
REFUSALS = 5
"""So often in a row an existing cluster's head must not answer before it is taken for lost."""

STOPPED = 3


class Watched(Protocol):
    """A Ray that a run uses."""

    def what_died(self) -> str | None:
        """In some words what is gone; None while all lives."""

    def end(self) -> None:
        """End what is left, as far as it is ours."""


@contextmanager
def watching(ray: Watched, to_tell: Callable[[str], None]) -> Iterator[None]:
    """While this goes on, a Ray that died ends the run with `RayLostError`.

    Args:
        ray: asked every second, in a thread of its own; what is left of it is ended before the process is.
        to_tell: tells a person, where the main thread cannot any more.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY_S):
            reason = ray.what_died()
            # Asking takes seconds; what dies behind a run that is over ends nothing.
            if reason and not over.is_set():
                lose(reason)
                if not over.wait(LEAVE_WITHIN_S):
                    with suppress(Exception):
                        to_tell(f"{reason}; the same command goes on from the last checkpoints")
                    ray.end()
                    for stream in (sys.stdout, sys.stderr):
                        with suppress(Exception):
                            stream.flush()
                    os._exit(STOPPED)
                return

    thread = threading.Thread(target=watch, name="kdsweep-vigil", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


class HeadOfACluster:
    """The control process of a cluster that others have started; one that refuses once may be busy."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._address = address
        self._refused = 0

    def what_died(self) -> str | None:
        """That it is gone, after some refusals in a row."""
        try:
            socket.create_connection(self._place, timeout=ANSWERS_WITHIN_S).close()
        except OSError as error:
            self._refused += 1
            if self._refused >= REFUSALS:
                return (
                    f"the Ray cluster's head at {self._address} does not answer any more: {error}"
                )
        else:
            self._refused = 0
        return None

    def end(self) -> None:
        """Nothing: it is not ours."""
