"""How far a run is: measured from the scheduler and the signs of life in the store."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.planning.costs import solo_cost
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Job, Scheduler
from orchestrator.planning.words import describe
from orchestrator.store.failures import Failure
from orchestrator.store.signs import Running
from trainer.trial import Trial


@dataclass(frozen=True)
class RunState:
    """What a run knows of itself: its scheduler, the living signs of its store, what failed for good and why."""

    scheduler: Scheduler
    signs: Mapping[str, Running]
    failed: Mapping[str, Failure]


@dataclass(frozen=True)
class Snapshot:
    """How far a run is. `share` and `eta_s` count work (multiply-adds), not trials."""

    trials: int
    finished: int
    failed: int
    share: float
    elapsed_s: float
    eta_s: float | None
    jobs: tuple[tuple[Job, Running | None], ...]


@dataclass
class Meter:
    """Measures a run's progress."""

    started_at: float = field(default_factory=time.monotonic)
    _costs: dict[str, float] = field(default_factory=dict)
    _trials: dict[str, Trial] = field(default_factory=dict)
    _told_failures: set[str] = field(default_factory=set)

    def begin(self, plan: Plan) -> None:
        self.started_at = time.monotonic()
        self._trials = {trial.fingerprint: trial for trial in plan.missing}
        self._costs = {fp: solo_cost(trial) for fp, trial in self._trials.items()}

    def new_failures(self, state: RunState) -> list[str]:
        """What failed since this was last asked, each with its reason."""
        new = sorted(state.failed.keys() - self._told_failures)
        self._told_failures.update(new)
        return [f"failed: {describe([self._trials[fp]])}: {state.failed[fp]}" for fp in new]

    def snapshot(self, state: RunState) -> Snapshot:
        scheduler = state.scheduler
        working = {fp: sign for fp, sign in state.signs.items() if sign.has_started}
        jobs = []
        done = sum(self._costs[fp] for fp in scheduler.finished)
        for job in scheduler.running:
            signs = [working[t.fingerprint] for t in job.trials if t.fingerprint in working]
            jobs.append((job, signs[0] if signs else None))
            done += sum(self._costs[sign.fingerprint] * sign.share for sign in signs)
        share = done / (sum(self._costs.values()) or 1.0)
        elapsed = time.monotonic() - self.started_at
        return Snapshot(
            trials=len(self._costs),
            finished=len(scheduler.finished),
            failed=len(scheduler.failed),
            share=share,
            elapsed_s=elapsed,
            eta_s=elapsed * (1 - share) / share if share > 0.05 else None,
            jobs=tuple(jobs),
        )
