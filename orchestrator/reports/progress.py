"""How far the sweeps are that a store was filled by."""

import json
from dataclasses import dataclass

from pydantic import ValidationError

from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store.store import Store, sweep_name
from trainer.problems import UserError


@dataclass(frozen=True)
class SweepProgress:
    """Counts of one sweep's trials; None where this kdsweep cannot expand it any more."""

    name: str
    total: int | None
    done: int | None
    failed: int | None


def progress_of(store: Store) -> list[SweepProgress]:
    """Every sweep that was run into a store, by name."""
    progress = []
    for name, content in sorted(store.sweeps().items()):
        try:
            sweep = Sweep.model_validate(json.loads(content))
            plan = make_plan(sweep, store, retry_failed=False)
        except (ValidationError, ValueError, UserError):
            progress.append(SweepProgress(sweep_name(name), None, None, None))
            continue
        progress.append(progress_of_plan(plan))
    return progress


def progress_of_plan(plan: Plan) -> SweepProgress:
    """Of one sweep against its store."""
    return SweepProgress(plan.sweep.name, len(plan.trials), len(plan.done), len(plan.failed))
