"""What workers and the driver alike write of a trial: whose row it is, and how an attempt at it failed."""

import socket
from datetime import UTC, datetime
from typing import Any

from orchestrator.store.failures import Failure
from trainer.trial import Trial


def identity_columns(trial: Trial) -> dict[str, Any]:
    """The columns that say which trial a row belongs to."""
    return {
        "fingerprint": trial.fingerprint,
        "kind": trial.kind,
        "dataset": trial.dataset,
        "teacher": trial.teacher,
        "student": trial.student,
        "augmentation": trial.augmentation,
        "seed": trial.seed,
    }


def failure_row(trial: Trial, failure: Failure) -> dict[str, Any]:
    """A row of `failures`, of now and here."""
    return {
        **identity_columns(trial),
        "by_machine": failure.cause.by_machine,
        "cause": failure.cause.value,
        "error": failure.error,
        "place": failure.place,
        "traceback": failure.trace,
        "host": socket.gethostname(),
        "at": datetime.now(UTC),
    }
