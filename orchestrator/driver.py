"""The driver: runs what a sweep is missing through Ray Tune.

Tune places jobs, retries those whose worker died, and reports. What is done and where to go on is decided by
the store alone, so Tune's experiment is thrown away. One run carries the whole DAG.
"""

import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.plan import Plan
from orchestrator.preparation import prepare
from orchestrator.scheduling import Capacity, Job, Scheduler
from orchestrator.settings import AllResources
from orchestrator.store import Store
from orchestrator.view import View
from trainer.problems import UserError

MACHINE_RETRIES = 2
"""How often a job is tried again whose worker died."""

OBJECT_STORE_BYTES = 200 * 2**20

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "300",
    "TUNE_MAX_PENDING_TRIALS_PG": "256",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class LocalCluster:
    """What the Ray of this machine may use; None: all that is there."""

    cpus: int | None = None
    gpus: int | None = None


@dataclass(frozen=True)
class Summary:
    """How a run ended: numbers of trials."""

    finished: int
    failed: int
    blocked: int
    missing: int
    """Neither done nor failed: the run was stopped before."""


def run_plan(
    plan: Plan, store: Store, data_folder: Path, cluster: LocalCluster, view: View
) -> Summary:
    """Run all that a plan is missing. Blocks until everything ended, or was stopped by SIGINT or SIGTERM.

    Raises:
        UserError: data or published checkpoints are missing or wrong, or a job asks for more than any node
            has; nothing was started.
    """
    prepare(plan.missing, data_folder)
    with _ray(cluster) as ray:
        resources = _decided(plan, ray)
        store.save_sweep(plan.sweep.name, plan.sweep.model_dump(mode="json"))
        run = _Run(plan, store, data_folder, resources, _capacity(ray), view)
        view.begin(plan, logs=_log_folder(ray))
        try:
            run.fit()
        finally:
            view.end()
    return run.summary()


@contextmanager
def _ray(cluster: LocalCluster) -> Iterator[Any]:
    """A Ray of our own on this machine, silent; its logs stay in its session folder."""
    os.environ.update({k: os.environ.get(k, v) for k, v in QUIET.items()})
    import ray

    ray.init(
        address="local",
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}},
    )
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


def _log_folder(ray: Any) -> str:
    node = ray._private.worker._global_node  # noqa: SLF001
    return str(node.get_logs_dir_path())


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _capacity(ray: Any) -> Capacity:
    nodes = _nodes(ray)
    return Capacity(
        cpu=sum(node.get("CPU", 0) for node in nodes),
        gpu=sum(node.get("GPU", 0) for node in nodes),
    )


def _decided(plan: Plan, ray: Any) -> AllResources:
    """The resources of each kind, checked: a request that no node can meet would hang for ever."""
    nodes = _nodes(ray)
    has_gpus = any(node.get("GPU", 0) for node in nodes)
    asked = plan.sweep.resources
    kinds = {trial.kind for trial in plan.missing}
    decided = {}
    for kind in AllResources.model_fields:
        wanted = asked.of(kind).on(has_gpus)  # type: ignore[arg-type]
        decided[kind] = wanted
        fits = any(
            node.get("CPU", 0) >= wanted.cpu and node.get("GPU", 0) >= (wanted.gpu or 0)
            for node in nodes
        )
        if kind in kinds and not fits:
            there = "; ".join(f"{n.get('CPU', 0):g} CPU, {n.get('GPU', 0):g} GPU" for n in nodes)
            raise UserError(
                f"resources.{kind}: no node has {wanted.cpu} CPU and {wanted.gpu:g} GPU; "
                f"the cluster's nodes have: {there}"
            )
    return AllResources(**decided)


