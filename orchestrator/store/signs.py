"""Signs of life: who works on which trial, and which drivers are at work; each goes stale by itself.

running/FINGERPRINT.json     a worker at a trial, or a driver's claim of one
runs/RUN.json                a driver at work
"""

import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import TypeVar

from orchestrator.store.json_files import JsonFiles
from orchestrator.store.names import checked_fingerprint
from trainer.files import Folder, process_is_alive
from trainer.trial import Count, Trial, steps_per_epoch

DEAD_AFTER_S = 60.0
"""So long a worker's sign is believed."""

LONGEST_LIFE_S = 3600.0


@dataclass(frozen=True)
class Running:
    """Who works on a trial. `expires_at` (Unix seconds) is when, without a sign of life, nobody does.

    `pid` is the worker's or, until that has started (`step` is None), the driver's; `node` is Ray's name
    of the machine.
    """

    fingerprint: str
    owner: str
    host: str
    device: str
    epoch: int
    epochs: Count
    step: int | None
    steps_per_epoch: Count
    loss: float | None
    expires_at: float
    pid: int = 0
    node: str = ""

    @property
    def has_started(self) -> bool:
        """Whether a worker gave it; else it is a driver's claim."""
        return self.step is not None

    @property
    def share(self) -> float:
        """How much of the trial is done, 0 to 1."""
        return (self.epoch - 1 + (self.step or 0) / self.steps_per_epoch) / self.epochs


@dataclass(frozen=True)
class Run:
    """A driver at work on this store."""

    run_id: str
    sweep: str
    host: str
    pid: int
    started_at: str
    expires_at: float


Sign = TypeVar("Sign", Running, Run)


def is_alive(sign: Running | Run) -> bool:
    """Not expired and, where that can be known, its process is still there.

    A sign that would live for hours comes from a clock that is wrong by hours, and holds nobody up.
    """
    if not 0 < sign.expires_at - time.time() < LONGEST_LIFE_S:
        return False
    return not sign.pid or sign.host != socket.gethostname() or process_is_alive(sign.pid)


def sign_of_life(
    trial: Trial,
    run_id: str,
    *,
    device: str = "",
    epoch: int = 1,
    step: int | None = None,
    loss: float | None = None,
    node: str = "",
    lives_for_s: float = DEAD_AFTER_S,
) -> Running:
    """A sign of this process, of now; without a step, only a claim."""
    return Running(
        fingerprint=trial.fingerprint,
        owner=run_id,
        host=socket.gethostname(),
        device=device,
        epoch=epoch,
        epochs=trial.epochs,
        step=step,
        steps_per_epoch=steps_per_epoch(trial),
        loss=loss,
        expires_at=time.time() + lives_for_s,
        pid=os.getpid(),
        node=node,
    )


class Signs:
    """The signs of life in a store's folder."""

    def __init__(self, root: Folder) -> None:
        self._running = JsonFiles(root.folder("running"))
        self._runs = JsonFiles(root.folder("runs"))

    def set_running(self, running: Running) -> None:
        self._running.write(checked_fingerprint(running.fingerprint), asdict(running))

    def clear_running(self, fingerprint: str) -> None:
        self._running.remove(checked_fingerprint(fingerprint))

    def running(self) -> dict[str, Running]:
        """Who works on what now, by fingerprint; without those that gave no sign of life in time."""
        return _living(self._running, Running)

    def last(self, fingerprint: str) -> Running | None:
        """The last sign of life from a trial, however old; None where it ended in order."""
        return self._running.read(checked_fingerprint(fingerprint), Running)

    def set_run(self, run: Run) -> None:
        self._runs.write(run.run_id, asdict(run))

    def clear_run(self, run_id: str) -> None:
        self._runs.remove(run_id)

    def runs(self) -> dict[str, Run]:
        """The drivers that work on this store now, by their run's id."""
        return _living(self._runs, Run)

    def tidy(self) -> None:
        """Remove signs that went out."""
        # Listed before it is asked who lives: what is new in between is not listed, so it stays.
        listed = [(files, files.names()) for files in (self._running, self._runs)]
        alive = {*self.running(), *self.runs()}
        for files, names in listed:
            for name in names:
                if name not in alive:
                    files.remove(name)


def _living(files: JsonFiles, kind: type[Sign]) -> dict[str, Sign]:
    signs = {name: files.read(name, kind) for name in files.names()}
    return {name: sign for name, sign in signs.items() if sign is not None and is_alive(sign)}
