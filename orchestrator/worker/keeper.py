"""The worker's side of the store: keeps what the trainer hands over, and shows that it is alive."""

import functools
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from orchestrator.store.failures import Failure
from orchestrator.store.provenance import provenance
from orchestrator.store.records import failure_row, identity_columns
from orchestrator.store.signs import sign_of_life
from orchestrator.store.store import Store
from orchestrator.worker.attempts import Attempts, begin_attempt, end_attempts
from orchestrator.worker.causes import of_exception
from orchestrator.worker.job import FailedTrial
from orchestrator.worker.model_libraries import model_library_versions
from trainer.checkpoint import Checkpoint, CheckpointError, CheckpointFolder
from trainer.device import cudnn_version
from trainer.keeper import Command, Progress, Result, Row
from trainer.private_folder import NotOursError
from trainer.problems import UserError
from trainer.trial import Trial, computed_in, learns_eagerly
from trainer.trial_log import TrialLog, repeat_command

SIGN_OF_LIFE_EVERY_S = 1.0
REMOTE_SIGN_OF_LIFE_EVERY_S = 10.0
"""An object store is asked less often: every look and every sign is a request that is billed."""


@dataclass(frozen=True)
class Place:
    """Where a job runs, what it holds, and how operations reach the device.

    `share` is its GPUs or, without any, its CPUs.
    """

    device: str
    num_threads: int
    share: float
    node: str
    execution: str


@dataclass(frozen=True)
class Intervals:
    """When checkpoints are taken: whichever comes first."""

    seconds: float
    epochs: int | None


def record_failure(store: Store, trial: Trial, failure: Failure) -> FailedTrial:
    """Write down that an attempt failed, as far as the store takes it; nobody works on the trial any more."""
    try:
        store.add_failure(failure_row(trial, failure))
        is_recorded = True
    except (OSError, MemoryError):
        is_recorded = False
    clear_sign(store, trial)
    return FailedTrial(failure, is_recorded)


def clear_sign(store: Store, trial: Trial) -> None:
    """Nobody works on a trial any more; where the sign of it cannot be removed, it expires."""
    with suppress(OSError):
        store.signs.clear_running(trial.fingerprint)


