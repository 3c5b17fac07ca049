"""What is written of a trial by workers and by the driver alike; without torch, which the driver never needs."""

import os
import socket
import time
from datetime import UTC, datetime
from typing import Any

from orchestrator.store.failures import Failure
from orchestrator.store.store import Running
from trainer.trial import Trial, steps_per_epoch

DEAD_AFTER_S = 60.0


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


def sign_of_life(
    trial: Trial,
    run_id: str,
    *,
    device: str = "",
    epoch: int = 1,
    step: int | None = None,
    loss: float | None = None,
    node: str = "",
    lives_for_s: float = DEAD_AFTER_S,
) -> Running:
    """A sign of this process, of now; without a step, only a claim."""
    return Running(
        fingerprint=trial.fingerprint,
        owner=run_id,
        host=socket.gethostname(),
        device=device,
        epoch=epoch,
        epochs=trial.epochs,
        step=step,
        steps_per_epoch=steps_per_epoch(trial),
        loss=loss,
        expires_at=time.time() + lives_for_s,
        pid=os.getpid(),
        node=node,
    )
