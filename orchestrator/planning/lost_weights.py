"""What has a result, but must run again, because its weights are gone and something needs them.

    plan = with_lost_weights(make_plan(sweep, store, retry_failed=False), store)

A student is distilled by its teacher's weights, and T. stddev of a student's pick needs the student's. Whoever
has removed such weights (`kdsweep prune STORE student-weights`, another disk) has not removed the result; so
without this a dependent would fail in every run.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from orchestrator.planning.plan import Plan
from orchestrator.store.store import Store, WeightsUnknownError
from trainer.problems import PlacedError
from trainer.trial import Trial


def with_lost_weights(plan: Plan, store: Store) -> Plan:
    """The same plan, in which what lost its weights is missing, as far as what is missing needs it."""
    missing = {trial.fingerprint for trial in plan.missing}
    lost = needed_weights(plan.trials, missing, plan.done, store).lost
    return replace(plan, done=plan.done - lost, lost=lost)


def as_far_as_known(plan: Plan, store: Store) -> Plan:
    """The same for whoever only looks: where nothing is known of any weights, as of a copy without them, it says so."""
    try:
        return with_lost_weights(plan, store)
    except WeightsUnknownError as error:
        return replace(plan, ignored=(*plan.ignored, str(error)))


class Needed(NamedTuple):
    """Whose weights are needed, by fingerprint."""

    all: frozenset[str]
    lost: frozenset[str]
    """Those of them that are finished and have none: they run again, and need in their turn."""


def needed_weights(
    trials: Sequence[Trial], missing: Collection[str], done: Collection[str], store: Store
) -> Needed:
    """Whose weights are needed that `missing` may run. Of `trials`, each stands behind what it depends on."""
    needed: set[str] = set()
    lost: set[str] = set()
    for trial in reversed(trials):
        if trial.fingerprint in lost or trial.fingerprint in missing:
            added = set(trial.depends_on) - needed
            needed |= added
            lost.update(fp for fp in added if fp in done and not _has_weights(store, fp))
    return Needed(frozenset(needed), frozenset(lost))


def _has_weights(store: Store, fingerprint: str) -> bool:
    """What lies behind a link is not looked at here: who wants to read it will tell."""
    try:
        return store.has_weights(fingerprint)
    except PlacedError:
        return True
