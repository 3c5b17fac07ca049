"""What trials ask of a device, and what that costs: to order work, and to tell how much of it is done.

A load is what kernels that follow one another compute, move and launch. Unpriced, it costs its multiply-adds:
forward passes are counted from the models, scaled to the image size, and a backward pass counts as two
forward passes. Evaluation is left out.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from orchestrator.planning.model_sizes import ModelSizes, student_sizes, teacher_sizes
from trainer.catalog import base_of, pick_of
from trainer.footprints import (
    ACCUMULATE_WEIGHTS_MOVED,
    STUDENT_STEP_LAUNCHES,
    TENSORS_PER_LAUNCH,
    UPDATE_KERNELS,
    UPDATE_WEIGHTS_MOVED,
    WEIGHTS_MOVED,
    Way,
)
from trainer.trial import StudentTrial, TeacherTrial, Trial, num_epochs, steps_per_epoch

FORWARD_PASSES: Mapping[Way, int] = MappingProxyType({"look": 1, "training": 3})
"""Of the multiply-adds of a pass of each kind, in those of a forward pass."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a device is asked for; `activations` and `weights` are numbers that go through its memory.

    `precision` is the trial's, by name.
    """

    multiply_adds: float
    activations: float
    weights: float
    launches: float
    precision: str


Price = Callable[[Load], float]
"""What a load costs, in a unit of the price's own."""


def operations(load: Load) -> float:
    """The price that knows no device: multiply-adds."""
    return load.multiply_adds


def _passes(
    trial: Trial, model: ModelSizes, way: Way, passes: int = 1, batches_per_pass: int = 1
) -> Load:
    """To show one model every training image in every epoch, in so many passes per step.

    Pools are shown as one pass of several batches.
    """
    epochs = num_epochs(trial)
    images = trial.data.train_images * epochs * passes * batches_per_pass
    steps = steps_per_epoch(trial) * epochs * passes
    return Load(
        multiply_adds=float(FORWARD_PASSES[way] * model.multiply_adds * images),
        activations=float(model.floats[way] * images),
        weights=float(WEIGHTS_MOVED[way] * model.parameters * steps),
        launches=float(model.launches[way] * steps),
        precision=trial.precision,
    )


def _update(trial: TeacherTrial | StudentTrial, model: ModelSizes) -> Load:
    """What follows a step's passes: the optimiser; of a student, all else that is not shared."""
    steps = steps_per_epoch(trial) * num_epochs(trial)
    tensors, weights = model.tensors, UPDATE_WEIGHTS_MOVED
    launches = tensors + UPDATE_KERNELS * math.ceil(tensors / TENSORS_PER_LAUNCH)
    if isinstance(trial, StudentTrial):
        launches += tensors + STUDENT_STEP_LAUNCHES
        weights += ACCUMULATE_WEIGHTS_MOVED
    moved = float(weights * model.parameters * steps)
    return Load(0.0, 0.0, moved, float(launches * steps), trial.precision)


def _own_loads(trial: Trial) -> Iterator[Load]:
    """What a trial asks for beyond the teacher's passes, which its group shares."""
    if isinstance(trial, TeacherTrial):
        yield _passes(trial, teacher_sizes(trial), "training")
        yield _update(trial, teacher_sizes(trial))
        return
    pick = pick_of(trial.augmentation)
    if trial.student and pick and pick.needs_student:
        yield _passes(trial, student_sizes(trial), "look", batches_per_pass=pick.runs)
    if isinstance(trial, StudentTrial):
        yield _passes(trial, student_sizes(trial), "training", passes=2)
        yield _update(trial, student_sizes(trial))


def _views(augmentation: str | None) -> frozenset[tuple[str, int]]:
    """The views that the teacher must see for a scheme: runs of schemes, by number."""
    if augmentation is None:
        return frozenset()
    pick, base = pick_of(augmentation), base_of(augmentation)
    runs = pick.runs if pick else 1
    return frozenset({("identity", 0), *((base, run) for run in range(runs))})


def group_loads(trials: Iterable[Trial]) -> Iterator[Load]:
    """What trials that run as one group ask for: each view is shown to the teacher once."""
    group = list(trials)
    views = frozenset[tuple[str, int]]().union(*(_views(trial.augmentation) for trial in group))
    longest = max(group, key=lambda trial: trial.epochs)
    if views:
        yield _passes(longest, teacher_sizes(longest), "look", passes=len(views))
    for trial in group:
        yield from _own_loads(trial)


def group_cost(trials: Iterable[Trial], price: Price = operations) -> float:
    """What trials that run as one group cost."""
    return sum(map(price, group_loads(trials)))


def solo_cost(trial: Trial, price: Price = operations) -> float:
    """What a trial that runs alone costs."""
    return group_cost([trial], price)
