"""One run: what Tune asks and tells, answered from the scheduler and the store.

Nothing here may raise into Tune's loop: an error of our own is kept, the run stopped in order, and then it is
raised.
"""

import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.cluster.connection import capacity_of, living_nodes
from orchestrator.driver import retries
from orchestrator.driver.claims import Claims
from orchestrator.driver.deadline import LONGEST_TO_SAVE_S, Deadline
from orchestrator.driver.overdue import Overdue, Watch
from orchestrator.driver.retries import Attempt
from orchestrator.driver.view import View
from orchestrator.language.resources import AllResources
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Again, Job, Scheduler
from orchestrator.planning.simulation import best_simulation
from orchestrator.store.failures import Cause, Failure, of_death
from orchestrator.store.records import failure_row
from orchestrator.store.store import Store
from orchestrator.worker.job import JobConfig, JobReport, RunJob
from trainer.positions import newest_position
from trainer.problems import UserError
from trainer.trial import Trial

LOOK_EVERY_S = 1.0
"""So often the driver looks into the store, and at the nodes."""

REMOTE_LOOK_EVERY_S = 10.0

UNREADABLE_S = 600.0
"""So long a store may refuse to be read before the run is stopped."""

CLAIM_AGAIN_EVERY_S = 40.0
"""Claims of jobs that wait for their place are renewed, long before they expire."""


@dataclass(frozen=True)
class Summary:
    """How a run ended: numbers of trials."""

    finished: int
    failed: int
    blocked: int
    missing: int
    """Neither done nor failed: the run was stopped before."""