class _Run:
    """One run: the scheduler, the store and the view, tied to Tune's calls."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        data_folder: Path,
        resources: AllResources,
        capacity: Capacity,
        view: View,
    ) -> None:
        from trainer.checkpoint import CheckpointFolder

        self._plan = plan
        self._store = store
        self._data_folder = data_folder
        self._view = view
        self._run_id = uuid.uuid4().hex
        self._broken: BaseException | None = None
        self.scheduler = Scheduler(
            plan.missing,
            plan.done,
            capacity,
            resources,
            lambda trial: CheckpointFolder(store.checkpoint_folder(trial.fingerprint)).position(),
        )

    def fit(self) -> None:
        from ray import tune

        from orchestrator.searcher import DagSearcher, Ticks, resources_of
        from orchestrator.worker import run_job

        searcher = DagSearcher(self.scheduler, self._config, self._on_end)
        with tempfile.TemporaryDirectory(prefix="kdsweep-tune-") as folder, self._signals():
            tuner = tune.Tuner(
                tune.with_resources(run_job, resources_of),
                tune_config=tune.TuneConfig(
                    search_alg=searcher, num_samples=len(self._plan.missing)
                ),
                run_config=tune.RunConfig(
                    name=self._run_id,
                    storage_path=folder,
                    verbose=0,
                    callbacks=[Ticks(self._tick)],
                    failure_config=tune.FailureConfig(max_failures=MACHINE_RETRIES),
                ),
            )
            try:
                tuner.fit()
            finally:
                self._store.clear_stop(self._run_id)
        if self._broken is not None:
            raise self._broken

    def _config(self, job: Job) -> dict[str, Any]:
        from orchestrator.worker import JobConfig

        return JobConfig(
            run_id=self._run_id,
            store=str(self._store.root),
            data_folder=str(self._data_folder),
            trials=tuple(trial.model_dump(mode="json") for trial in job.trials),
            cpu=job.resources.cpu,
            gpu=job.resources.gpu or 0.0,
            checkpoint_every_s=60 * self._plan.sweep.checkpoint_every_minutes,
        ).as_config()

    def _on_end(self, job: Job, report: dict[str, Any] | None) -> None:
        """Tell the scheduler how a job ended. Nothing may be raised into Tune's loop."""
        finished: set[str] = set()
        failed: set[str] = set()
        try:
            if report is None:
                finished, failed = self._after_death(job)
            else:
                finished, failed = set(report["finished"]), set(report["failed"])
        except Exception as error:  # noqa: BLE001
            self._break(error)
        self.scheduler.end(job, finished, failed)

    def _after_death(self, job: Job) -> tuple[set[str], set[str]]:
        """What a job left behind whose worker died once too often."""
        from orchestrator.keeper import failure_row

        done = self._store.finished()
        left = [trial for trial in job.trials if trial.fingerprint not in done]
        for trial in left:
            error = f"the worker died {MACHINE_RETRIES + 1} times"
            self._store.add_failure(failure_row(trial, error, "", by_machine=True))
        failed = {trial.fingerprint for trial in left}
        return {t.fingerprint for t in job.trials} - failed, failed

    def _tick(self) -> None:
        try:
            self._view.tick(self.scheduler, self._store)
        except Exception as error:  # noqa: BLE001
            self._break(error)

    def _break(self, error: BaseException) -> None:
        """An error of our own: stop in order, then raise it."""
        self._broken = self._broken or error
        self.stop()

    def stop(self) -> None:
        """Start nothing more, and ask what runs to save and leave."""
        self.scheduler.stopping = True
        self._store.ask_to_stop(self._run_id)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM stops in order, the second at once."""

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            if self.scheduler.stopping:
                raise KeyboardInterrupt
            self._view.note("stopping: what runs is saved; once more to leave at once")
            self.stop()

        before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def summary(self) -> Summary:
        done = self.scheduler.finished
        failed = self.scheduler.failed
        after = Plan(
            self._plan.sweep,
            self._plan.trials,
            self._plan.done | done,
            {**self._plan.failed, **dict.fromkeys(failed, "")},
        )
        return Summary(
            finished=len(done),
            failed=len(after.failed),
            blocked=len(after.blocked),
            missing=len(after.missing),
        )
