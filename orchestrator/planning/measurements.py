"""What the jobs of a store tell of the devices that they ran on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.planning.costs import group_cost
from orchestrator.planning.devices import CPU_CORE, Device
from orchestrator.planning.prices import FLOPS, Pricing, Roofline, Throughput
from orchestrator.store.store import Store, stored_trial
from trainer.problems import UserError
from trainer.trial import Trial

DeviceKind = Literal["GPU", "CPU"]

ASSUMED_GPU = Throughput(10.0, "an assumption")
"""Of one GPU in fp32 without tensor cores, where no job has run on one and none is named."""


@dataclass(frozen=True)
class MeasuredJob:
    """A whole job: its trials, the device as torch names it, and the seconds of one device it took."""

    trials: tuple[Trial, ...]
    device: str
    seconds: float

    @property
    def kind(self) -> DeviceKind:
        return "CPU" if CPU_CORE.is_called(self.device) else "GPU"


def measured_jobs(store: Store) -> list[MeasuredJob]:
    """The finished jobs of a store of which every trial is known, ended at the first attempt."""
    columns = ("trial", "job_id", "group_size", "num_attempts", "device", "device_seconds")
    jobs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in store.results(columns=columns).to_pylist():
        if row["job_id"] and row["device_seconds"] and row["device"]:
            jobs[row["job_id"]].append(row)
    whole = (
        rows
        for rows in jobs.values()
        if all(r["group_size"] == len(rows) and r["num_attempts"] == 1 for r in rows)
    )
    return [
        MeasuredJob(trials, rows[0]["device"], sum(row["device_seconds"] for row in rows))
        for rows in whole
        if (trials := _trials_of(rows))
    ]


def _trials_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Trial, ...]:
    """None of a job of which this kdsweep cannot read every trial."""
    try:
        return tuple(stored_trial(row) for row in rows)
    except UserError:
        return ()


def pricing(
    jobs: Sequence[MeasuredJob], kind: DeviceKind = "GPU", device: Device | None = None
) -> Pricing:
    """The price of a device by its jobs, else by what is assumed of it.

    Without a name it is the throughput of all jobs on its kind of device: a CPU says nothing about a GPU.
    """
    if device is not None:
        return _roofline([job for job in jobs if device.is_called(job.device)], device)
    assumed: Pricing = ASSUMED_GPU if kind == "GPU" else Roofline(CPU_CORE)
    return _throughput([job for job in jobs if job.kind == kind]) or assumed


def _throughput(jobs: Sequence[MeasuredJob]) -> Throughput | None:
    cost = sum(group_cost(job.trials) for job in jobs)
    if not cost:
        return None
    seconds = sum(job.seconds for job in jobs)
    return Throughput(FLOPS * cost / seconds / 1e12, f"measured on {_told(jobs)}")


def _roofline(jobs: Sequence[MeasuredJob], device: Device) -> Roofline:
    assumed = Roofline(device)
    expected = sum(group_cost(job.trials, assumed.seconds) for job in jobs)
    if not expected:
        return assumed
    return Roofline(device, sum(job.seconds for job in jobs) / expected, _told(jobs))


def _told(jobs: Sequence[MeasuredJob]) -> str:
    devices = ", ".join(sorted({job.device for job in jobs}))
    return f"{sum(len(job.trials) for job in jobs)} trials of this store, on {devices}"
