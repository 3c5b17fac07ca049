"""Which job runs next: ready trials, grouped for lockstep, longest chain first.

The scheduler is plain bookkeeping, without Ray, clocks or files. It is told the trials and the capacity of
the cluster, hands out jobs that fit into what is free, and hears how they ended:

    while job := scheduler.next_job():
        start(job)
    ...
    scheduler.end(job, finished={...}, failed={...})
    scheduler.end(job, again={fingerprint: Again(ready_at=now + 4, avoid={"node"})})

The rule. A trial is ready when all it depends on is done: there are no stage barriers. Ready trials that
can run in lockstep form one group. Groups go in order of their longest chain (their own cost and that of
what waits for them), among equals by seed. A group that does not fit lets smaller ones pass. While there
are fewer groups than free places, a group is split, so that no place stays empty.

A trial whose attempt failed comes back not before its time, with the nodes it should avoid, alone or with
those that came back alike. What another driver works on is held back.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestrator.costs import solo_cost
from orchestrator.settings import AllResources, Resources
from trainer.trial import Trial, lockstep_key


@dataclass(frozen=True)
class Capacity:
    """CPUs and GPUs of a whole cluster."""

    cpu: float
    gpu: float


@dataclass(frozen=True)
class Again:
    """When a trial may be tried again (in the scheduler's time), the nodes where it failed, whether alone."""

    ready_at: float
    avoid: frozenset[str] = frozenset()
    alone: bool = False


@dataclass(frozen=True)
class Job:
    """What Ray Tune schedules: trials that one worker runs in lockstep, and what they occupy."""

    number: int
    trials: tuple[Trial, ...]
    resources: Resources
    avoid: frozenset[str] = field(default_factory=frozenset)


NO_PARTS: Mapping[str, int] = MappingProxyType({})


class Scheduler:
    """Hands out the trials of one run.

    Args:
        trials: what is to run, each after what it depends on.
        done: fingerprints that have results already.
        capacity: what the cluster offers in all.
        resources: what jobs of each kind occupy, with `gpu` decided.
        position: where a trial will go on; only equals can share a group.
        limit: how many of a ready group, from its first, may go together.
        part: the number of the planned group of each trial, by fingerprint; only equals share a group.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        done: Collection[str],
        capacity: Capacity,
        resources: AllResources,
        position: Callable[[Trial], Hashable],
        limit: Callable[[Sequence[Trial]], int] = len,
        part: Mapping[str, int] = NO_PARTS,
    ) -> None:
        self._limit = limit
        self._part = part
        self._resources = resources
        self._position = position
        self.capacity = capacity
        """May change while nodes come and go."""
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
        self._again: dict[str, Again] = {}
        self.stopping = False
        """Set it, and no further job is handed out."""
        self.held: Collection[str] = ()
        """Fingerprints of trials that another driver works on."""
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
            group = self._ready[self._group_key(trial)]
            group.append(trial)
            group.sort(key=lambda t: -self._chain[t.fingerprint])

    def _group_key(self, trial: Trial) -> Hashable:
        again = self._again.get(trial.fingerprint)
        if again and again.alone:
            return trial.fingerprint
        return lockstep_key(trial), self._position(trial), again, self._part.get(trial.fingerprint)

    @property
    def running(self) -> tuple[Job, ...]:
        return tuple(self._running.values())

    @property
    def is_over(self) -> bool:
        """Nothing runs, and nothing more can be handed out."""
        return not self._running and (self.stopping or not self._ready)

    def next_job(self, now: float = 0.0) -> Job | None:
        """The job that should start now, or None while nothing that is ready fits."""
        if self.stopping:
            return None
        ready = {key: free for key in self._ready if (free := self._free(key, now))}
        for key in sorted(ready, key=lambda key: self._rank(ready[key][0])):
            resources = self._resources.of(ready[key][0].kind)
            places = self._free_places(resources)
            if places:
                return self._start(self._take(key, ready, places), resources)
        return None

    def _free(self, key: Hashable, now: float) -> list[Trial]:
        """The trials of a group that may start now."""
        return [t for t in self._ready[key] if t.fingerprint not in self.held and self._due(t, now)]

    def _due(self, trial: Trial, now: float) -> bool:
        again = self._again.get(trial.fingerprint)
        return again is None or again.ready_at <= now

    def _rank(self, first: Trial) -> tuple[float, int]:
        return -self._chain[first.fingerprint], first.seed

    def _free_places(self, resources: Resources) -> int:
        """How many jobs of this size fit into what is free."""
        used_cpu = sum(job.resources.cpu for job in self._running.values())
        used_gpu = sum(job.resources.gpu or 0 for job in self._running.values())
        places = (self.capacity.cpu - used_cpu) / resources.cpu
        if resources.gpu:
            places = min(places, (self.capacity.gpu - used_gpu) / resources.gpu)
        return math.floor(places + 1e-6)

    def _take(
        self, key: Hashable, ready: Mapping[Hashable, list[Trial]], places: int
    ) -> tuple[Trial, ...]:
        """A whole group, or its fair part where places would stay empty."""
        group = ready[key]
        size = min(math.ceil(len(group) / _parts(ready, places)[key]), self._limit(group))
        taken = group[:size]
        self._remove(key, {trial.fingerprint for trial in taken})
        return tuple(taken)

    def _remove(self, key: Hashable, fingerprints: Collection[str]) -> None:
        rest = [t for t in self._ready[key] if t.fingerprint not in fingerprints]
        if rest:
            self._ready[key] = rest
        else:
            del self._ready[key]

    def _start(self, trials: tuple[Trial, ...], resources: Resources) -> Job:
        retried = [self._again[t.fingerprint] for t in trials if t.fingerprint in self._again]
        avoid = frozenset[str]().union(*(again.avoid for again in retried))
        job = Job(self._num_jobs, trials, resources, avoid)
        self._num_jobs += 1
        self._running[job.number] = job
        return job

    def end(
        self,
        job: Job,
        finished: Collection[str] = (),
        failed: Collection[str] = (),
        again: Mapping[str, Again] | None = None,
    ) -> None:
        """A job ended; its trials that are none of the three were stopped, and stay missing."""
        del self._running[job.number]
        self.failed.update(failed)
        self._again.update(again or {})
        self._enqueue(trial for trial in job.trials if trial.fingerprint in (again or {}))
        self._release(finished)

    def finish_elsewhere(self, fingerprints: Collection[str]) -> None:
        """Another driver has finished these trials; those that run here are left to their jobs."""
        found: set[str] = set()
        for key, group in list(self._ready.items()):
            here = {t.fingerprint for t in group}.intersection(fingerprints)
            if here:
                self._remove(key, here)
                found |= here
        self._release(found)

    def _release(self, finished: Collection[str]) -> None:
        self.finished.update(finished)
        for fingerprint in finished:
            for dependent in self._dependents[fingerprint]:
                waiting_for = self._waiting_for[dependent]
                waiting_for.discard(fingerprint)
                if not waiting_for:
                    self._enqueue([self._trials[dependent]])


def _parts(groups: Mapping[Hashable, Sequence[Trial]], places: int) -> dict[Hashable, int]:
    """Into how many parts each group is split: the one with the most work per part first."""
    work = {key: sum(map(solo_cost, group)) for key, group in groups.items()}
    parts = dict.fromkeys(groups, 1)
    splittable = [key for key, group in groups.items() if len(group) > 1]
    while splittable and sum(parts.values()) < places:
        key = max(splittable, key=lambda k: work[k] / parts[k])
        parts[key] += 1
        if parts[key] == len(groups[key]):
            splittable.remove(key)
    return parts
