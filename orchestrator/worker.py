"""What runs on a worker: one job, from its trials as JSON to rows in the store.

This is the only place where the orchestrator calls the trainer. Ray gives the process its GPUs; torch is
imported only after the process has been shown exactly those. Everything that is finished or failed is in
the store before the job reports, so a retry of the job, a later run and a resume are one code path.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.store import Store
from trainer.trial import TRIAL, Trial


@dataclass(frozen=True)
class JobConfig:
    """A job as it travels to its worker: plain JSON-like values."""

    run_id: str
    store: str
    data_folder: str
    trials: tuple[dict[str, Any], ...]
    cpu: int
    gpu: float
    checkpoint_every_s: float

    def as_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class JobReport:
    """How a job ended. What is neither finished nor failed was stopped and can go on later."""

    finished: tuple[str, ...]
    failed: tuple[str, ...]


def run_job(config: dict[str, Any]) -> dict[str, Any]:
    """Run one job; the function that Ray Tune calls.

    Returns:
        A `JobReport` as a dictionary, which Tune takes as the job's last report.
    """
    job = JobConfig(**config)
    see_only_given_gpus()
    store = Store(job.store)
    trials = [TRIAL.validate_python(trial) for trial in job.trials]
    done = store.finished()
    before = tuple(t.fingerprint for t in trials if t.fingerprint in done)
    todo = [t for t in trials if t.fingerprint not in done]
    report = _run(job, store, todo) if todo else JobReport((), ())
    return asdict(JobReport(before + report.finished, report.failed))


def see_only_given_gpus() -> None:
    """Hide every GPU that Ray did not give to this process: by default a CPU job sees them all."""
    import ray

    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(given)


def _run(job: JobConfig, store: Store, trials: list[Trial]) -> JobReport:
    from orchestrator.keeper import StoreKeeper
    from trainer.datasets.dataset import load_dataset
    from trainer.device import device_name, prepare_device
    from trainer.lockstep import run_group

    data_folder = Path(job.data_folder)
    device = prepare_device(job.cpu, use_gpu=job.gpu > 0)
    keeper = StoreKeeper(
        store,
        job.run_id,
        device=device_name(device),
        num_threads=job.cpu,
        group_size=len(trials),
        checkpoint_every_s=job.checkpoint_every_s,
    )
    try:
        keeper.begin(trials, data_folder)
        dataset = load_dataset(trials[0].data, data_folder)
        outcome = run_group(trials, keeper, dataset, device)
    except Exception as error:  # noqa: BLE001
        done = store.finished()
        left = [t for t in trials if t.fingerprint not in done]
        for trial in left:
            keeper.fail(trial, error)
        finished = tuple(t.fingerprint for t in trials if t.fingerprint in done)
        return JobReport(finished, tuple(t.fingerprint for t in left))
    finally:
        keeper.leave(trials)
    return JobReport(outcome.finished, outcome.failed)
