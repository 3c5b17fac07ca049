"""What a sweep will cost: operations, device-hours, and the makespan on a number of GPUs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from orchestrator.language.resources import KINDS
from orchestrator.planning.costs import group_loads, solo_cost
from orchestrator.planning.plan import Plan
from orchestrator.planning.prices import FLOPS, Limit, Pricing, Throughput
from orchestrator.planning.scheduling import Capacity
from orchestrator.planning.simulation import (
    SimulatedJob,
    Simulation,
    best_simulation,
    lockstep_groups,
    longest_chain,
    shared_cost,
)
from trainer.trial import Trial

CPUS_ENOUGH = 1e6


@dataclass(frozen=True)
class OnCpus:
    """What the same costs on a machine without a GPU: hours of so many CPUs, at best."""

    cpus: int
    hours: float
    throughput: Throughput


@dataclass(frozen=True)
class Share:
    """What is missing for one pair, or, without a student, of one teacher: by itself, on one GPU.

    `limits` are the shares of its hours that go into arithmetic, memory traffic and launches. What several
    pairs of one teacher can share is in each of them.
    """

    dataset: str
    teacher: str
    student: str | None
    trials: int
    hours: float
    limits: Mapping[Limit, float]


@dataclass(frozen=True)
class Bill:
    """What is missing of a sweep, in peta floating-point operations and hours of one GPU.

    `throughput` is what the GPU reaches at that price, over all that is missing.
    """

    pflop: float
    pflop_alone: float
    gpu_hours: float
    longest_chain_hours: float
    throughput: Throughput
    shares: tuple[Share, ...]
    on_cpus: "OnCpus | None" = None

    @property
    def saved(self) -> float:
        """Share of the work that lockstep saves, 0 to 1."""
        return 1 - self.pflop / self.pflop_alone if self.pflop_alone else 0.0


def bill_of(plan: Plan, pricing: Pricing) -> Bill:
    """The bill of what a plan is missing."""
    missing = plan.missing
    shared, seconds = shared_cost(missing), shared_cost(missing, pricing.seconds)
    return Bill(
        pflop=FLOPS * shared / 1e15,
        pflop_alone=FLOPS * sum(map(solo_cost, missing)) / 1e15,
        gpu_hours=seconds / 3600,
        longest_chain_hours=longest_chain(missing, pricing.seconds) / 3600,
        throughput=pricing.throughput(shared, seconds),
        shares=_shares(missing, pricing),
    )


def _shares(trials: Sequence[Trial], pricing: Pricing) -> tuple[Share, ...]:
    parts: dict[tuple[str, str, str | None], list[Trial]] = defaultdict(list)
    for trial in trials:
        student = trial.student if trial.kind == "student" else None
        parts[trial.dataset, trial.teacher, student].append(trial)
    return tuple(_share(*key, part, pricing) for key, part in parts.items())


def _share(
    dataset: str, teacher: str, student: str | None, trials: Sequence[Trial], pricing: Pricing
) -> Share:
    seconds: dict[Limit, float] = defaultdict(float)
    for group in lockstep_groups(trials):
        for load in group_loads(group):
            seconds[pricing.limit(load)] += pricing.seconds(load)
    total = sum(seconds.values())
    limits = {limit: part / total for limit, part in seconds.items() if part}
    return Share(dataset, teacher, student, len(trials), total / 3600, limits)


def with_cpus(bill: Bill, plan: Plan, cpus: int, pricing: Pricing) -> Bill:
    """The bill with what it comes to on `cpus` CPUs, whose price is of one."""
    missing = plan.missing
    seconds = shared_cost(missing, pricing.seconds)
    at_best = max(seconds / cpus, longest_chain(missing, pricing.seconds))
    throughput = pricing.throughput(shared_cost(missing), seconds)
    return replace(bill, on_cpus=OnCpus(cpus, at_best / 3600, throughput))


@dataclass(frozen=True)
class Forecast:
    """A simulated run on a number of GPUs; its jobs are in the order of their start, in hours."""

    gpus: int
    jobs: tuple[SimulatedJob, ...]
    hours: float
    busy: float
    bound_hours: float
    over_bound: float

    @property
    def where(self) -> str:
        return "1 GPU" if self.gpus == 1 else f"{self.gpus} GPUs"


def forecast(plan: Plan, gpus: int, pricing: Pricing) -> Forecast:
    """Simulate what a plan is missing on `gpus` GPUs, with CPUs enough."""
    asked = plan.sweep.resources
    decided = asked.model_copy(
        update={kind: asked.of(kind).on(cluster_has_gpus=True) for kind in KINDS}
    )
    capacity = Capacity(cpu=CPUS_ENOUGH, gpu=gpus)
    run: Simulation = best_simulation(plan.missing, plan.done, capacity, decided, pricing.seconds)
    return Forecast(
        gpus=gpus,
        jobs=tuple(SimulatedJob(j.start / 3600, j.end / 3600, j.trials) for j in run.jobs),
        hours=run.makespan / 3600,
        busy=run.busy,
        bound_hours=run.lower_bound / 3600,
        over_bound=run.over_bound,
    )


def bill_as_json(bill: Bill, forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """For scripts; jobs name their trials by fingerprint."""
    return asdict(bill) | {
        "saved": bill.saved,
        "forecasts": list(map(_forecast_as_json, forecasts)),
    }


def _forecast_as_json(forecast: Forecast) -> dict[str, Any]:
    jobs = [
        {
            "start": job.start,
            "end": job.end,
            "trials": [trial.fingerprint for trial in job.trials],
        }
        for job in forecast.jobs
    ]
    figures = {f.name: getattr(forecast, f.name) for f in fields(forecast)}
    return figures | {"jobs": jobs}
