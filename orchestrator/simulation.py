"""A sweep on a virtual clock: the scheduler's own decisions, without Ray.

A discrete-event simulation: jobs start as the scheduler hands them out, last as long as their multiply-adds
take at a given throughput, and end in order of time. It tells makespan and utilisation before anything is
paid for. Starting a worker, reading data and writing results are left out.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.costs import group_cost, solo_cost
from orchestrator.scheduling import Capacity, Job, Scheduler
from orchestrator.settings import AllResources
from trainer.trial import Trial, lockstep_key


@dataclass(frozen=True)
class Simulation:
    """What a simulated run came to. Seconds; `busy` is the share of places in use, 0 to 1."""

    makespan: float
    busy: float
    lower_bound: float
    num_jobs: int
    work: float
    """Seconds of work of all jobs, on one place each."""

    @property
    def over_bound(self) -> float:
        """How much longer than the bound, 0.05 for 5%."""
        return self.makespan / self.lower_bound - 1 if self.lower_bound else 0.0


def shared_cost(trials: Sequence[Trial]) -> float:
    """Multiply-adds of all trials with everything shared that can be: the largest groups there are."""
    groups: dict[tuple[object, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(lockstep_key(trial), []).append(trial)
    return sum(group_cost(group) for group in groups.values())


def longest_chain(trials: Sequence[Trial]) -> float:
    """Multiply-adds of the longest chain of dependent trials, each run alone."""
    chain: dict[str, float] = {}
    for trial in trials:
        before = max((chain.get(needed, 0.0) for needed in trial.depends_on), default=0.0)
        chain[trial.fingerprint] = before + solo_cost(trial)
    return max(chain.values(), default=0.0)


def _at_the_start(_trial: Trial) -> None:
    """No trial of a simulation has a checkpoint."""


def simulate(
    trials: Sequence[Trial],
    capacity: Capacity,
    resources: AllResources,
    places: int,
    throughput: float,
) -> Simulation:
    """Run trials on a virtual clock.

    Args:
        trials: each after what it depends on.
        capacity, resources: as for the scheduler, with `gpu` decided.
        places: how many jobs fit at once, for utilisation and bound.
        throughput: multiply-adds per second of one place.
    """
    scheduler = Scheduler(trials, (), capacity, resources, _at_the_start)
    now, busy, num_jobs, work = 0.0, 0.0, 0, 0.0
    running: list[tuple[float, int, Job]] = []
    while not scheduler.is_over:
        while job := scheduler.next_job():
            seconds = group_cost(job.trials) / throughput
            heapq.heappush(running, (now + seconds, job.number, job))
            num_jobs += 1
            work += seconds
        end, _, job = heapq.heappop(running)
        busy += (len(running) + 1) * (end - now)
        now = end
        scheduler.end(job, {trial.fingerprint for trial in job.trials}, ())
    return Simulation(
        makespan=now,
        busy=busy / (places * now) if now else 0.0,
        lower_bound=max(longest_chain(trials), shared_cost(trials) / places) / throughput,
        num_jobs=num_jobs,
        work=work,
    )
