"""One run: what Tune asks and tells, answered from the scheduler and the store.

Tune's calls only take down what it tells: what follows from it is done in `tick`, and done again where the
store refuses for a moment. `Guard` keeps errors out of Tune's loop.
"""

import shlex
import sys
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.cluster.cluster import Cluster
from orchestrator.cluster.interruption import stopping_in_order, tell_all_is_done
from orchestrator.driver.claims import Claims
from orchestrator.driver.deadline import LONGEST_TO_SAVE_S, Deadline
from orchestrator.driver.guard import Guard
from orchestrator.driver.handed_out import HandedOut
from orchestrator.driver.lookout import Lookout
from orchestrator.driver.meter import RunState
from orchestrator.driver.newcomers import Newcomers
from orchestrator.driver.outcomes import Outcomes, position_in
from orchestrator.driver.overdue import Watch
from orchestrator.driver.scratch import scratch
from orchestrator.driver.view import View
from orchestrator.driver.waiting import Waiting
from orchestrator.language.resources import AllResources
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Job, Scheduler
from orchestrator.planning.simulation import best_simulation
from orchestrator.store.provenance import TOP, trainer_digest
from orchestrator.store.store import Store
from orchestrator.worker.job import JobConfig, JobReport, RunJob

SEE_EVERY_S = 0.5
"""So often signs of life are read, for a person and for the driver alike."""

LOOK_EVERY_S = 1.0
"""So often the driver acts on them, and looks at the nodes."""

REMOTE_EVERY_S = 10.0
"""An object store is asked less often: every look is billed."""

SETTLE_AGAIN_S = 0.5


@dataclass(frozen=True)
class Summary:
    """How a run ended: numbers of trials."""

    finished: int
    failed: int
    blocked: int
    missing: int
    """Neither done nor failed: the run was stopped before."""

    @property
    def is_all_done(self) -> bool:
        return not (self.failed or self.blocked or self.missing)


