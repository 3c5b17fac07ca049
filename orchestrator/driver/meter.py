"""How far a run is: measured from the scheduler and the signs of life in the store."""

import time
from contextlib import suppress
from dataclasses import dataclass, field

from orchestrator.planning.costs import solo_cost
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Job, Scheduler
from orchestrator.planning.words import describe
from orchestrator.store.store import Running, Store
from trainer.problems import UserError
from trainer.trial import Trial


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
    """Measures a run's progress from the scheduler and the signs of life in the store."""

    started_at: float = field(default_factory=time.monotonic)
    _costs: dict[str, float] = field(default_factory=dict)
    _trials: dict[str, Trial] = field(default_factory=dict)
    _told_failures: set[str] = field(default_factory=set)

    def begin(self, plan: Plan) -> None:
        self.started_at = time.monotonic()
        self._trials = {trial.fingerprint: trial for trial in plan.missing}
        self._costs = {fp: solo_cost(trial) for fp, trial in self._trials.items()}

    def new_failures(self, scheduler: Scheduler, store: Store) -> list[str]:
        """What failed since this was last asked, each with its reason."""
        new = scheduler.failed - self._told_failures
        if not new:
            return []
        self._told_failures |= new
        reasons: dict[str, str] = {}
        with suppress(OSError, UserError):
            reasons = {row["fingerprint"]: row["error"] for row in store.failures().to_pylist()}
        return [
            f"failed: {describe([self._trials[fp]])}: {reasons.get(fp, '')}" for fp in sorted(new)
        ]

    def snapshot(self, scheduler: Scheduler, store: Store) -> Snapshot:
        signs = store.running() if scheduler.running else {}
        alive = {fp: sign for fp, sign in signs.items() if sign.step is not None}
        jobs = []
        done = sum(self._costs[fp] for fp in scheduler.finished)
        for job in scheduler.running:
            entries = [alive[t.fingerprint] for t in job.trials if t.fingerprint in alive]
            jobs.append((job, entries[0] if entries else None))
            done += sum(self._costs[e.fingerprint] * e.share for e in entries)
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
