"""What one job costs the driver when it knows 1,000 trials, and when it knows 10,000.

Real Ray, a real store, the real scheduler and claims; only the trainer is a stand-in that writes a row for each
trial at once. The first several hundred jobs of each sweep run, then it is stopped in order. CPU seconds are the
driver's own, all its threads, from the first job that ended on: machines differ, the ratio should not.
Run: python benchmarks/driver_scale.py
"""

import argparse
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.cluster.connection import LocalCluster
from orchestrator.driver.meter import RunState
from orchestrator.driver.run import run_plan
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store.records import identity_columns
from orchestrator.store.store import Store
from orchestrator.worker.job import JobConfig, JobReport
from trainer.trial import TRIAL, Trial


def row(trial: Trial) -> dict[str, Any]:
    finished = {"trial": trial.model_dump_json(), "finished_at": datetime.now(UTC)}
    return identity_columns(trial) | finished


def stand_in(job: JobConfig) -> JobReport:
    """Finishes every trial of its job at once."""
    store = Store(job.store)
    trials = [TRIAL.validate_json(trial) for trial in job.trials]
    for trial in trials:
        store.add_result(row(trial), [])
    return JobReport(tuple(trial.fingerprint for trial in trials))


@dataclass
class Stopwatch:
    """A view that measures, and asks for a stop after so many jobs."""

    jobs: int
    cpu: list[float] = field(default_factory=list)
    """The driver's CPU seconds when each further job had ended."""
    trials_ended: int = 0

    def begin(self, plan: Plan, logs: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def tick(self, state: RunState) -> None:
        if len(state.scheduler.finished) > self.trials_ended:
            self.trials_ended = len(state.scheduler.finished)
            self.cpu.append(time.process_time())
            if len(self.cpu) == self.jobs:
                os.kill(os.getpid(), signal.SIGINT)

    def end(self, state: RunState) -> None:
        pass


def measure(num_trials: int, jobs: int, folder: Path) -> float:
    """CPU seconds of the driver per job, of a sweep of so many trials; each is a job of its own."""
    content = {
        "name": "scale",
        "dataset": "fashion_mini",
        "pairs": ["resnet20/resnet8"],
        "augmentations": ["identity"],
        "measure": ["s_test_loss"],
        "seeds": list(range(num_trials)),
        "resources": {kind: {"gpu": 0} for kind in ("teacher", "student", "stddev")},
    }
    store = Store(folder / str(num_trials))
    plan = make_plan(Sweep.model_validate(content), store, retry_failed=False)
    watch = Stopwatch(jobs)
    begun = time.perf_counter()
    run_plan(plan, store, str(folder), LocalCluster(cpus=2, gpus=0), watch, run_job=stand_in)
    per_job = (watch.cpu[-1] - watch.cpu[0]) / (len(watch.cpu) - 1)
    print(
        f"{len(plan.trials):>6,} trials known, {watch.trials_ended:,} ended in {len(watch.cpu)} jobs and "
        f"{time.perf_counter() - begun:.0f} s: {1000 * per_job:.1f} ms of the driver's CPU per job",
        flush=True,
    )
    return per_job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = (measure(count, options.jobs, Path(folder)) for count in (1_000, 10_000))
    print(f"knowing ten times as many trials costs {large / small:.2f} times as much")


if __name__ == "__main__":
    main()
