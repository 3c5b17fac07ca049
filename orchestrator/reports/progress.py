"""How far the sweeps are that a store was filled by."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.planning.plan import Plan
from orchestrator.planning.remarks import remarks
from orchestrator.store.store import sweep_name


@dataclass(frozen=True)
class SweepProgress:
    """Counts of one sweep's trials, None where this kdsweep cannot expand it any more; and what it says of itself."""

    name: str
    total: int | None
    done: int | None
    failed: int | None
    remarks: tuple[str, ...] = ()


def progress_of(plans: Iterable[tuple[str, Plan | None]]) -> list[SweepProgress]:
    """Of every sweep that was run into a store (`kept_plans`), by name."""
    return [
        progress_of_plan(plan) if plan else SweepProgress(sweep_name(name), None, None, None)
        for name, plan in plans
    ]


def progress_of_plan(plan: Plan) -> SweepProgress:
    """Of one sweep against its store."""
    counts = (len(plan.trials), len(plan.done), len(plan.failed))
    return SweepProgress(plan.sweep.name, *counts, remarks(plan.sweep))
