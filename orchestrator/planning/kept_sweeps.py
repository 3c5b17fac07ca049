"""The sweeps that a store keeps, planned anew: how far each is, and what was planned together."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from orchestrator.language.sweep import Sweep
from orchestrator.planning.guests import only_read
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store.store import Store
from trainer.problems import UserError
from trainer.trial import Trial


def kept_plans(store: Store) -> Iterator[tuple[str, Plan | None]]:
    """Every version of every sweep by its name in the store; None where it cannot be expanded here any more."""
    for name, content in sorted(store.sweeps().items()):
        try:
            sweep = Sweep.model_validate(json.loads(content))
            yield name, make_plan(sweep, store, retry_failed=False, guests=only_read)
        except (ValidationError, ValueError, UserError, OSError):
            yield name, None


class Together(NamedTuple):
    """Of several sweeps, in one order."""

    trials: tuple[frozenset[str], ...]
    """Fingerprints."""
    families: tuple[Mapping[str, tuple[str, ...]], ...]


def together(plans: Iterable[Plan | None]) -> Together:
    """What was planned in each sweep, of those that could be expanded."""
    return of_sweeps((plan.sweep, plan.trials) for plan in plans if plan)


def of_sweeps(sweeps: Iterable[tuple[Sweep, Sequence[Trial]]]) -> Together:
    """The same of sweeps and the trials that they expand to."""
    known = list(sweeps)
    return Together(
        tuple(frozenset(trial.fingerprint for trial in trials) for _, trials in known),
        tuple(sweep.families for sweep, _ in known),
    )


def planned_together(store: Store) -> Together:
    """The same of all sweeps that a store keeps."""
    return together(plan for _, plan in kept_plans(store))
