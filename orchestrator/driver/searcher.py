"""The search algorithm that hands Ray Tune the jobs of a DAG, each when it is ready.

Tune asks `suggest` many times a second and is told a job's configuration, or None while nothing that is
ready fits. None is only safe while something runs (else Tune blocks), and the end is told once and for
all: the scheduler guarantees both.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from orchestrator.driver.actors import take_the_place_of_tunes
from orchestrator.worker.job import JobConfig, JobReport, RunJob
from orchestrator.worker.questions import not_installed

NODE_LABEL = "ray.io/node-id"
REPORT = "report"
LACKS = "lacks"
"""Under the first of these keys a job's last result holds its `JobReport`; under the second the node that could not
even load it, and the module that was missing there."""


class Director(Protocol):
    """Decides what runs, and hears how it went. None of this may raise into Tune's loop."""

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the job that starts now under Tune's `trial_id`; None: not now."""

    @property
    def is_over(self) -> bool:
        """Nothing runs and nothing more will."""

    @property
    def misplaced(self) -> Collection[str]:
        """By Tune's ids, jobs that wait where they should not."""

    def on_withdrawn(self, trial_id: str) -> None:
        """Tune has let go of a job that had not started."""

    def on_start(self, trial_id: str) -> None: ...

    def on_report(self, trial_id: str, report: JobReport) -> None: ...

    def on_death(self, trial_id: str, account: str) -> None:
        """The job ended without a report; `account` is Ray's of it."""

    def tick(self) -> None:
        """Called at every turn of Tune's loop."""

    @property
    def must_leave(self) -> bool:
        """Tune is to end at once."""


def job_trainable(run: RunJob) -> type[tune.Trainable]:
    """What Tune runs a job with. A class, not a function: its step runs in the main thread, where signals arrive.

    It travels by its code, with what is kdsweep's own packed within: where that cannot be imported, it still
    tells so, and where it is.
    """
    packed = cloudpickle.dumps((JobConfig, run))  # type: ignore[no-untyped-call]

    class JobTrainable(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self._config = config

        def step(self) -> dict[str, Any]:
            import ray

            try:
                job_config, run_job = cloudpickle.loads(packed)
            except ImportError as error:
                node = ray.get_runtime_context().get_node_id()
                return {LACKS: (node, error.name or str(error)), "done": True}
            return {REPORT: run_job(job_config(**self._config)), "done": True}

    return JobTrainable


def _report_in(result: dict[str, Any]) -> JobReport:
    if LACKS in result:
        node, module = result[LACKS]
        return JobReport(node=node, lacks=(not_installed(module),))
    report: JobReport = result[REPORT]
    return report


class DagSearcher(Searcher):
    """Lets Tune ask a `Director`."""

    def __init__(self, director: Director) -> None:
        super().__init__()
        self._director = director

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher at the start, for a `restore` that we never use."""
        return {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        """A job's configuration, None for now, or `Searcher.FINISHED`.

        While nothing runs, Tune only asks here, once a second, and does nothing else: so time goes on here too.
        """
        self._director.tick()
        config = self._director.next_config(trial_id)
        if config is not None:
            return config
        return Searcher.FINISHED if self._director.is_over else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if not error and result is not None:
            self._director.on_report(trial_id, _report_in(result))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what is done and where to go on is decided by the store."""
        open(checkpoint_path, "w").close()  # noqa: PTH123

    def restore(self, checkpoint_path: str) -> None:
        pass


class Reports(tune.Callback):
    """Tells a `Director` of the turns of Tune's loop, ten a second or more, and of deaths."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def __getstate__(self) -> dict[str, Any]:
        """As `DagSearcher`: pickled by Tune, and never needed again."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._director.tick()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._director.on_start(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        try:
            account = Path(trial.error_file).read_text()
        except (OSError, TypeError):
            account = ""
        self._director.on_death(trial.trial_id, account)


class Silence(TrialProgressCallback):
    """In the place of what prints, however quiet Tune is to be, that a job which was taken back is complete."""

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None: ...


class Withdrawing(FIFOScheduler):
    """Takes back from Tune what waits where it should not; nothing that runs is touched.

    What a job asks for is fixed once Tune has it: to go anywhere else it must be handed out anew.
    """

    def __init__(self, director: Director) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._director = director

    def __getstate__(self) -> dict[str, Any]:
        """As `DagSearcher`: pickled by Tune, and never needed again."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Tune's results ask for the folder of every trial, also of those that never started and have none."""
        trial.init_local_path()  # type: ignore[no-untyped-call]

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called at every turn of Tune's loop."""
        misplaced = self._director.misplaced
        for trial in list(tune_controller.get_live_trials()) if misplaced else ():
            if trial.trial_id in misplaced and trial.status == Trial.PENDING:
                tune_controller.stop_trial(trial)
                self._director.on_withdrawn(trial.trial_id)
        return super().choose_trial_to_run(tune_controller)


class Leaving(tune.Stopper):
    """Ends Tune's run when the `Director` says so."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def __getstate__(self) -> dict[str, Any]:
        """As `DagSearcher`: pickled by Tune, and never needed again."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._director.must_leave


def tuner_of(director: Director, run: RunJob, *, name: str, folder: Path) -> tune.Tuner:
    """Tune, as a run uses it; what it writes into `folder` is never needed again."""
    take_the_place_of_tunes()
    return tune.Tuner(
        tune.with_resources(job_trainable(run), placing()),
        tune_config=tune.TuneConfig(
            search_alg=DagSearcher(director), scheduler=Withdrawing(director), num_samples=-1
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(folder),
            verbose=0,
            callbacks=[Reports(director), Silence()],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            stop=Leaving(director),
        ),
    )


def placing() -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """What Tune reserves for a job: its own CPUs and share of a GPU, on a node it does not avoid.

    Made here, so that it travels to workers by its code, as `JobTrainable` does.
    """

    def resources_of(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        bundle = config["bundle"]
        if not config["avoid"]:
            return tune.PlacementGroupFactory([bundle])
        elsewhere = {NODE_LABEL: f"!in({','.join(config['avoid'])})"}
        return tune.PlacementGroupFactory([bundle], bundle_label_selector=[elsewhere])

    return resources_of
