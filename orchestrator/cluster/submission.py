"""What a submitted run and whoever submitted it have between them: the job's id, and a mark in the store."""

import os
from contextlib import suppress

from orchestrator.store.store import Store

SUBMITTED = "KDSWEEP_SUBMITTED"
"""The environment variable that holds the job's id where kdsweep runs as a submitted job."""


def own_job_id() -> str | None:
    """The id of the job that this process is; None where nobody submitted it."""
    return os.environ.get(SUBMITTED) or None


def tell_that_it_begins(store: Store) -> None:
    """All checks are passed: who waits for that sees it in the store."""
    if job_id := own_job_id():
        store.begun.set(job_id)


def tell_that_it_ended(store: Store) -> None:
    """Nobody waits for it any more."""
    if job_id := own_job_id():
        with suppress(OSError):
            store.begun.clear(job_id)


def has_begun(store: Store, job_id: str) -> bool:
    """Whether a job has told that it begins, as far as its store can be seen from here."""
    try:
        return store.begun.is_set(job_id)
    except OSError:
        return False