class SweepRun:
    """One run: the scheduler, the store and the view, tied to Tune's calls as its `Director`.

    The view raises nothing (`orchestrator.driver.view.unbroken`).
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        data_folder: str,
        resources: AllResources,
        cluster: Cluster,
        view: View,
        deadline: Deadline,
        run_job: RunJob,
        newcomers: Newcomers | None = None,
    ) -> None:
        sweep = plan.sweep
        self._plan = plan
        self._store = store
        self._data_folder = data_folder
        self._cluster = cluster
        self._view = view
        self._note = view.note
        self._deadline = deadline
        self._run_job = run_job
        self._newcomers = newcomers
        self._waiting = Waiting(cluster.most, self._note)
        capacity = cluster.capacity()
        simulated = best_simulation(plan.missing, plan.done, capacity, resources)
        self._scheduler = Scheduler(
            plan.missing,
            plan.done,
            capacity,
            resources,
            lambda trial: position_in(store, trial),
            part={fp: number for number, group in enumerate(simulated.groups) for fp in group},
            order=simulated.order,
        )
        limit = sweep.time_limit_minutes
        watch = Watch(60 * sweep.heartbeat_minutes, limit and 60 * limit)
        self._claims = Claims(store, sweep.name)
        self._outcomes = Outcomes(store, self._scheduler, self._claims, self._note)
        self._lookout = Lookout(
            cluster, self._scheduler, self._claims, self._outcomes, watch, newcomers, self._note
        )
        self._guard = Guard(self.stop, self._note)
        self._handed_out = HandedOut()
        self._ended: deque[tuple[Job, JobReport | str]] = deque()
        """Jobs that Tune told the end of, with their report or Ray's account of their death."""
        self._misplaced: frozenset[str] = frozenset()
        """Jobs, by Tune's ids, that wait where they should not."""
        self._signs_at = self._looked_at = -REMOTE_EVERY_S
        self._state = RunState(self._scheduler, {}, self._outcomes.failed)

    @property
    def _run_id(self) -> str:
        return self._claims.run_id

    def fit(self) -> None:
        """Run everything."""
        self._tell_of_other_runs()
        with stopping_in_order(self._stop_by_signal):
            try:
                if not (self.is_over or self.must_leave):
                    self._tune()
                    self._settle_all()
                    self._guard.raise_kept()
            finally:
                for job in self._handed_out.take_all():
                    self._claims.release(job)
                self._claims.end()
                self._tidy()
            if self.summary().is_all_done:
                tell_all_is_done()

    def _tune(self) -> None:
        from orchestrator.driver.searcher import tuner_of

        with scratch(self._cluster.folder.path) as folder:
            tuner_of(self, self._run_job, name=self._run_id, folder=folder).fit()

    def _tidy(self) -> None:
        """A courtesy: whoever comes next may do it as well."""
        with suppress(OSError):
            self._store.tidy()

    def _tell_of_other_runs(self) -> None:
        with suppress(OSError):
            doubtful = self._store.signs.doubtful_runs()
            for other in self._claims.other_runs():
                works = "may work" if other.run_id in doubtful else "works"
                self._note(
                    f"another run {works} on this store: {other.sweep} on {other.host} (process "
                    f"{other.process.pid}, since {other.started_at}); what it has in hand is left to it"
                )
        self._tidy()
        with self._guard:
            self._claims.show()

    # What Tune asks

    @property
    def is_over(self) -> bool:
        # What Tune told last may wait to be settled; that is no reason for Tune to wait for it.
        is_left = self._scheduler.stopping and self.must_leave
        return self._scheduler.is_over or is_left

    @property
    def must_leave(self) -> bool:
        is_late = time.monotonic() >= self._deadline.leave_at
        return is_late or (self._scheduler.stopping and self._handed_out.nothing_works)

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        with self._guard:
            job = self._scheduler.next_job(time.monotonic())
            if job is not None:
                return self._handed(trial_id, job)
        return None

    def _handed(self, trial_id: str, job: Job) -> dict[str, Any] | None:
        """A job's configuration; None where another driver has claimed some of it since the last look."""
        try:
            if taken := self._claims.taken(job):
                self._scheduler.held = frozenset(self._scheduler.held) | taken
                self._scheduler.take_back(job)
                return None
            has_place = not job.avoid or self._lookout.has_place(job)
            placed = job if has_place else replace(job, avoid=frozenset())
            closed = self._lookout.closed
            config = self._config(placed, closed)
            self._claims.claim(placed)
        except Exception:
            self._scheduler.take_back(job)
            raise
        self._handed_out.add(trial_id, placed, closed)
        return config

    def _config(self, job: Job, closed: frozenset[str]) -> dict[str, Any]:
        sweep = self._plan.sweep
        return JobConfig(
            run_id=self._run_id,
            job_id=uuid.uuid4().hex[:16],
            store=self._store.address,
            data_folder=self._data_folder,
            trials=tuple(trial.model_dump_json() for trial in job.trials),
            cpu=job.resources.cpu,
            gpu=job.resources.gpu or 0.0,
            bundle=job.resources.bundle,
            avoid=tuple(sorted(job.avoid | closed)),
            execution=sweep.execution,
            checkpoint_every_s=60 * sweep.checkpoint_every_minutes,
            checkpoint_every_epochs=sweep.checkpoint_every_epochs,
            command=shlex.join(sys.argv),
            code=str(TOP),
            trainer_sha256=trainer_digest(),
            asked=tuple(sorted(self._newcomers.fit)) if self._newcomers else (),
            question=self._newcomers.question if self._newcomers else None,
        ).as_config()

    @property
    def misplaced(self) -> frozenset[str]:
        return self._misplaced

    # What Tune tells

    def on_withdrawn(self, trial_id: str) -> None:
        """It is handed out again, wherever there is a place now."""
        if job := self._handed_out.take(trial_id):
            self._scheduler.take_back(job)
            with self._guard:
                self._claims.release(job)

    def on_start(self, trial_id: str) -> None:
        self._handed_out.started(trial_id)

    def on_report(self, trial_id: str, report: JobReport) -> None:
        self._on_end(trial_id, report)

    def on_death(self, trial_id: str, account: str) -> None:
        self._on_end(trial_id, account)

    def _on_end(self, trial_id: str, told: JobReport | str) -> None:
        if job := self._handed_out.take(trial_id):
            self._ended.append((job, told))

    # What follows from it

    def tick(self) -> None:
        with self._guard:
            now = time.monotonic()
            if now >= self._deadline.stop_at and not self._scheduler.stopping:
                self._note("the deadline is near: what runs is saved, nothing more is started")
                self.stop()
            self._settle()
            self._see(now)

    def _settle(self) -> None:
        """Draw the consequences of every end that Tune told of; where the store refuses, again next time."""
        while self._ended:
            job, told = self._ended.popleft()
            try:
                if not isinstance(told, JobReport):
                    self._outcomes.died(job, told)
                elif told.lacks:
                    self._give_back(job, told)
                else:
                    self._outcomes.reported(job, told)
            except OSError:
                self._ended.appendleft((job, told))
                raise

    def _give_back(self, job: Job, report: JobReport) -> None:
        """Its worker's node lacks something, so it has not begun: it is handed out again, elsewhere."""
        if self._newcomers:
            self._newcomers.refused(report.node, report.lacks)
        self._claims.release(job)
        self._scheduler.take_back(job)

    def _settle_all(self) -> None:
        """Tune's loop is over; what it told last must not be lost, unless it is too late or a bug."""
        while self._ended and time.monotonic() < self._deadline.leave_at:
            with self._guard:
                self._settle()
            self._guard.raise_kept()
            if self._ended:
                time.sleep(SETTLE_AGAIN_S)

    def _see(self, now: float) -> None:
        """Read the signs of life once, for whoever wants them."""
        is_remote = self._store.is_remote
        if now - self._signs_at < (REMOTE_EVERY_S if is_remote else SEE_EVERY_S):
            return
        self._signs_at = now
        self._state = replace(self._state, signs=self._store.signs.running())
        self._view.tick(self._state)
        if now - self._looked_at >= (REMOTE_EVERY_S if is_remote else LOOK_EVERY_S):
            self._looked_at = now
            self._lookout.look(self._state.signs, self._handed_out)
            self._guard.relieve()
            self._misplaced = self._lookout.misplaced(self._handed_out)
            self._end_what_is_in_vain()

    def _end_what_is_in_vain(self) -> None:
        """Where nothing works and nothing will, the run is stopped."""
        if self._scheduler.stopping:
            return
        waiting = self._handed_out.waiting().values() if self._handed_out.nothing_works else ()
        has_place = any(map(self._lookout.has_place, waiting))
        if self._newcomers and waiting and self._newcomers.is_hopeless:
            self._note("stopping: one node after the other has come, and each lacked something")
            self.stop()
        elif self._waiting.is_in_vain(waiting, has_place=has_place):
            self._note("stopping: it was waited long enough")
            self.stop()

    def stop(self) -> None:
        """Start nothing more, and ask what runs to save and leave.

        On a full disk nobody can be asked; then what runs has a while for a checkpoint of its own.
        """
        self._scheduler.stopping = True
        try:
            self._store.stops.set(self._run_id)
        except OSError as error:
            self._note(f"the workers cannot be asked to save: {error}")
            soon = time.monotonic() + LONGEST_TO_SAVE_S
            self._deadline = replace(self._deadline, leave_at=min(self._deadline.leave_at, soon))

    def _stop_by_signal(self) -> None:
        # First what counts: while it is told, another signal may break in.
        self.stop()
        self._note("stopping: what runs is saved; once more to leave at once")

    @property
    def state(self) -> RunState:
        """How far the run is, as last seen."""
        return self._state

    def summary(self) -> Summary:
        scheduler, plan = self._scheduler, self._plan
        after = replace(
            plan,
            done=plan.done | scheduler.finished,
            failed={**plan.failed, **self._outcomes.failed},
        )
        return Summary(
            finished=len(scheduler.finished),
            failed=len(after.failed),
            blocked=len(after.blocked),
            missing=len(after.missing),
        )