class SweepRun:
    """One run: the scheduler, the store and the view, tied to Tune's calls as its `Director`."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        data_folder: Path,
        resources: AllResources,
        ray: Any,
        view: View,
        deadline: Deadline,
        run_job: RunJob,
    ) -> None:
        sweep = plan.sweep
        self._plan = plan
        self._store = store
        self._data_folder = data_folder
        self._ray = ray
        self._view = view
        self._deadline = deadline
        self._run_job = run_job
        self._claims = Claims(store, sweep.name)
        self._run_id = self._claims.run_id
        self._broken: BaseException | None = None
        self._jobs: dict[str, Job] = {}
        """By Tune's id, all that were handed out and have not ended."""
        self._pending: set[int] = set()
        """Numbers of jobs that wait for their place."""
        self._attempts: dict[str, list[Attempt]] = {}
        self._killed: dict[int, Failure] = {}
        self._looked_at = -REMOTE_LOOK_EVERY_S
        self._look_every_s = REMOTE_LOOK_EVERY_S if store.is_remote else LOOK_EVERY_S
        self._unreadable_since: float | None = None
        self._claimed_at = time.monotonic()
        self._must_replace = False
        limit = sweep.time_limit_minutes
        self._watch = Watch(60 * sweep.heartbeat_minutes, limit and 60 * limit)
        capacity = capacity_of(ray)
        simulated = best_simulation(plan.missing, plan.done, capacity, resources)
        self.scheduler = Scheduler(
            plan.missing,
            plan.done,
            capacity,
            resources,
            self._position,
            part={fp: number for number, group in enumerate(simulated.groups) for fp in group},
            order=simulated.order,
        )

    def _position(self, trial: Trial) -> object:
        """Nowhere, where that cannot be read: the worker looks again, and groups by what it finds."""
        try:
            return newest_position(self._store.checkpoint_folder(trial.fingerprint))
        except (OSError, UserError):
            return None

    def fit(self) -> None:
        """Run everything. Tune runs more than once only where nodes were lost that a job waited for."""
        self._tell_of_other_runs()
        with self._signals():
            try:
                while not (self.scheduler.is_over or self.must_leave):
                    self._fit_once()
                    if self._broken is not None:
                        raise self._broken
                    self._take_back()
            finally:
                for job in self._jobs.values():
                    self._claims.release(job)
                self._claims.end()
                self._store.tidy()

    def _fit_once(self) -> None:
        from ray import tune

        from orchestrator.driver.searcher import (
            DagSearcher,
            Leaving,
            Reports,
            job_trainable,
            resources_of,
        )

        with tempfile.TemporaryDirectory(prefix="kdsweep-tune-") as folder:
            tuner = tune.Tuner(
                tune.with_resources(job_trainable(self._run_job), resources_of),
                tune_config=tune.TuneConfig(search_alg=DagSearcher(self), num_samples=-1),
                run_config=tune.RunConfig(
                    name=self._run_id,
                    storage_path=folder,
                    verbose=0,
                    callbacks=[Reports(self)],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    stop=Leaving(self),
                ),
            )
            tuner.fit()

    def _take_back(self) -> None:
        """Jobs that Tune let go of unfinished are handed out again, wherever there is a place now."""
        for job in self._jobs.values():
            self._claims.release(job)
            self.scheduler.take_back(job)
        self._jobs.clear()
        self._pending.clear()
        self._must_replace = False
        self.scheduler.capacity = capacity_of(self._ray)
        self._store.clear_stop(self._run_id)

    def _tell_of_other_runs(self) -> None:
        for other in self._claims.other_runs():
            self._view.note(
                f"another run works on this store: {other.sweep} on {other.host} (process "
                f"{other.pid}, since {other.started_at}); what it has in hand is left to it"
            )
        self._store.tidy()
        self._claims.show()

    # What Tune asks and tells

    @property
    def is_over(self) -> bool:
        return self.scheduler.is_over

    @property
    def must_leave(self) -> bool:
        nothing_works = len(self._pending) == len(self._jobs)
        is_late = time.monotonic() >= self._deadline.leave_at
        return is_late or ((self._must_replace or self.scheduler.stopping) and nothing_works)

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        if self._must_replace:
            return None
        try:
            job = self.scheduler.next_job(time.monotonic())
            if job is None or self._is_taken(job):
                return None
            if job.avoid and not self._has_place(job):
                job = replace(job, avoid=frozenset())
            self._jobs[trial_id] = job
            self._pending.add(job.number)
            return self._config(job)
        except Exception as error:  # noqa: BLE001
            self._break(error)
            if trial_id in self._jobs:
                self._drop(self._forget(trial_id))
            return None

    def _is_taken(self, job: Job) -> bool:
        """Give a job back of which another driver has claimed something since the last look."""
        if taken := self._claims.taken(job):
            self.scheduler.held = frozenset(self.scheduler.held) | taken
            self.scheduler.take_back(job)
        return bool(taken)

    def _drop(self, job: Job) -> None:
        """Nothing more is expected of a job."""
        if job.number in {running.number for running in self.scheduler.running}:
            self.scheduler.end(job)

    def _config(self, job: Job) -> dict[str, Any]:
        self._claims.claim(job)
        sweep = self._plan.sweep
        return JobConfig(
            run_id=self._run_id,
            store=self._store.address,
            data_folder=str(self._data_folder),
            trials=tuple(trial.model_dump(mode="json") for trial in job.trials),
            cpu=job.resources.cpu,
            gpu=job.resources.gpu or 0.0,
            bundle=job.resources.bundle,
            avoid=tuple(sorted(job.avoid)),
            checkpoint_every_s=60 * sweep.checkpoint_every_minutes,
            checkpoint_every_epochs=sweep.checkpoint_every_epochs,
            command=shlex.join(sys.argv),
        ).as_config()

    def _has_place(self, job: Job) -> bool:
        """Whether any node that the job does not avoid is large enough for it."""
        nodes = living_nodes(self._ray)
        return any(node.name not in job.avoid and node.holds(job.resources) for node in nodes)

    def on_start(self, trial_id: str) -> None:
        if trial_id in self._jobs:
            self._pending.discard(self._jobs[trial_id].number)

    def on_report(self, trial_id: str, report: dict[str, Any]) -> None:
        if trial_id not in self._jobs:
            return
        job = self._forget(trial_id)
        try:
            said = JobReport.of(report)
            self._claims.release(job)
            failures = {
                f.fingerprint: Failure(Cause(f.cause), f.error, f.place, f.trace)
                for f in said.failed
            }
            for entry in said.failed:
                if not entry.recorded:
                    self._record(job, entry.fingerprint, failures[entry.fingerprint])
            self._end(job, set(said.finished), failures, said.node)
        except Exception as error:  # noqa: BLE001
            self._break(error)
            self._drop(job)

    def on_death(self, trial_id: str, text: str) -> None:
        if trial_id not in self._jobs:
            return
        job = self._forget(trial_id)
        try:
            failure = self._killed.pop(job.number, None) or of_death(text)
            done = self._store.finished()
            left = [t.fingerprint for t in job.trials if t.fingerprint not in done]
            signs = [self._store.last_sign(fp) for fp in left]
            node = next((sign.node for sign in signs if sign and sign.node), "")
            for fingerprint in left:
                self._record(job, fingerprint, failure)
            self._claims.release(job)
            finished = {t.fingerprint for t in job.trials}.difference(left)
            self._end(job, finished, dict.fromkeys(left, failure), node)
        except Exception as error:  # noqa: BLE001
            self._break(error)
            self._drop(job)

    def _forget(self, trial_id: str) -> Job:
        job = self._jobs.pop(trial_id)
        self._pending.discard(job.number)
        return job

    def _record(self, job: Job, fingerprint: str, failure: Failure) -> None:
        trial = next(t for t in job.trials if t.fingerprint == fingerprint)
        try:
            self._store.add_failure(failure_row(trial, failure))
        except OSError as error:
            self._view.note(f"{fingerprint[:12]} failed ({failure.error}), not recorded: {error}")

    def _end(
        self, job: Job, finished: set[str], failures: Mapping[str, Failure], node: str
    ) -> None:
        """Tell the scheduler what became of a job's trials, and which are tried again."""
        now = time.monotonic()
        again: dict[str, Again] = {}
        failed: set[str] = set()
        for trial in job.trials:
            fingerprint = trial.fingerprint
            if fingerprint in failures:
                failure = failures[fingerprint]
                attempts = self._attempts.setdefault(fingerprint, [])
                position = self._position(trial)
                attempts.append(Attempt(failure.cause, failure.place, position, node))
                retry = retries.after(attempts)
                if retry is None:
                    failed.add(fingerprint)
                else:
                    again[fingerprint] = Again(now + retry.delay_s, retry.avoid, retry.alone)
            elif fingerprint not in finished and not self.scheduler.stopping:
                alone = self.scheduler.is_suspect(fingerprint)
                elsewhere = frozenset({node} - {""})
                again[fingerprint] = Again(now + retries.FIRST_DELAY_S, elsewhere, alone)
        self.scheduler.end(job, finished, failed, again)

    def tick(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._deadline.stop_at and not self.scheduler.stopping:
                self._view.note("the deadline is near: what runs is saved, nothing more is started")
                self.stop()
            self._view.tick(self.scheduler, self._store)
            if now - self._looked_at >= self._look_every_s:
                self._looked_at = now
                self._look(now)
                self._unreadable_since = None
        except OSError as error:
            self._bear(error, now)
        except Exception as error:  # noqa: BLE001
            self._break(error)

    def _bear(self, error: OSError, now: float) -> None:
        """A store that cannot be read for a while ends no run: its workers go on."""
        if self._unreadable_since is None:
            self._unreadable_since = now
            self._view.note(f"the store cannot be read: {error}; trying again")
        elif now - self._unreadable_since > UNREADABLE_S:
            self._break(error)

    def _look(self, now: float) -> None:
        """Look at the store: other drivers, jobs that hang; and at the nodes."""
        self._claims.show()
        signs = self._store.running()
        self.scheduler.held, done = self._claims.others(signs)
        self.scheduler.finish_elsewhere(done)
        own = self._claims.own(signs)
        for overdue in self._watch.overdue(self.scheduler.running, own, now):
            self._kill(overdue)
        self.scheduler.capacity = capacity_of(self._ray)
        waiting = [job for job in self._jobs.values() if job.number in self._pending]
        if now - self._claimed_at >= CLAIM_AGAIN_EVERY_S:
            self._claimed_at = now
            for job in waiting:
                self._claims.claim(job)
        homeless = any(job.avoid and not self._has_place(job) for job in waiting)
        if homeless and not self._must_replace:
            self._must_replace = True
            self._store.ask_to_stop(self._run_id)

    def _kill(self, overdue: Overdue) -> None:
        from orchestrator.driver.reaper import kill_worker

        self._view.note(f"{overdue.job.trials[0].fingerprint[:12]}: {overdue.failure.error}")
        stack = kill_worker(self._ray, overdue.sign)
        failure = overdue.failure
        self._killed[overdue.job.number] = Failure(failure.cause, failure.error, trace=stack)

    def _break(self, error: BaseException) -> None:
        """An error of our own: stop in order, then raise it."""
        self._broken = self._broken or error
        self.stop()

    def stop(self) -> None:
        """Start nothing more, and ask what runs to save and leave.

        On a full disk nobody can be asked; then what runs has a while for a checkpoint of its own.
        """
        self.scheduler.stopping = True
        try:
            self._store.ask_to_stop(self._run_id)
        except OSError as error:
            self._view.note(f"the workers cannot be asked to save: {error}")
            soon = time.monotonic() + LONGEST_TO_SAVE_S
            self._deadline = replace(self._deadline, leave_at=min(self._deadline.leave_at, soon))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM stops in order, the second at once."""
        num_heard = 0

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            nonlocal num_heard
            num_heard += 1
            if num_heard > 1:
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
