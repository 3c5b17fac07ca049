"""The state of every trial of a plan: done, running, missing, failed, or blocked by one that failed."""

from collections.abc import Mapping

from orchestrator.language.resources import KINDS
from orchestrator.planning.plan import Plan
from orchestrator.store.signs import Running

STATES = ("done", "running", "missing", "failed", "blocked")


def states(plan: Plan, running: Mapping[str, Running]) -> dict[str, str]:
    """The state of every trial, by fingerprint."""
    blocked = plan.blocked
    state_of = {}
    for trial in plan.trials:
        fingerprint = trial.fingerprint
        if fingerprint in plan.done:
            state_of[fingerprint] = "done"
        elif fingerprint in running and running[fingerprint].step is not None:
            state_of[fingerprint] = "running"
        elif fingerprint in plan.failed:
            state_of[fingerprint] = "failed"
        elif fingerprint in blocked:
            state_of[fingerprint] = "blocked"
        else:
            state_of[fingerprint] = "missing"
    return state_of


def counts_by_kind(plan: Plan, running: Mapping[str, Running]) -> dict[str, dict[str, int]]:
    """Number of trials by kind and state; of predictors of one's own only where there are any."""
    state = states(plan, running)
    kinds: dict[str, dict[str, int]] = {kind: dict.fromkeys(STATES, 0) for kind in KINDS}
    for trial in plan.trials:
        kinds.setdefault(trial.kind, dict.fromkeys(STATES, 0))[state[trial.fingerprint]] += 1
    return kinds
