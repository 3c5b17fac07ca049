"""The search algorithm that hands Ray Tune the jobs of a DAG, each when it is ready.

Tune asks `suggest` many times a second and is told a job's configuration, or None while nothing that is
ready fits. None is only safe while something runs (else Tune blocks), and the end is told once and for
all: the scheduler guarantees both.
"""

from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from orchestrator.scheduling import Job, Scheduler

EndOfJob = Callable[[Job, dict[str, Any] | None], None]
"""Told how a job ended: its report, or None where it died more often than is retried."""


class DagSearcher(Searcher):
    """Adapts a `Scheduler` to Tune."""

    def __init__(
        self, scheduler: Scheduler, to_config: Callable[[Job], dict[str, Any]], on_end: EndOfJob
    ) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._to_config = to_config
        self._on_end = on_end
        self._jobs: dict[str, Job] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher at the start, for a `restore` that we never use."""
        return {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        """A job's configuration, None for now, or `Searcher.FINISHED`."""
        job = self._scheduler.next_job()
        if job is not None:
            self._jobs[trial_id] = job
            return self._to_config(job)
        return Searcher.FINISHED if self._scheduler.is_over else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._on_end(self._jobs.pop(trial_id), None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what is done and where to go on is decided by the store."""
        open(checkpoint_path, "w").close()  # noqa: PTH123

    def restore(self, checkpoint_path: str) -> None:
        pass


class Ticks(tune.Callback):
    """Calls a function at every turn of Tune's loop, ten times a second or more."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick

    def __getstate__(self) -> dict[str, Any]:
        """As `DagSearcher`: pickled by Tune, and never needed again."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tick()


def resources_of(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune reserves for a job: its own CPUs and share of a GPU."""
    bundle = {"CPU": float(config["cpu"])}
    if config["gpu"]:
        bundle["GPU"] = float(config["gpu"])
    return tune.PlacementGroupFactory([bundle])
