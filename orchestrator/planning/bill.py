"""What a sweep will cost: operations, device-hours, and the makespan on a number of GPUs."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from orchestrator.language.resources import KINDS
from orchestrator.planning.costs import group_cost, solo_cost
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Capacity
from orchestrator.planning.simulation import (
    SimulatedJob,
    Simulation,
    best_simulation,
    longest_chain,
    shared_cost,
)
from orchestrator.store.store import Store, stored_trial
from trainer.problems import UserError
from trainer.trial import Trial

FLOPS = 2
"""Floating-point operations of a multiply-add."""

CPUS_ENOUGH = 1e6

ASSUMED_TFLOPS = 10.0
"""Of one GPU in fp32 without tensor cores, where the store has nothing to measure by: an assumption."""


@dataclass(frozen=True)
class Throughput:
    """TFLOP/s of one GPU (of one job, on a machine without), and where the figure comes from."""

    tflops: float
    source: str

    @property
    def multiply_adds(self) -> float:
        """Per second."""
        return self.tflops * 1e12 / FLOPS


@dataclass(frozen=True)
class Bill:
    """What is missing of a sweep, in peta floating-point operations and hours of one GPU."""

    pflop: float
    pflop_alone: float
    gpu_hours: float
    longest_chain_hours: float
    throughput: Throughput

    @property
    def saved(self) -> float:
        """Share of the work that lockstep saves, 0 to 1."""
        return 1 - self.pflop / self.pflop_alone if self.pflop_alone else 0.0


def measured_throughput(store: Store) -> Throughput | None:
    """From the finished trials of a store that tell their device's time; None where there are none."""
    jobs: dict[tuple[Any, ...], list[tuple[Trial, float]]] = defaultdict(list)
    devices: set[str] = set()
    for row in store.results().to_pylist():
        if row["device_seconds"]:
            try:
                trial = stored_trial(row)
            except UserError:
                continue
            key = (row["host"], row["started_at"], row["kind"], row["teacher_fingerprint"])
            jobs[key].append((trial, row["device_seconds"]))
            devices.add(row["device"] or "an unknown device")
    cost = sum(group_cost([trial for trial, _ in job]) for job in jobs.values())
    seconds = sum(spent for job in jobs.values() for _, spent in job)
    if not cost or not seconds:
        return None
    trials = sum(map(len, jobs.values()))
    source = f"measured on {trials} trials of this store, on {', '.join(sorted(devices))}"
    return Throughput(FLOPS * cost / seconds / 1e12, source)


def throughput_of(store: Store, given: float | None) -> Throughput:
    """As given, else as measured, else as assumed."""
    if given is not None:
        return Throughput(given, "as given")
    return measured_throughput(store) or Throughput(ASSUMED_TFLOPS, "an assumption")


def bill_of(plan: Plan, throughput: Throughput) -> Bill:
    """The bill of what a plan is missing."""
    missing = plan.missing
    shared = shared_cost(missing)
    return Bill(
        pflop=FLOPS * shared / 1e15,
        pflop_alone=FLOPS * sum(map(solo_cost, missing)) / 1e15,
        gpu_hours=shared / throughput.multiply_adds / 3600,
        longest_chain_hours=longest_chain(missing) / throughput.multiply_adds / 3600,
        throughput=throughput,
    )


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


def forecast(plan: Plan, gpus: int, throughput: Throughput) -> Forecast:
    """Simulate what a plan is missing on `gpus` GPUs, with CPUs enough."""
    asked = plan.sweep.resources
    decided = asked.model_copy(
        update={kind: asked.of(kind).on(cluster_has_gpus=True) for kind in KINDS}
    )
    capacity = Capacity(cpu=CPUS_ENOUGH, gpu=gpus)
    run: Simulation = best_simulation(plan.missing, plan.done, capacity, decided)
    per_hour = 3600 * throughput.multiply_adds
    return Forecast(
        gpus=gpus,
        jobs=tuple(SimulatedJob(j.start / per_hour, j.end / per_hour, j.trials) for j in run.jobs),
        hours=run.makespan / per_hour,
        busy=run.busy,
        bound_hours=run.lower_bound / per_hour,
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
