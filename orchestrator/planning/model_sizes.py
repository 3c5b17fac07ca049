"""What the models of a trial consist of, whoever made them: kdsweep's by the catalog, guests by their description."""

from functools import cache
from typing import NamedTuple

from trainer.catalog import MODELS, multiply_adds
from trainer.footprints import FOOTPRINTS, Way, floats_per_image, pass_of
from trainer.trial import AugmentedTrial, Description, Trial

WAYS: tuple[Way, Way] = ("look", "training")


class ModelSizes(NamedTuple):
    """`multiply_adds` are those of one forward pass of one image; `floats` go through memory per image.

    `parameters` and `tensors` are what learns, `launches` those of one pass of one batch.
    """

    multiply_adds: int
    parameters: int
    tensors: int
    floats: dict[Way, int]
    launches: dict[Way, int]


def teacher_sizes(trial: Trial) -> ModelSizes:
    guest = trial.teacher_model
    return _of_guest(guest.description) if guest else _built_in(trial, trial.teacher)


def student_sizes(trial: AugmentedTrial) -> ModelSizes:
    """Of a trial that has a student."""
    guest = trial.student_model
    return _of_guest(guest.description) if guest else _built_in(trial, str(trial.student))


def _built_in(trial: Trial, architecture: str) -> ModelSizes:
    return _of_catalog(architecture, trial.data.image_size, trial.data.num_classes)


@cache
def _of_catalog(architecture: str, image_size: int, num_classes: int) -> ModelSizes:
    return ModelSizes(
        multiply_adds=multiply_adds(architecture, image_size, num_classes),
        parameters=MODELS[architecture].parameters,
        tensors=FOOTPRINTS[architecture].tensors,
        floats={way: floats_per_image(architecture, image_size, way) for way in WAYS},
        launches={way: pass_of(architecture, way).launches for way in WAYS},
    )


@cache
def _of_guest(description: Description) -> ModelSizes:
    passes = {"look": description.look, "training": description.training}
    return ModelSizes(
        multiply_adds=description.multiply_adds,
        parameters=description.parameters,
        tensors=description.tensors,
        floats={way: passes[way].floats for way in WAYS},
        launches={way: passes[way].launches for way in WAYS},
    )
