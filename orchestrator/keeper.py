"""The worker's side of the store: keeps what the trainer hands over, and shows that it is alive."""

import socket
import time
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from orchestrator.provenance import provenance
from orchestrator.store import Running, Store
from trainer.checkpoint import Checkpoint, CheckpointFolder
from trainer.keeper import Command, Progress, Result, Row
from trainer.trial import Trial
from trainer.trial_log import TrialLog, repeat_command

SIGN_OF_LIFE_EVERY_S = 1.0
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


def failure_row(trial: Trial, error: str, trace: str, by_machine: bool) -> dict[str, Any]:
    """A row of `failures`, of now and here."""
    return {
        **identity_columns(trial),
        "by_machine": by_machine,
        "error": error,
        "traceback": trace,
        "host": socket.gethostname(),
        "at": datetime.now(UTC),
    }


class StoreKeeper:
    """Keeps the trials of one job in a store. One sign of life a second, one look at the stop flag."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        *,
        device: str,
        num_threads: int,
        group_size: int,
        checkpoint_every_s: float,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._columns: dict[str, Any] = {
            **provenance(),
            "device": device,
            "num_threads": num_threads,
            "group_size": group_size,
        }
        self._device = device
        self._checkpoint_every_s = checkpoint_every_s
        self._started_at = datetime.now(UTC)
        self._saved_at = time.monotonic()
        self._seen_at = -SIGN_OF_LIFE_EVERY_S

    def _log(self, trial: Trial) -> TrialLog:
        return TrialLog(self._store.trial_folder(trial.fingerprint))

    def begin(self, trials: Iterable[Trial], data_folder: Path) -> None:
        """Open the trials' logs, each with the command that repeats its trial."""
        columns = self._columns
        circumstances = ", ".join(f"{name} {value}" for name, value in columns.items())
        for trial in trials:
            log = self._log(trial)
            command = repeat_command(
                log.trial_file,
                self._store.checkpoints,
                data_folder,
                columns["num_threads"],
                "cpu" if self._device == "cpu" else "cuda",
            )
            log.begin(trial, command, circumstances)

    def _folder(self, fingerprint: str) -> CheckpointFolder:
        return CheckpointFolder(self._store.checkpoint_folder(fingerprint))

    def weights(self, fingerprint: str) -> dict[str, Tensor]:
        return self._folder(fingerprint).weights()

    def checkpoint(self, trial: Trial) -> Checkpoint | None:
        return self._folder(trial.fingerprint).latest()

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        self._folder(trial.fingerprint).save(checkpoint)
        self._saved_at = time.monotonic()

    def finish(self, trial: Trial, result: Result) -> None:
        """Final weights, then the curve, then the row; only then is the trial finished."""
        dependencies = trial.model_dump(
            include={"teacher_fingerprint", "student_fingerprint", "student_cell"}
        )
        folder = self._folder(trial.fingerprint)
        folder.keep(result.weights)
        finished_at = datetime.now(UTC)
        row: Mapping[str, Any] = {
            **identity_columns(trial),
            **dependencies,
            **result.metrics,
            **self._columns,
            "cell": trial.cell,
            "trial": trial.model_dump_json(),
            "started_at": self._started_at,
            "finished_at": finished_at,
            "wall_seconds": sum(point["seconds"] for point in result.curve),
            "num_teacher_passes": result.num_teacher_passes,
        }
        self._store.add_result(row, result.curve)
        self._log(trial).add("finished")
        folder.drop_checkpoints()
        self._store.clear_running(trial.fingerprint)

    def fail(self, trial: Trial, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        message = f"{type(error).__name__}: {error}"
        self._log(trial).add(trace)
        self._store.add_failure(failure_row(trial, message, trace, by_machine=False))
        self._store.clear_running(trial.fingerprint)

    def after_epoch(self, trial: Trial, row: Row) -> None:
        self._log(trial).add_row(row)

    def after_step(self, progress: Progress) -> Command:
        now = time.monotonic()
        if now - self._seen_at >= SIGN_OF_LIFE_EVERY_S:
            self._seen_at = now
            self._show(progress)
            if self._store.stop_is_asked(self._run_id):
                return Command.STOP
        due = now - self._saved_at >= self._checkpoint_every_s
        return Command.SAVE if due else Command.GO_ON

    def _show(self, progress: Progress) -> None:
        for trial in progress.trials:
            entry = Running(
                fingerprint=trial.fingerprint,
                owner=self._run_id,
                host=str(self._columns["host"]),
                device=self._device,
                epoch=progress.epoch,
                epochs=trial.epochs,
                step=progress.step,
                steps_per_epoch=progress.steps_per_epoch,
                loss=progress.loss,
                expires_at=time.time() + DEAD_AFTER_S,
            )
            self._store.set_running(entry)

    def leave(self, trials: Iterable[Trial]) -> None:
        """Nobody works on these trials any more."""
        for trial in trials:
            self._store.clear_running(trial.fingerprint)
