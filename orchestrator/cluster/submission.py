"""What a submitted run and whoever submitted it have between them: the job's id, and marks in the store."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from orchestrator.store.store import Store

SUBMITTED = "KDSWEEP_SUBMITTED"
"""The environment variable that holds the job's id where kdsweep runs as a submitted job."""


def own_job_id() -> str | None:
    """The id of the job that this process is; None where nobody submitted it."""
    return os.environ.get(SUBMITTED) or None


@contextmanager
def watched(store: Store) -> Iterator[Callable[[], None]]:
    """Lets whoever submitted this run see in the store that it checks and, once the yielded is called, that it trains.

    The marks are a courtesy: a store that takes none ends no run. A run that is killed leaves them behind.
    """
    job_id = own_job_id()
    if job_id is None:
        yield lambda: None
        return
    marks = (_checking(job_id), job_id)

    def mark(name: str) -> None:
        with suppress(OSError):
            store.begun.set(name)

    mark(_checking(job_id))
    try:
        yield lambda: mark(job_id)
    finally:
        with suppress(OSError):
            for name in marks:
                store.begun.clear(name)
            store.begun.tidy()


def has_begun(store: Store, job_id: str) -> bool:
    """Whether a job trains, as far as its store can be seen from here."""
    return _is_set(store, job_id)


def is_seen(store: Store, job_id: str) -> bool:
    """Whether anything of a job can be seen in its store from here: then more will be."""
    return _is_set(store, _checking(job_id)) or _is_set(store, job_id)


def _checking(job_id: str) -> str:
    return f"{job_id}.checking"


def _is_set(store: Store, name: str) -> bool:
    try:
        return store.begun.is_set(name)
    except OSError:
        return False
