"""Signs of life: who works on which trial, and which drivers are at work; each goes stale by itself.

running/FINGERPRINT.json     a worker at a trial, or a driver's claim of one
runs/RUN.json                a driver at work

Clocks of other machines do not enter. A sign changes at each writing, and says how long it lives without:
whoever sees it unchanged for so long, on a clock of its own, takes its writer for dead. Before that it is
believed: who sees it for the first time cannot know (`until_known` looks until one does). Only where the writer
was a process of this very machine is it known at once that it has ended.
"""

import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Generic, TypeVar

from orchestrator.store.clocks import AttentiveClock, Clock
from orchestrator.store.json_files import JsonFiles
from orchestrator.store.names import checked_fingerprint
from orchestrator.store.processes import Process, this_process
from trainer.files import Folder
from trainer.trial import Count, Trial, steps_per_epoch

DEAD_AFTER_S = 60.0
"""So long a worker's sign is believed."""

LONGEST_LIFE_S = 120.0
"""No sign says to live longer than a driver's claim: one that does is damaged, and holds nobody up."""

LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Running:
    """Who works on a trial.

    `process` is the worker's or, until that has started (`step` is None), the driver's; `node` is Ray's name
    of the machine. `beat` is another at each writing.
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
    node: str = ""
    process: Process = field(default_factory=Process)
    lives_for_s: float = DEAD_AFTER_S
    beat: str = ""

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
    started_at: str
    process: Process = field(default_factory=Process)
    lives_for_s: float = DEAD_AFTER_S
    beat: str = ""


Sign = TypeVar("Sign", Running, Run)


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
    """A sign of this process; without a step, only a claim."""
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
        node=node,
        process=this_process(),
        lives_for_s=lives_for_s,
    )


class Life(Enum):
    """What is known of a sign's writer."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sighting:
    """A sign as last seen, since when it is so, and whether it was seen to change before that."""

    text: str
    since: float
    has_changed: bool


def seen_again(before: Sighting | None, sign: Running | Run, now: float) -> Sighting:
    """What is known of a sign after one more look."""
    # As text: a loss that is not a number would equal nothing, not even itself.
    text = repr(sign)
    if before is None:
        return Sighting(text, now, has_changed=False)
    return before if before.text == text else Sighting(text, now, has_changed=True)


def believed_for_s(sign: Running | Run) -> float:
    """So long a sign is believed that does not change."""
    told = sign.lives_for_s
    return told if 0 < told <= LONGEST_LIFE_S else DEAD_AFTER_S


def life_of(sign: Running | Run, sighting: Sighting, now: float) -> Life:
    """Whether its writer lives."""
    if sign.process.is_gone or now - sighting.since > believed_for_s(sign):
        return Life.DEAD
    return Life.ALIVE if sighting.has_changed or sign.process.is_here else Life.UNKNOWN


class _SignsOfOneKind(Generic[Sign]):
    """The signs of workers, or of drivers, with what this process has seen of them."""

    def __init__(self, folder: Folder, kind: type[Sign], clock: Clock) -> None:
        self.files = JsonFiles(folder)
        self._kind: type[Sign] = kind
        self._clock = clock
        self._sightings: dict[str, Sighting] = {}

    def write(self, name: str, sign: Sign) -> None:
        self.files.write(name, asdict(replace(sign, beat=secrets.token_hex(8))))

    def read(self, name: str) -> Sign | None:
        return self.files.read(name, self._kind)

    def look_at(self, name: str) -> tuple[Sign, Life] | None:
        """One sign, and whether its writer lives."""
        sign = self.read(name)
        if sign is None:
            return None
        now = self._clock()
        sighting = seen_again(self._sightings.get(name), sign, now)
        self._sightings[name] = sighting
        return sign, life_of(sign, sighting, now)

    def look(self) -> dict[str, tuple[Sign, Life]]:
        """All that are there."""
        names = self.files.names()
        for gone in self._sightings.keys() - set(names):
            del self._sightings[gone]
        looks = {name: self.look_at(name) for name in names}
        return {name: seen for name, seen in looks.items() if seen is not None}

    def living(self) -> dict[str, Sign]:
        return {name: sign for name, (sign, life) in self.look().items() if life is not Life.DEAD}

    def doubtful(self) -> dict[str, Sign]:
        return {name: sign for name, (sign, life) in self.look().items() if life is Life.UNKNOWN}

    def tidy(self) -> None:
        # Listed before it is asked who lives: what is new in between is not listed, so it stays.
        names = self.files.names()
        alive = self.living()
        for name in names:
            if name not in alive:
                self.files.remove(name)


