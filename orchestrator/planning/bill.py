"""What a sweep will cost: operations, device-hours, and the makespan on a number of GPUs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

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

DeviceKind = Literal["GPU", "CPU"]

ASSUMED_TFLOPS: Mapping[DeviceKind, float] = {"GPU": 10.0, "CPU": 0.05}
"""Of one GPU in fp32 without tensor cores, and of one CPU, where the store has nothing to measure by."""


@dataclass(frozen=True)
class Throughput:
    """TFLOP/s of one GPU or one CPU, and where the figure comes from."""

    tflops: float
    source: str

    @property
    def multiply_adds(self) -> float:
        """Per second."""
        return self.tflops * 1e12 / FLOPS


@dataclass(frozen=True)
class OnCpus:
    """What the same costs on a machine without a GPU: hours of so many CPUs, at best."""

    cpus: int
    hours: float
    throughput: Throughput


@dataclass(frozen=True)
class Bill:
    """What is missing of a sweep, in peta floating-point operations and hours of one GPU."""

    pflop: float
    pflop_alone: float
    gpu_hours: float
    longest_chain_hours: float
    throughput: Throughput
    on_cpus: "OnCpus | None" = None

    @property
    def saved(self) -> float:
        """Share of the work that lockstep saves, 0 to 1."""
        return 1 - self.pflop / self.pflop_alone if self.pflop_alone else 0.0


def measured_throughputs(store: Store) -> dict[DeviceKind, Throughput]:
    """From the finished trials of a store, by the kind of device: a CPU says nothing about a GPU.

    Only whole jobs count. What no job has run on is not there.
    """
    columns = ("trial", "job_id", "group_size", "num_attempts", "device", "device_seconds")
    jobs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in store.results(columns=columns).to_pylist():
        if row["job_id"] and row["device_seconds"] and row["device"]:
            jobs[row["job_id"]].append(row)
    by_kind: dict[DeviceKind, list[list[Mapping[str, Any]]]] = defaultdict(list)
    for rows in jobs.values():
        if all(r["group_size"] == len(rows) and r["num_attempts"] == 1 for r in rows):
            by_kind["CPU" if rows[0]["device"] == "cpu" else "GPU"].append(rows)
    measured = {kind: _measured(of_kind) for kind, of_kind in by_kind.items()}
    return {kind: throughput for kind, throughput in measured.items() if throughput is not None}


def _measured(jobs: Sequence[Sequence[Mapping[str, Any]]]) -> Throughput | None:
    known = [(trials, rows) for rows in jobs if (trials := _trials_of(rows))]
    cost = sum(group_cost(trials) for trials, _ in known)
    if not cost:
        return None
    all_rows = [row for _, rows in known for row in rows]
    seconds = sum(row["device_seconds"] for row in all_rows)
    devices = ", ".join(sorted({row["device"] for row in all_rows}))
    source = f"measured on {len(all_rows)} trials of this store, on {devices}"
    return Throughput(FLOPS * cost / seconds / 1e12, source)


def _trials_of(rows: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """None of a job of which this kdsweep cannot read every trial."""
    try:
        return [stored_trial(row) for row in rows]
    except UserError:
        return []


def throughput_of(
    measured: Mapping[DeviceKind, Throughput], given: float | None, kind: DeviceKind = "GPU"
) -> Throughput:
    """As given, else as measured on devices of this kind, else as assumed."""
    if given is not None:
        return Throughput(given, "as given")
    return measured.get(kind) or Throughput(ASSUMED_TFLOPS[kind], "an assumption")


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


def with_cpus(bill: Bill, cpus: int, throughput: Throughput) -> Bill:
    """The bill with what it comes to on `cpus` CPUs, whose throughput is of one."""
    flop = bill.pflop * 1e15
    shared = flop / (throughput.tflops * 1e12 * cpus)
    chain = bill.longest_chain_hours * bill.throughput.tflops / throughput.tflops
    return replace(bill, on_cpus=OnCpus(cpus, max(shared / 3600, chain), throughput))


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
