"""What trials cost, in multiply-adds: to order work, and to tell how much of it is done.

Forward passes are counted from the models' multiply-adds, scaled to the image size; a backward pass counts
as two forward passes. Evaluation is left out.
"""

from collections.abc import Iterable

from trainer.catalog import DATASETS, MULTIPLY_ADDS, PICKS, STUDENT_PICK
from trainer.trial import StudentTrial, TeacherTrial, Trial

TRAIN = 3
"""A forward and a backward pass, in forward passes."""

POOL = 2
"""Images of a pool, in batches."""


def _passes(trial: Trial, architecture: str) -> float:
    """Multiply-adds to show one model every training image in every epoch."""
    scale = (DATASETS[trial.dataset].image_size / 32) ** 2
    return MULTIPLY_ADDS[architecture] * scale * trial.data.train_images * trial.epochs


def _own_cost(trial: Trial) -> float:
    """What a trial costs beyond the teacher's passes, which its group shares."""
    if isinstance(trial, TeacherTrial):
        return TRAIN * _passes(trial, trial.teacher)
    by_student = POOL if trial.augmentation == STUDENT_PICK else 0
    if isinstance(trial, StudentTrial):
        return (2 * TRAIN + by_student) * _passes(trial, trial.student)
    return by_student * _passes(trial, trial.student) if trial.student else 0.0


def _views(augmentation: str | None) -> frozenset[str]:
    """The views that the teacher must see for a scheme."""
    match augmentation:
        case None:
            return frozenset()
        case "cutmix":
            return frozenset({"identity", "cutmix run 0"})
        case name if name in PICKS:
            return frozenset({"identity", "cutmix run 0", "cutmix run 1"})
        case name:
            return frozenset({"identity", name})


def group_cost(trials: Iterable[Trial]) -> float:
    """Multiply-adds of trials that run as one group: each view is shown to the teacher once."""
    group = list(trials)
    views = frozenset[str]().union(*(_views(trial.augmentation) for trial in group))
    longest = max(group, key=lambda trial: trial.epochs)
    shared = len(views) * _passes(longest, longest.teacher) if views else 0.0
    return shared + sum(_own_cost(trial) for trial in group)


def solo_cost(trial: Trial) -> float:
    """Multiply-adds of a trial that runs alone."""
    return group_cost([trial])