class Signs:
    """The signs of life in a store's folder, and what this process has seen of them so far.

    Args:
        root: the store's folder.
        clock: this process's own time.
    """

    def __init__(self, root: Folder, clock: Clock | None = None) -> None:
        own_time = clock or AttentiveClock()
        self._running = _SignsOfOneKind[Running](root.folder("running"), Running, own_time)
        self._runs = _SignsOfOneKind[Run](root.folder("runs"), Run, own_time)

    def set_running(self, running: Running) -> None:
        self._running.write(checked_fingerprint(running.fingerprint), running)

    def clear_running(self, fingerprint: str) -> None:
        self._running.files.remove(checked_fingerprint(fingerprint))

    def running(self) -> Mapping[str, Running]:
        """Who works on what now, by fingerprint; also those of whom that is not known yet."""
        return self._running.living()

    def at_work(self, fingerprint: str) -> Running | None:
        """Who works on this trial now, as in `running`."""
        seen = self._running.look_at(checked_fingerprint(fingerprint))
        return seen[0] if seen and seen[1] is not Life.DEAD else None

    def last(self, fingerprint: str) -> Running | None:
        """The last sign of life from a trial, however old; None where it ended in order."""
        return self._running.read(checked_fingerprint(fingerprint))

    def set_run(self, run: Run) -> None:
        self._runs.write(run.run_id, run)

    def clear_run(self, run_id: str) -> None:
        self._runs.files.remove(run_id)

    def runs(self) -> Mapping[str, Run]:
        """The drivers that work on this store now, by their run's id; also those of which that is not known yet."""
        return self._runs.living()

    def doubtful(self) -> Mapping[str, Running]:
        """Those of `running` of whom it is not known yet whether they live."""
        return self._running.doubtful()

    def doubtful_runs(self) -> Mapping[str, Run]:
        """The same of `runs`."""
        return self._runs.doubtful()

    def until_known(self, tell: Callable[[str], None]) -> None:
        """Look until it is known of all that seem to be at work whether they are: a minute or two, at most.

        Where all are of this machine, or nobody is at work, it is known at once.
        """
        doubtful = self.doubtful()
        if doubtful:
            hosts = ", ".join(sorted({sign.host for sign in doubtful.values()}))
            longest = max(map(believed_for_s, doubtful.values()))
            tell(
                f"{len(doubtful)} trials may be at work ({hosts}): looking for signs of life, "
                f"{longest:.0f} s at most"
            )
        while doubtful.keys() & self.doubtful().keys():
            time.sleep(LOOK_AGAIN_S)

    def known_runs(self, tell: Callable[[str], None]) -> Mapping[str, Run]:
        """The same as `runs`, looked at until it is known of all that were there: as long as `until_known`."""
        doubtful = self.doubtful_runs()
        if doubtful:
            hosts = ", ".join(sorted({sign.host for sign in doubtful.values()}))
            tell(f"a run may be at work ({hosts}): looking for signs of life, two minutes at most")
        while doubtful.keys() & self.doubtful_runs().keys():
            time.sleep(LOOK_AGAIN_S)
        return self.runs()

    def tidy(self) -> None:
        """Remove signs that are known to have gone out."""
        self._running.tidy()
        self._runs.tidy()
