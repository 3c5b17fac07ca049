"""How far the sweeps are that a store was filled by."""

from dataclasses import dataclass

from orchestrator.planning.kept_sweeps import kept_plans
from orchestrator.planning.plan import Plan
from orchestrator.store.store import Store, sweep_name


@dataclass(frozen=True)
class SweepProgress:
    """Counts of one sweep's trials; None where this kdsweep cannot expand it any more."""

    name: str
    total: int | None
    done: int | None
    failed: int | None


def progress_of(store: Store) -> list[SweepProgress]:
    """Every sweep that was run into a store, by name."""
    return [
        progress_of_plan(plan) if plan else SweepProgress(sweep_name(name), None, None, None)
        for name, plan in kept_plans(store)
    ]


def progress_of_plan(plan: Plan) -> SweepProgress:
    """Of one sweep against its store."""
    return SweepProgress(plan.sweep.name, len(plan.trials), len(plan.done), len(plan.failed))
