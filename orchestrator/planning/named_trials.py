"""Trials that a user names by the beginning of their fingerprint: finished ones, and those of kept sweeps."""

import re

from orchestrator.planning.kept_sweeps import kept_plans
from orchestrator.store.store import Store, stored_trial
from trainer.problems import UserError
from trainer.trial import Trial

_BEGINNING = re.compile(r"[0-9a-f]{6,64}")


def trial_named(store: Store, beginning: str) -> Trial:
    """The one trial of a store whose fingerprint begins so.

    Raises:
        UserError: it is no fingerprint's beginning, or of no trial, or of several; or its row is damaged.
    """
    if not _BEGINNING.fullmatch(beginning):
        raise UserError(
            f"{beginning}: neither a sweep nor a trial; expected a sweep file, or a fingerprint's first 6 letters "
            "or more (0-9, a-f)"
        )
    finished = {fp for fp in store.finished() if fp.startswith(beginning)}
    planned = {
        trial.fingerprint: trial
        for _, plan in kept_plans(store)
        for trial in (plan.trials if plan else ())
        if trial.fingerprint.startswith(beginning)
    }
    found = sorted(finished.union(planned))
    if not found:
        raise UserError(f"{beginning}: no trial of {store.address} begins so")
    if len(found) > 1:
        some = ", ".join(fp[: len(beginning) + 6] for fp in found[:3])
        raise UserError(f"{beginning}: {len(found)} trials of {store.address} begin so: {some}")
    (fingerprint,) = found
    if fingerprint in planned:
        return planned[fingerprint]
    (row,) = store.results([fingerprint]).to_pylist()
    return stored_trial(row)