class StoreKeeper:
    """Keeps the trials of one job in a store; now and then a sign of life and a look at the stop flag.

    Args:
        store: where everything goes.
        run_id: whose flag is looked at.
        job_id: the job, for the record.
        command: what the user typed, for the record.
        place: where this job runs.
        checkpoints: how often they are taken.
        must_leave: asked after every step; true: save and leave at once.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        job_id: str,
        *,
        command: str,
        place: Place,
        checkpoints: Intervals,
        must_leave: Callable[[], bool],
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._place = place
        self._intervals = checkpoints
        self._must_leave = must_leave
        self._written: dict[str, str] = {}
        """By fingerprint, each trial as its row will hold it."""
        self._attempts: dict[str, Attempts] = {}
        self.finished: list[str] = []
        """Fingerprints of those that have a row: whatever comes after it, they cannot fail any more."""
        self.failed: dict[str, FailedTrial] = {}
        """By fingerprint."""
        self._columns: dict[str, Any] = {
            **provenance(),
            "job_id": job_id,
            "cuda_version": torch.version.cuda,
            "cudnn_version": cudnn_version(),
            "execution": place.execution,
            "device": place.device,
            "num_threads": place.num_threads,
            "command": command,
        }
        self._saved_at = time.monotonic()
        self._seen_at = 0.0
        self._sign_every_s = (
            REMOTE_SIGN_OF_LIFE_EVERY_S if store.is_remote else SIGN_OF_LIFE_EVERY_S
        )

    def _log(self, trial: Trial) -> TrialLog:
        return TrialLog(self._store.trial_folder(trial.fingerprint))

    def begin(self, trials: Mapping[str, Trial], data_folder: Path) -> None:
        """Count an attempt at each trial, and open its log with the command that repeats it.

        `trials` are found by the JSON in which they came, and in which their rows will hold them.
        """
        columns = self._columns
        circumstances = ", ".join(f"{name} {value}" for name, value in columns.items())
        for written, trial in trials.items():
            self._written[trial.fingerprint] = written
            threads = columns["num_threads"]
            device = "cpu" if self._place.device == "cpu" else "cuda"
            folder = self._store.checkpoint_folder(trial.fingerprint)
            folder.tidy()
            self._attempts[trial.fingerprint] = begin_attempt(folder)
            with suppress(OSError, NotOursError):
                log, weights = self._log(trial), self._store.checkpoints
                command = repeat_command(log.trial_file, weights, data_folder, threads, device)
                self._store.patiently(functools.partial(log.begin, trial, command, circumstances))

    def _folder(self, fingerprint: str) -> CheckpointFolder:
        return CheckpointFolder(self._store.checkpoint_folder(fingerprint), fingerprint)

    def weights(self, fingerprint: str) -> dict[str, Tensor]:
        try:
            return self._folder(fingerprint).weights()
        except CheckpointError as error:
            again = (
                f"kdsweep prune {self._store.address} damaged, then the next run makes them again"
            )
            raise CheckpointError(error.where, f"{error.problem}; {again}") from error

    def checkpoint(self, trial: Trial) -> Checkpoint | None:
        return self._folder(trial.fingerprint).latest()

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        self._folder(trial.fingerprint).save(checkpoint)
        self._saved_at = time.monotonic()

    def finish(self, trial: Trial, result: Result) -> None:
        """Final weights, then the curve, then the row; only then is the trial finished."""
        dependencies = trial.model_dump(
            include={"teacher_fingerprint", "student_fingerprint", "student_cell", "predictor"}
        )
        folder = self._folder(trial.fingerprint)
        folder.keep(result.weights)
        libraries = model_library_versions([trial])
        attempts = self._attempts[trial.fingerprint]
        group_size = len(self._attempts)
        shares = (point["seconds"] / point.get("group_size", group_size) for point in result.curve)
        row: Mapping[str, Any] = {
            **identity_columns(trial),
            **dependencies,
            **result.metrics,
            **self._columns,
            "cell": trial.cell,
            "trial": self._written[trial.fingerprint],
            "started_at": attempts.first_started_at,
            "finished_at": datetime.now(UTC),
            "num_attempts": attempts.count,
            "wall_seconds": sum(point["seconds"] for point in result.curve),
            "device_seconds": sum(shares) * self._place.share,
            "precision": computed_in(trial),
            "execution": "eager" if learns_eagerly(trial) else self._columns["execution"],
            "model_libraries": json.dumps(libraries) if libraries else None,
            "group_size": group_size,
            "num_teacher_passes": result.num_teacher_passes,
        }
        self._store.add_result(row, result.curve)
        self.finished.append(trial.fingerprint)
        # The trial is finished: whatever cannot be tidied now is left to the next who tidies.
        afterwards: tuple[Callable[[], object], ...] = (
            lambda: self._log(trial).add("finished"),
            lambda: end_attempts(self._store.checkpoint_folder(trial.fingerprint)),
            folder.drop_checkpoints,
            lambda: clear_sign(self._store, trial),
        )
        for tidy in afterwards:
            with suppress(OSError, UserError):
                tidy()

    def fail(self, trial: Trial, error: Exception) -> None:
        if self._is_finished(trial):
            return
        failure = of_exception(error)
        with suppress(OSError, MemoryError, UserError):
            self._log(trial).add(failure.trace)
        self.failed[trial.fingerprint] = record_failure(self._store, trial, failure)

    def _is_finished(self, trial: Trial) -> bool:
        """Whether it has a row, of this worker, of another one, or of a write that seemed to fail."""
        fingerprint = trial.fingerprint
        if fingerprint not in self.finished:
            with suppress(OSError, UserError):
                self.finished.extend({fingerprint} & self._store.finished())
        return fingerprint in self.finished

    def after_epoch(self, trial: Trial, row: Row) -> None:
        """A line in the log; no trial fails for one."""
        with suppress(OSError, UserError):
            self._log(trial).add_row(row)

    def after_step(self, progress: Progress) -> Command:
        now = time.monotonic()
        if now - self._seen_at >= self._sign_every_s:
            self._seen_at = now
            self._show(progress)
            if self._stop_is_asked():
                return Command.STOP
        if self._must_leave():
            return Command.STOP
        due = now - self._saved_at >= self._intervals.seconds or self._epoch_is_due(progress)
        return Command.SAVE if due else Command.GO_ON

    def _stop_is_asked(self) -> bool:
        """A store that cannot be read for a moment ends no trial."""
        try:
            return self._store.stops.is_set(self._run_id)
        except OSError:
            return False

    def _epoch_is_due(self, progress: Progress) -> bool:
        every = self._intervals.epochs
        ended = progress.step == progress.steps_per_epoch
        return every is not None and ended and progress.epoch % every == 0

    def _show(self, progress: Progress) -> None:
        """Signs are a courtesy: a full disk that takes none ends no trial.

        Where one is refused, the others are not tried: training waits for each.
        """
        with suppress(OSError):
            for trial in progress.trials:
                entry = sign_of_life(
                    trial,
                    self._run_id,
                    device=self._place.device,
                    epoch=progress.epoch,
                    step=progress.step,
                    loss=progress.loss,
                    node=self._place.node,
                )
                self._store.signs.set_running(entry)

    def leave(self, trials: Iterable[Trial]) -> None:
        """Nobody works on these trials any more; where a sign cannot be removed, it and the others expire."""
        with suppress(OSError):
            for trial in trials:
                self._store.signs.clear_running(trial.fingerprint)
