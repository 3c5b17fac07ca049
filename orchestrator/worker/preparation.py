"""What is tried out on each machine before anything is trained: data, published teachers, schemes of one's own."""

from collections.abc import Sequence
from pathlib import Path

from trainer.problems import UserError
from trainer.trial import Data, StddevTrial, StudentTrial, TeacherTrial, Trial


def samples(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Of many trials a few that need, together, all that the many need."""
    by_need: dict[object, Trial] = {}
    for trial in trials:
        by_need.setdefault(trial.data, trial)
        if isinstance(trial, TeacherTrial):
            by_need.setdefault((trial.checkpoint, trial.teacher, trial.data), trial)
        else:
            size = trial.data.image_size
            by_need.setdefault((trial.own_scheme, trial.augmentation, size), trial)
    return tuple({trial.fingerprint: trial for trial in by_need.values()}.values())


def prepare(trials: Sequence[Trial], place: str) -> None:
    """Decode data into this node's cache, read published teachers, let own schemes act on noise.

    `place` is the data folder, or its address.

    Raises:
        UserError: something is missing, damaged, wrong, or not what was planned.
    """
    few = samples(trials)
    absent = [
        trial.checkpoint.path
        for trial in few
        if isinstance(trial, TeacherTrial) and trial.checkpoint and not trial.checkpoint.sha256
    ]
    if absent:
        raise UserError("\n".join(f"teachers.checkpoint: {path}: no such file" for path in absent))
    for data in {trial.data: None for trial in few}:
        _decode(data, place)
    for trial in few:
        if isinstance(trial, TeacherTrial):
            _read_checkpoint(trial)
        else:
            _try_own_scheme(trial)


def _decode(data: Data, place: str) -> None:
    from orchestrator.worker.data_places import here
    from trainer.datasets.errors import DataError
    from trainer.datasets.source import open_arrays

    try:
        open_arrays(*here(data, place))
    except DataError as error:
        raise UserError(str(error)) from error


def _read_checkpoint(trial: TeacherTrial) -> None:
    if trial.checkpoint is None:
        return
    from trainer.published import read_published

    path, classes = Path(trial.checkpoint.path), trial.data.num_classes
    read_published(path, trial.checkpoint.sha256, trial.teacher, classes)


def _try_own_scheme(trial: StudentTrial | StddevTrial) -> None:
    if trial.own_scheme is None:
        return
    import numpy as np
    import torch

    from trainer.augmentations.own import apply_own
    from trainer.catalog import base_of

    name, size = base_of(trial.augmentation), trial.data.image_size
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.standard_normal((4, 3, size, size), dtype=np.float32))
    try:
        apply_own(trial.own_scheme, name, noise, rng)
    except Exception as error:  # a researcher's code may raise anything
        raise UserError(
            f"{trial.own_scheme.path}: {name}: {type(error).__name__}: {error}"
        ) from error
