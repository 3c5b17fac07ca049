"""What trials cost, in multiply-adds: to order work, and to tell how much of it is done.

Forward passes are counted from the models' multiply-adds, scaled to the image size; a backward pass counts
as two forward passes. Evaluation is left out.
"""

from collections.abc import Iterable

from trainer.catalog import base_of, multiply_adds, pick_of
from trainer.trial import StudentTrial, TeacherTrial, Trial, num_epochs

TRAIN = 3
"""A forward and a backward pass, in forward passes."""


def _passes(trial: Trial, architecture: str) -> float:
    """Multiply-adds to show one model every training image in every epoch."""
    data = trial.data
    per_image = multiply_adds(architecture, data.image_size, data.num_classes)
    return float(per_image * data.train_images * num_epochs(trial))


def _own_cost(trial: Trial) -> float:
    """What a trial costs beyond the teacher's passes, which its group shares."""
    if isinstance(trial, TeacherTrial):
        return TRAIN * _passes(trial, trial.teacher)
    pick = pick_of(trial.augmentation)
    scored = pick.runs if pick and pick.needs_student else 0
    if isinstance(trial, StudentTrial):
        return (2 * TRAIN + scored) * _passes(trial, trial.student)
    return scored * _passes(trial, trial.student) if trial.student else 0.0


def _views(augmentation: str | None) -> frozenset[tuple[str, int]]:
    """The views that the teacher must see for a scheme: runs of schemes, by number."""
    if augmentation is None:
        return frozenset()
    pick, base = pick_of(augmentation), base_of(augmentation)
    runs = pick.runs if pick else 1
    return frozenset({("identity", 0), *((base, run) for run in range(runs))})


def group_cost(trials: Iterable[Trial]) -> float:
    """Multiply-adds of trials that run as one group: each view is shown to the teacher once."""
    group = list(trials)
    views = frozenset[tuple[str, int]]().union(*(_views(trial.augmentation) for trial in group))
    longest = max(group, key=lambda trial: trial.epochs)
    shared = len(views) * _passes(longest, longest.teacher) if views else 0.0
    return shared + sum(_own_cost(trial) for trial in group)


def solo_cost(trial: Trial) -> float:
    """Multiply-adds of a trial that runs alone."""
    return group_cost([trial])
