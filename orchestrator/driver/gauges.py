"""What a run tells Prometheus, through the metrics that Ray serves on each node anyway; only where it is asked to.

Ray puts its own name before these: `ray_kdsweep_trials{sweep="mine",state="running"} 3`. Of GPUs, their memory and
CPUs Ray has gauges of its own. docs/watching.md tells how to scrape them.
"""

import time
from collections.abc import Callable
from typing import Any

from orchestrator.driver.meter import Meter, RunState
from orchestrator.driver.throughput import Throughput
from orchestrator.driver.view import View
from orchestrator.planning.plan import Plan
from orchestrator.store.signs import Running
from trainer.trial import Trial

STATES = ("finished", "failed", "running", "waiting")

Tell = Callable[[str, float, dict[str, str]], None]
"""Sets a gauge: its name, value and labels."""


class Gauges:
    """A view that shows nothing by itself: it hands everything on, and tells numbers beside."""

    def __init__(self, view: View, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._tell = tell
        self._clock = clock
        self._meter = Meter()
        self._throughput = Throughput()
        self._trials: dict[str, Trial] = {}
        self._sweep = ""

    def begin(self, plan: Plan, logs: str) -> None:
        self._meter.begin(plan)
        self._trials = {trial.fingerprint: trial for trial in plan.missing}
        self._sweep = plan.sweep.name
        self._view.begin(plan, logs)

    def note(self, text: str) -> None:
        self._view.note(text)

    def tick(self, state: RunState) -> None:
        self._view.tick(state)
        self._set(state)

    def end(self, state: RunState) -> None:
        self._view.end(state)
        self._set(state)

    def _set(self, state: RunState) -> None:
        snapshot = self._meter.snapshot(state)
        running = sum(len(job.trials) for job, _ in snapshot.jobs)
        done = snapshot.finished + snapshot.failed
        counts = (snapshot.finished, snapshot.failed, running, snapshot.trials - done - running)
        for name, count in zip(STATES, counts, strict=True):
            self._tell("kdsweep_trials", count, {"sweep": self._sweep, "state": name})
        working = (state.signs.get(t.fingerprint) for job, _ in snapshot.jobs for t in job.trials)
        images = {sign.fingerprint: self._images(sign) for sign in working if sign}
        rate = self._throughput.see(self._clock(), images)
        for name, value in (("work_share", snapshot.share), ("images_per_second", rate)):
            self._tell(f"kdsweep_{name}", value, {"sweep": self._sweep})

    def _images(self, sign: Running) -> float:
        """Past which it is, over all epochs."""
        batch = self._trials[sign.fingerprint].batch_size
        return sign.share * sign.epochs * sign.steps_per_epoch * batch


DESCRIPTIONS = {
    "kdsweep_trials": "Trials of the run, by state.",
    "kdsweep_work_share": "How much of the run's work is done, 0 to 1, by operations.",
    "kdsweep_images_per_second": "Images that all trials train with.",
}


def through_ray() -> Tell:
    """Gauges of the Ray that this process is connected to by the time that one is first set."""
    gauges: dict[str, Any] = {}

    def tell(name: str, value: float, labels: dict[str, str]) -> None:
        # Ray is imported where it is connected, and no earlier.
        from ray.util.metrics import Gauge

        if name not in gauges:
            gauges[name] = Gauge(name, DESCRIPTIONS[name], tuple(labels))
        gauges[name].set(value, labels)

    return tell
