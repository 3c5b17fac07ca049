"""Batches of one image, with which some models cannot be trained.

Batch normalisation needs two values per channel. Where a model's last feature maps are of 1x1, each image
gives one: a batch of one image fails, and the last batch of an epoch is one wherever the training images leave
a remainder of 1 (65 images at batch_size 64).
"""

from trainer.catalog import pick_of, stage_sizes
from trainer.trial import StudentTrial, TeacherTrial, Trial, is_published, learner_of


def batch_of_one(trial: Trial) -> str | None:
    """Why a trial must fail at a batch of one image; None where it need not."""
    if not isinstance(trial, TeacherTrial | StudentTrial) or is_published(trial):
        return None
    if (why := _needs_two(trial)) is None:
        return None
    images, size = trial.data.train_images, trial.batch_size
    if (images % size or size) == 1:
        last = "every batch" if size == 1 else "the last batch of an epoch"
        found, change = f"{last} is one image ({images} at batch_size {size})", "batch_size"
    elif isinstance(trial, StudentTrial) and _picks_one(trial):
        found, change = "one image is picked of each batch", "pick_size"
    else:
        return None
    return (
        f"{found}, and {why}; change {change}"
        f"{' or train_images' if change == 'batch_size' and size > 1 else ''}"
    )


def _needs_two(trial: TeacherTrial | StudentTrial) -> str | None:
    """Why what learns needs two images at once; None where it does not."""
    model = trial.teacher if isinstance(trial, TeacherTrial) else trial.student
    if guest := learner_of(trial):
        found = guest.description.needs_two_images
        return f"{model} was tried and cannot be trained on one image" if found else None
    if stage_sizes(model, trial.data.image_size)[-1] > 1:
        return None
    return (
        f"the last feature maps of {model} at {trial.data.image_size} pixels are 1x1: batch "
        "normalisation needs two values"
    )


def _picks_one(trial: StudentTrial) -> bool:
    is_made = trial.augmented_weight > 0
    return is_made and pick_of(trial.augmentation) is not None and trial.pick_size == 1
