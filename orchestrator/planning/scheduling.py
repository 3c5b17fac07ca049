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
what waits for them), among equals by seed; or seed by seed, so that first correlations come early, and in
order of their chain within a seed. A group that does not fit lets smaller ones pass. While there are fewer
groups than free places, a group is split, so that no place stays empty.

A trial whose attempt failed comes back not before its time, with the nodes it should avoid, alone or with
those that came back alike. What another driver works on is held back.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Literal

from orchestrator.language.resources import KINDS, AllResources, Resources, job_kind
from orchestrator.planning.costs import Price, operations, solo_cost
from orchestrator.planning.ready_groups import Rank, ReadyGroups
from trainer.trial import Trial, lockstep_key


@dataclass(frozen=True)
class Capacity:
    """CPUs and GPUs of a whole cluster."""

    cpu: float
    gpu: float

    def places(self, resources: Resources) -> int:
        """How many jobs of this size fit."""
        places = self.cpu / resources.cpu
        if resources.gpu:
            places = min(places, self.gpu / resources.gpu)
        # A third of a GPU, three times, is a little more than one: such sums must not cost a place.
        return math.floor(places + 1e-6)


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


Order = Literal["chain", "seed"]
"""What goes first."""

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
        order: whether the longest chain goes first or, teachers aside, the smallest seed.
        price: what chains and groups are weighed by.
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
        order: Order = "chain",
        price: Price = operations,
    ) -> None:
        self._order = order
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
        self._cost = {t.fingerprint: solo_cost(t, price) for t in trials}
        self._chain = self._chain_costs(trials)
        self._ready = ReadyGroups(self._rank)
        self._later: dict[str, Trial] = {}
        """Trials that are ready, but not before their time."""
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
            chain[trial.fingerprint] = self._cost[trial.fingerprint] + max(after, default=0.0)
        return chain

    def _enqueue(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.fingerprint in self._again:
                self._later[trial.fingerprint] = trial
            else:
                self._ready.add(self._group_key(trial), trial)

    def _admit(self, now: float) -> None:
        """Let in what had to wait until now."""
        due = [fp for fp in self._later if self._again[fp].ready_at <= now]
        for fingerprint in due:
            trial = self._later.pop(fingerprint)
            self._ready.add(self._group_key(trial), trial)

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
        return not self._running and (self.stopping or not (self._ready or self._later))

    def next_job(self, now: float = 0.0) -> Job | None:
        """The job that should start now, or None while nothing that is ready fits."""
        if self.stopping:
            return None
        self._admit(now)
        asked = {kind: self._resources.of(kind) for kind in KINDS}
        places = {kind: count for kind in KINDS if (count := self._free_places(asked[kind])) > 0}
        first = self._ready.first(places, self.held)
        if first is None:
            return None
        key, group = first
        kind = job_kind(group[0])
        taken = tuple(group[: self._size(key, group, places[kind])])
        self._ready.remove(key, {trial.fingerprint for trial in taken})
        return self._start(taken, asked[kind])

    def _rank(self, first: Trial) -> Rank:
        chain = -self._chain[first.fingerprint]
        if self._order == "chain":
            return chain, first.seed
        return -math.inf if first.kind == "teacher" else first.seed, chain

    def _free_places(self, resources: Resources) -> int:
        """How many jobs of this size fit into what is free."""
        used_cpu = sum(job.resources.cpu for job in self._running.values())
        used_gpu = sum(job.resources.gpu or 0 for job in self._running.values())
        return Capacity(self.capacity.cpu - used_cpu, self.capacity.gpu - used_gpu).places(
            resources
        )

    def _size(self, key: Hashable, group: Sequence[Trial], places: int) -> int:
        """How many of a group go together: all, or its fair part where places would stay empty."""
        # A place for every ready trial: nothing is gained by waiting for each other's batches.
        if places >= self._ready.num_trials:
            return 1
        # As many groups as places fill them whole. Only the first `places` are looked at, as there may be
        # thousands; if fewer come, they are all the groups there are, and must be split to fill the rest.
        groups = dict(islice(self._ready.free(self.held), places))
        parts = 1 if len(groups) == places else self._parts(groups, places)[key]
        # Rounded up, so that the parts of a group never come to more jobs than were counted for it.
        return min(math.ceil(len(group) / parts), self._limit(group))

    def _parts(
        self, groups: Mapping[Hashable, Sequence[Trial]], places: int
    ) -> dict[Hashable, int]:
        """Into how many parts each group is split: the one with the most work per part first."""
        work = {key: sum(self._cost[t.fingerprint] for t in groups[key]) for key in groups}
        parts = dict.fromkeys(groups, 1)
        splittable = [key for key, group in groups.items() if len(group) > 1]
        while splittable and sum(parts.values()) < places:
            # One more part where the parts are still the longest: that is what the run would wait for.
            key = max(splittable, key=lambda k: work[k] / parts[k])
            parts[key] += 1
            if parts[key] == len(groups[key]):
                splittable.remove(key)
        return parts

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

    def take_back(self, job: Job) -> None:
        """A job was let go before it ended: its trials are ready again, on the terms they had."""
        del self._running[job.number]
        self._enqueue(job.trials)

    def is_suspect(self, fingerprint: str) -> bool:
        """Whether a trial was last to run alone, because it may be what failed."""
        again = self._again.get(fingerprint)
        return again is not None and again.alone

    def finish_elsewhere(self, fingerprints: Collection[str]) -> None:
        """Another driver has finished these trials; those that run here are left to their jobs."""
        if fingerprints:
            delayed = {fp for fp in fingerprints if self._later.pop(fp, None)}
            self._release(delayed | self._ready.discard(fingerprints))

    def _release(self, finished: Collection[str]) -> None:
        self.finished.update(finished)
        for fingerprint in finished:
            for dependent in self._dependents[fingerprint]:
                waiting_for = self._waiting_for[dependent]
                waiting_for.discard(fingerprint)
                if not waiting_for:
                    self._enqueue([self._trials[dependent]])
