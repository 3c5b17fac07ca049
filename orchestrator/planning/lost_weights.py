"""What has a result, but must run again, because its weights are gone and something needs them.

    plan = with_lost_weights(make_plan(sweep, store, retry_failed=False), store)

A student is distilled by its teacher's weights, and T. stddev of a student's pick needs the student's. Whoever
has removed such weights (`kdsweep prune STORE student-weights`, another disk) has not removed the result; so
without this a dependent would fail in every run.
"""

from dataclasses import replace

from orchestrator.planning.plan import Plan
from orchestrator.store.store import Store
from trainer.problems import PlacedError


def with_lost_weights(plan: Plan, store: Store) -> Plan:
    """The same plan, in which what lost its weights is missing, as far as what is missing needs it."""
    missing = {trial.fingerprint for trial in plan.missing}
    lost: set[str] = set()
    # Dependents stand behind what they depend on, which may have lost its weights as well.
    for trial in reversed(plan.trials):
        if trial.fingerprint in missing | lost:
            needed = plan.done.intersection(trial.depends_on) - lost
            lost.update(fp for fp in needed if not _has_weights(store, fp))
    return replace(plan, done=plan.done - lost, lost=frozenset(lost))


def _has_weights(store: Store, fingerprint: str) -> bool:
    """What lies behind a link is not looked at here: who wants to read it will tell."""
    try:
        return store.has_weights(fingerprint)
    except PlacedError:
        return True
