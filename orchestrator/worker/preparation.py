"""What is tried on each machine before anything is trained: data, published weights, and all that is one's own."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.language.resources import SECTIONS
from trainer.problems import UserError
from trainer.trial import (
    AugmentedTrial,
    Data,
    GuestModel,
    OwnFile,
    PredictorTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
    guests_of,
    learner_of,
)


def samples(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Of many trials a few that need, together, all that the many need."""
    by_need: dict[object, Trial] = {}
    for trial in trials:
        by_need.setdefault(trial.data, trial)
        for name, guest in guests_of(trial).items():
            by_need.setdefault((name, guest), trial)
        if isinstance(trial, TeacherTrial):
            by_need.setdefault((trial.checkpoint, trial.teacher, trial.data), trial)
        else:
            size = trial.data.image_size
            by_need.setdefault((trial.own_scheme, trial.augmentation, size), trial)
        if isinstance(trial, StudentTrial) and trial.checkpoint:
            by_need.setdefault((trial.checkpoint, trial.student, trial.data), trial)
        if isinstance(trial, StudentTrial) and trial.own_method and trial.is_distilled:
            told = (trial.method, trial.method_options, trial.temperature, trial.data.num_classes)
            by_need.setdefault((trial.own_method, *told), trial)
        if isinstance(trial, PredictorTrial):
            by_need.setdefault((trial.own_predictor, trial.predictor), trial)
    return tuple({trial.fingerprint: trial for trial in by_need.values()}.values())


def prepare(trials: Sequence[Trial], place: str) -> None:
    """Decode data into this node's cache, build guests, read published weights, try own code on noise.

    `place` is the data folder, or its address.

    Raises:
        UserError: something is missing, damaged, wrong, or not what was planned.
    """
    few = samples(trials)
    absent = [
        f"{SECTIONS[trial.kind]}.checkpoint: {trial.checkpoint.path}: no such file"
        for trial in few
        if isinstance(trial, TeacherTrial | StudentTrial)
        and trial.checkpoint
        and not trial.checkpoint.sha256
    ]
    if absent:
        raise UserError("\n".join(absent))
    for data in {trial.data: None for trial in few}:
        _decode(data, place)
    for (name, guest), data in _guests(few).items():
        _build(name, guest, data)
    for trial in few:
        if isinstance(trial, TeacherTrial | StudentTrial):
            _read_checkpoint(trial)
        if isinstance(trial, AugmentedTrial):
            _try_own_scheme(trial)
        if isinstance(trial, StudentTrial):
            _try_own_method(trial)
        if isinstance(trial, PredictorTrial):
            _try_own_predictor(trial)


def _decode(data: Data, place: str) -> None:
    from orchestrator.worker.data_places import here
    from trainer.datasets.errors import DataError
    from trainer.datasets.source import open_arrays

    try:
        open_arrays(*here(data, place))
    except DataError as error:
        raise UserError(str(error)) from error


def _guests(trials: Sequence[Trial]) -> dict[tuple[str, GuestModel], Data]:
    """Each once: its description is that of one number of classes and one size."""
    return {
        (name, guest): trial.data for trial in trials for name, guest in guests_of(trial).items()
    }


def _build(name: str, guest: GuestModel, data: Data) -> None:
    import numpy as np

    from trainer.models.guests import build_guest

    rng = np.random.default_rng(0)
    try:
        build_guest(name, guest, data.num_classes, data.image_size, rng)
    except Exception as error:  # the code of others may raise anything
        where = f"{guest.file.path}: " if guest.file else ""
        raise UserError(f"{where}{name}: {type(error).__name__}: {error}") from error


def _read_checkpoint(trial: TeacherTrial | StudentTrial) -> None:
    if trial.checkpoint is None:
        return
    from trainer.published import read_published

    read_published(
        Path(trial.checkpoint.path),
        trial.checkpoint.sha256,
        trial.student or trial.teacher,
        trial.data.num_classes,
        learner_of(trial),
        trial.data.image_size,
    )


def _try_own_scheme(trial: AugmentedTrial) -> None:
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
        raise _told(trial.own_scheme, name, error) from error


def _try_own_method(trial: StudentTrial) -> None:
    if trial.own_method is None or not trial.is_distilled:
        return
    from trainer.methods import method_of
    from trainer.methods.own import try_on_noise

    try:
        try_on_noise(method_of(trial), trial.data.num_classes, trial.temperature)
    except Exception as error:  # a researcher's code may raise anything
        raise _told(trial.own_method, trial.method, error) from error


def _told(file: OwnFile, name: str, error: Exception) -> UserError:
    """In one line. What kdsweep says of the file stands as it is; what the file's code raises has its type."""
    said = " ".join(", ".join([str(error), *getattr(error, "__notes__", ())]).split())
    if said.startswith(f"{file.path}: {name} "):
        return UserError(said)
    return UserError(f"{file.path}: {name}: {type(error).__name__}: {said}")


def _try_own_predictor(trial: PredictorTrial) -> None:
    """Only whether there is such a class: what it makes of answers is its own trial's affair."""
    from trainer.predictors.own import OwnPredictor

    try:
        OwnPredictor(trial.own_predictor, trial.predictor)
    except Exception as error:  # a researcher's code may raise anything
        raise _told(trial.own_predictor, trial.predictor, error) from error
