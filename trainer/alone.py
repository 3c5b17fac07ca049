"""One trial run by hand: its folder, its progress, its result."""

import traceback
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trainer.checkpoint import CheckpointError, CheckpointFolder
from trainer.datasets.dataset import load_dataset
from trainer.datasets.errors import DataError
from trainer.device import NoGpuError, check_precision, device_name, has_gpu, prepare_device
from trainer.keeper import Command, FolderKeeper, Row
from trainer.keeper import Progress as GroupProgress
from trainer.lockstep import run_group
from trainer.problems import UserError
from trainer.replay import execution_on
from trainer.trial import (
    DEFAULT_EXECUTION,
    ExecutionMode,
    Trial,
    computed_in,
    num_epochs,
    steps_per_epoch,
)
from trainer.trial_file import read_trial
from trainer.trial_log import TrialLog, described, repeat_command


class TrialFailedError(Exception):
    """A trial could not be computed; its log has the traceback."""


def run_alone(
    trial_file: Path,
    *,
    output: Path,
    weights: Path | None,
    data_folder: Path,
    threads: int,
    device: str,
    execution: ExecutionMode = DEFAULT_EXECUTION,
) -> Path:
    """Run a trial to its end, from its last checkpoint, into `output/FINGERPRINT/`.

    `weights` holds `FINGERPRINT/final.safetensors` of what the trial depends on; None: `output`. `device`
    is `cpu`, `cuda`, or `auto`: a GPU where there is one; `execution` says how steps run there.

    Returns:
        The path of its `result.json`.

    Raises:
        UserError: the trial, its data or the weights it needs are missing or wrong.
        TrialFailedError: it diverges, or a scheme of one's own is wrong.
    """
    trial = read_trial(trial_file)
    folder = output / trial.fingerprint
    result = folder / "result.json"
    if result.exists():
        return result
    weights = weights or output
    for dependency in trial.depends_on:
        if not CheckpointFolder(weights / dependency).has_weights():
            raise UserError(
                f"{trial_file}: needs the weights of trial {dependency[:12]}, which are not in "
                f"{weights}; run that trial first, or name their folder with --weights"
            )
    log = TrialLog(folder)
    try:
        chosen = prepare_device(threads, gpus=device == "cuda" or (device == "auto" and has_gpu()))
        check_precision(chosen, computed_in(trial))
    except NoGpuError as error:
        raise UserError(f"{trial_file}: {error}") from error
    try:
        dataset = load_dataset(trial.data, data_folder)
    except DataError as error:
        raise UserError(f"{trial_file}: {error}") from error
    command = repeat_command(log.trial_file, weights, data_folder, threads, chosen.type)
    log.begin(trial, command, f"on {device_name(chosen)}")
    try:
        with _bar() as bar:
            keeper = _ShownKeeper(output, weights, log, bar, trial)
            run_group([trial], keeper, dataset, chosen, execution_on(chosen, execution))
    except CheckpointError as error:
        raise UserError(f"{trial_file}: {error}") from error
    except Exception as error:
        log.add("".join(traceback.format_exception(error)))
        reason = f"{type(error).__name__}: {error}"
        raise TrialFailedError(f"{trial_file}: {reason}; the traceback is in {log.path}") from error
    return result


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)


class _ShownKeeper(FolderKeeper):
    """Keeps a trial in a folder, logs it, and shows how far it is."""

    def __init__(
        self, folder: Path, weights: Path, log: TrialLog, bar: Progress, trial: Trial
    ) -> None:
        super().__init__(folder, weights_folder=weights)
        self._log = log
        self._bar = bar
        self._task: TaskID = bar.add_task(
            f"{trial.kind} {trial.fingerprint[:12]}",
            total=num_epochs(trial) * steps_per_epoch(trial),
        )

    def after_epoch(self, trial: Trial, row: Row) -> None:
        self._log.add_row(row)
        if self._bar.disable:
            self._bar.console.print(described(row), highlight=False, soft_wrap=True)

    def after_step(self, progress: GroupProgress) -> Command:
        done = (progress.epoch - 1) * progress.steps_per_epoch + progress.step
        self._bar.update(self._task, completed=done)
        return super().after_step(progress)
