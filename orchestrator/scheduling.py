"""Which job runs next: ready trials, grouped for lockstep, longest chain first.

The scheduler is plain bookkeeping, without Ray, clocks or files. It is told the trials and the capacity of
the cluster, hands out jobs that fit into what is free, and hears how they ended:

    while job := scheduler.next_job():
        start(job)
    ...
    scheduler.end(job, finished={...}, failed={...})

The rule. A trial is ready when all it depends on is done: there are no stage barriers. Ready trials that
can run in lockstep form one group. Groups go in order of their longest chain (their own cost and that of
what waits for them), among equals by seed. A group that does not fit lets smaller ones pass. While there
are fewer groups than free places, a group is split, so that no place stays empty.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.costs import solo_cost
from orchestrator.settings import AllResources, Resources
from trainer.trial import Trial, lockstep_key


@dataclass(frozen=True)
class Capacity:
    """CPUs and GPUs of a whole cluster."""

    cpu: float
    gpu: float


@dataclass(frozen=True)
class Job:
    """What Ray Tune schedules: trials that one worker runs in lockstep, and what they occupy."""

    number: int
    trials: tuple[Trial, ...]
    resources: Resources


class Scheduler:
    """Hands out the trials of one run.

    Args:
        trials: what is to run, each after what it depends on.
        done: fingerprints that have results already.
        capacity: what the cluster offers in all.
        resources: what jobs of each kind occupy, with `gpu` decided.
        position: where a trial will go on; only equals can share a group.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        done: Collection[str],
        capacity: Capacity,
        resources: AllResources,
        position: Callable[[Trial], Hashable],
        limit: Callable[[Sequence[Trial]], int] = len,
    ) -> None:
        self._limit = limit
        self._resources = resources
        self._position = position
        self._capacity = capacity
        self._waiting_for = {t.fingerprint: set(t.depends_on).difference(done) for t in trials}
        self._trials = {t.fingerprint: t for t in trials}
        self._dependents: dict[str, list[str]] = defaultdict(list)
        for trial in trials:
            for dependency in trial.depends_on:
                self._dependents[dependency].append(trial.fingerprint)
        self._chain = self._chain_costs(trials)
        self._ready: dict[Hashable, list[Trial]] = defaultdict(list)
        self._running: dict[int, Job] = {}
        self._num_jobs = 0
        self._nothing_fits = False
        self.stopping = False
        """Set it, and no further job is handed out."""
        self.finished: set[str] = set()
        self.failed: set[str] = set()
        self._enqueue(t for t in trials if not self._waiting_for[t.fingerprint])

    def _chain_costs(self, trials: Sequence[Trial]) -> dict[str, float]:
        chain: dict[str, float] = {}
        for trial in reversed(trials):
            after = (chain[fp] for fp in self._dependents[trial.fingerprint])
            chain[trial.fingerprint] = solo_cost(trial) + max(after, default=0.0)
        return chain

    def _enqueue(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            group = self._ready[lockstep_key(trial), self._position(trial)]
            group.append(trial)
            group.sort(key=lambda t: -self._chain[t.fingerprint])
        self._nothing_fits = False

    @property
    def running(self) -> tuple[Job, ...]:
        return tuple(self._running.values())

    @property
    def is_over(self) -> bool:
        """Nothing runs, and nothing more can be handed out."""
        return not self._running and (self.stopping or not self._ready)

    def next_job(self) -> Job | None:
        """The job that should start now, or None while nothing that is ready fits."""
        if self.stopping or self._nothing_fits:
            return None
        for key in sorted(self._ready, key=self._rank):
            resources = self._resources.of(self._ready[key][0].kind)
            places = self._free_places(resources)
            if places:
                return self._start(self._take(key, places), resources)
        self._nothing_fits = True
        return None

    def _rank(self, key: Hashable) -> tuple[float, int]:
        first = self._ready[key][0]
        return -self._chain[first.fingerprint], first.seed

    def _free_places(self, resources: Resources) -> int:
        """How many jobs of this size fit into what is free."""
        used_cpu = sum(job.resources.cpu for job in self._running.values())
        used_gpu = sum(job.resources.gpu or 0 for job in self._running.values())
        places = (self._capacity.cpu - used_cpu) / resources.cpu
        if resources.gpu:
            places = min(places, (self._capacity.gpu - used_gpu) / resources.gpu)
        return math.floor(places + 1e-6)

    def _take(self, key: Hashable, places: int) -> tuple[Trial, ...]:
        """A whole group, or its fair part where places would stay empty."""
        group = self._ready[key]
        size = min(math.ceil(len(group) / self._parts(places)[key]), self._limit(group))
        taken, rest = group[:size], group[size:]
        if rest:
            self._ready[key] = rest
        else:
            del self._ready[key]
        return tuple(taken)

    def _parts(self, places: int) -> dict[Hashable, int]:
        """Into how many parts each group is split: the one with the most work per part first."""
        work = {k: sum(map(solo_cost, group)) for k, group in self._ready.items()}
        parts = dict.fromkeys(self._ready, 1)
        splittable = [k for k, group in self._ready.items() if len(group) > 1]
        while splittable and sum(parts.values()) < places:
            key = max(splittable, key=lambda k: work[k] / parts[k])
            parts[key] += 1
            if parts[key] == len(self._ready[key]):
                splittable.remove(key)
        return parts

    def _start(self, trials: tuple[Trial, ...], resources: Resources) -> Job:
        job = Job(self._num_jobs, trials, resources)
        self._num_jobs += 1
        self._running[job.number] = job
        return job

    def end(self, job: Job, finished: Collection[str], failed: Collection[str]) -> None:
        """A job ended; its trials that neither finished nor failed were stopped, and stay missing."""
        del self._running[job.number]
        self.finished.update(finished)
        self.failed.update(failed)
        self._nothing_fits = False
        for fingerprint in finished:
            for dependent in self._dependents[fingerprint]:
                waiting_for = self._waiting_for[dependent]
                waiting_for.discard(fingerprint)
                if not waiting_for:
                    self._enqueue([self._trials[dependent]])
