"""The sweeps that a store keeps, planned anew: how far each is, and what was planned together."""

import json
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store.store import Store
from trainer.problems import UserError


def kept_plans(store: Store) -> Iterator[tuple[str, Plan | None]]:
    """Every version of every sweep by its name in the store; None where it cannot be expanded here any more."""
    for name, content in sorted(store.sweeps().items()):
        try:
            sweep = Sweep.model_validate(json.loads(content))
            yield name, make_plan(sweep, store, retry_failed=False)
        except (ValidationError, ValueError, UserError, OSError):
            yield name, None


def together(plans: Iterable[Plan | None]) -> tuple[frozenset[str], ...]:
    """The fingerprints of each sweep's trials, of those that could be expanded."""
    return tuple(frozenset(trial.fingerprint for trial in plan.trials) for plan in plans if plan)


def planned_together(store: Store) -> tuple[frozenset[str], ...]:
    """The same of all sweeps that a store keeps."""
    return together(plan for _, plan in kept_plans(store))
