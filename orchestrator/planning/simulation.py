"""A sweep on a virtual clock: the scheduler's own decisions, without Ray.

A discrete-event simulation: jobs start as the scheduler hands them out, last as long as their loads
cost, and end in order of time. It tells makespan and utilisation before anything is paid for, and how ready
trials are best grouped. Starting a worker, reading data and writing results are left out. Time is counted in
the unit of a price, for one place: multiply-adds, where none is given.

The objective is the least makespan. Large groups save passes of the teacher, small ones keep places busy and
critical chains short. Which is better at a moment depends on what is still to come, so groups are made
against an end that is to be met: a group is as large as it can be without its jobs, and what waits for them,
ending after it. The best of several ends is taken, from the lower bound upwards. Seed by seed is preferred to
the longest chain first where that costs next to nothing.
"""

import heapq
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.language.resources import KINDS, AllResources, Kind, job_kind
from orchestrator.planning.costs import Price, group_cost, operations, solo_cost
from orchestrator.planning.scheduling import Capacity, Job, Order, Scheduler
from trainer.problems import UserError
from trainer.trial import Trial, lockstep_key

ENDS = (math.inf, 1.0, 1.02, 1.04, 1.06, 1.08, 1.1, 1.14, 1.2)
"""The ends that are tried, in lower bounds."""

GOOD_ENOUGH = 1.02
"""No further end is tried when a makespan is within this of the bound."""

WORTH_EARLY_RESULTS = 1.01
"""So much longer a run may take for going seed by seed: first correlations come after one seed's work."""

MOST_TRIALS = 5_000
"""Larger sweeps are grouped as they come: their many groups balance themselves."""


@dataclass(frozen=True)
class SimulatedJob:
    """When a job starts and ends, in the unit of time of what it belongs to."""

    start: float
    end: float
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Simulation:
    """What a simulated run came to, in the unit of its price.

    `busy` is the share of places in use until the makespan, `jobs` are in the order of their start.
    """

    makespan: float
    lower_bound: float
    busy: float
    work: float
    jobs: tuple[SimulatedJob, ...]
    order: Order

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The fingerprints of each job."""
        return tuple(tuple(trial.fingerprint for trial in job.trials) for job in self.jobs)

    @property
    def over_bound(self) -> float:
        """How much longer than the bound, 0.05 for 5%."""
        over = self.makespan / self.lower_bound - 1 if self.lower_bound else 0.0
        # Sums of the same seconds in another order may end a rounding below it.
        return max(0.0, over)


def lockstep_groups(trials: Sequence[Trial]) -> Collection[list[Trial]]:
    """The largest groups there are."""
    groups: dict[tuple[object, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(lockstep_key(trial), []).append(trial)
    return groups.values()


def shared_cost(trials: Sequence[Trial], price: Price = operations) -> float:
    """The cost of all trials with everything shared that can be: the largest groups there are."""
    return sum(group_cost(group, price) for group in lockstep_groups(trials))


def chain_tails(trials: Sequence[Trial], price: Price = operations) -> dict[str, float]:
    """The cost of the longest chain that waits for each trial, itself left out."""
    tails = dict.fromkeys((trial.fingerprint for trial in trials), 0.0)
    for trial in reversed(trials):
        behind = tails[trial.fingerprint] + solo_cost(trial, price)
        for needed in trial.depends_on:
            if needed in tails:
                tails[needed] = max(tails[needed], behind)
    return tails


def longest_chain(trials: Sequence[Trial], price: Price = operations) -> float:
    """The cost of the longest chain of dependent trials, each run alone."""
    tails = chain_tails(trials, price)
    return max((tails[t.fingerprint] + solo_cost(t, price) for t in trials), default=0.0)


def places_of(capacity: Capacity, resources: AllResources) -> int:
    """How many jobs of students fit at once."""
    return max(1, capacity.places(resources.student))


def _check_that_jobs_fit(
    kinds: Collection[Kind], capacity: Capacity, resources: AllResources
) -> None:
    for kind in (kind for kind in KINDS if kind in kinds):
        asked = resources.of(kind)
        if not capacity.places(asked):
            raise UserError(
                f"resources.{kind}: a job takes {asked.cpu} CPU and {asked.gpu or 0:g} GPU, and there are "
                f"{capacity.cpu:g} CPU and {capacity.gpu:g} GPU in all"
            )


def best_simulation(
    trials: Sequence[Trial],
    done: Collection[str],
    capacity: Capacity,
    resources: AllResources,
    price: Price = operations,
) -> Simulation:
    """The simulation of least makespan over several ways to group; see the module's text.

    Args:
        trials: what is to run, each after what it depends on; `done` has results already.
        capacity, resources: as for the scheduler, with `gpu` decided.
        price: what a load takes of a place's time.

    Raises:
        UserError: a job of some kind fits nowhere, so the run would never end.
    """
    _check_that_jobs_fit({job_kind(trial) for trial in trials}, capacity, resources)
    places = places_of(capacity, resources)
    bound = max(longest_chain(trials, price), shared_cost(trials, price) / places)

    def best(order: Order) -> Simulation:
        runs: list[Simulation] = []
        for end in ENDS if len(trials) <= MOST_TRIALS else ENDS[:1]:
            clock = _Clock(trials, done, capacity, resources, end * bound, order, price)
            runs.append(clock.run(places, bound))
            if runs[-1].makespan <= GOOD_ENOUGH * bound:
                break
        return min(runs, key=lambda run: run.makespan)

    by_seed = best("seed")
    if by_seed.makespan <= GOOD_ENOUGH * bound:
        return by_seed
    by_chain = best("chain")
    is_worth_it = by_seed.makespan <= WORTH_EARLY_RESULTS * by_chain.makespan
    return by_seed if is_worth_it else by_chain


class _Clock:
    """One simulated run, in which groups are made to meet an end."""

    def __init__(
        self,
        trials: Sequence[Trial],
        done: Collection[str],
        capacity: Capacity,
        resources: AllResources,
        end: float,
        order: Order,
        price: Price,
    ) -> None:
        self._order = order
        self._price = price
        self._now = 0.0
        self._end = end
        self._tails = chain_tails(trials, price)
        self._scheduler = Scheduler(
            trials,
            done,
            capacity,
            resources,
            _at_the_start,
            limit=self._fitting,
            order=order,
            price=price,
        )

    def _fitting(self, group: Sequence[Trial]) -> int:
        """How many of a group, from its first, can go together and still meet the end; at least one."""
        if math.isinf(self._end):
            return len(group)
        size, tail = 1, 0.0
        for count, trial in enumerate(group, start=1):
            tail = max(tail, self._tails[trial.fingerprint])
            if self._now + group_cost(group[:count], self._price) + tail <= self._end:
                size = count
        return size

    def run(self, places: int, bound: float) -> Simulation:
        running: list[tuple[float, int, Job]] = []
        jobs: list[SimulatedJob] = []
        busy = work = 0.0
        while not self._scheduler.is_over:
            while job := self._scheduler.next_job():
                cost = group_cost(job.trials, self._price)
                heapq.heappush(running, (self._now + cost, job.number, job))
                jobs.append(SimulatedJob(self._now, self._now + cost, job.trials))
                work += cost
            end, _, job = heapq.heappop(running)
            busy += (len(running) + 1) * (end - self._now)
            self._now = end
            self._scheduler.end(job, {trial.fingerprint for trial in job.trials})
        share = busy / (places * self._now) if self._now else 0.0
        return Simulation(self._now, bound, share, work, tuple(jobs), self._order)


def _at_the_start(_trial: Trial) -> None:
    """No trial of a simulation has a checkpoint."""
