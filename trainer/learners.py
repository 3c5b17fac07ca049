"""The members of a group that learn: teachers and students. Nothing here waits for the device within an epoch."""

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.augmentations import Palette
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset
from trainer.evaluation import evaluate
from trainer.keeper import Row
from trainer.layout import placed
from trainer.losses import LossWeights, kd, student_loss
from trainer.members import DivergedError, EpochClock
from trainer.methods import method_of
from trainer.models import build_model
from trainer.models.guests import build_guest
from trainer.optimisers import clipped, optimiser_of, rate_in
from trainer.passes import Passes
from trainer.positions import Position
from trainer.precision import backward_in, forward_in
from trainer.published import read_published
from trainer.randomness import addressed_generator
from trainer.replay import Eager, Execution
from trainer.trial import (
    GuestModel,
    StudentTrial,
    TeacherTrial,
    learner_of,
    learns_eagerly,
)
from trainer.views import Score, StepViews, View, mixed_of


@dataclass(frozen=True)
class Place:
    """What the members of a group share: the images, the device, and how work is run there."""

    dataset: Dataset
    palette: Palette
    device: torch.device
    execution: Execution


def fresh_model(
    role: str, architecture: str, guest: GuestModel | None, seed: int, place: Place
) -> nn.Module:
    """A model whose initial weights depend on (seed, role, architecture) only."""
    rng = addressed_generator(seed, "initial weights", role, architecture)
    return placed(_built(architecture, guest, rng, place.dataset), place.device)


def trained_model(
    architecture: str, guest: GuestModel | None, weights: Mapping[str, Tensor], place: Place
) -> nn.Module:
    """A model with given weights, in eval mode."""
    model = _built(architecture, guest, np.random.default_rng(0), place.dataset)
    model.load_state_dict(weights)
    return placed(model, place.device).eval()


def _built(
    architecture: str, guest: GuestModel | None, rng: np.random.Generator, dataset: Dataset
) -> nn.Module:
    if guest is not None:
        return build_guest(architecture, guest, dataset.num_classes, dataset.image_size, rng)
    return build_model(architecture, dataset.num_classes, dataset.image_size, rng)


class _Training:
    """One step of an optimiser: a pure function of its inputs that changes nothing but `changed`, in place.

    So it can be captured once and replayed (`trainer.replay`).

    Args:
        model: what learns.
        loss: of the inputs, of which the first are the batch's images.
    """

    def __init__(
        self,
        trial: TeacherTrial | StudentTrial,
        model: nn.Module,
        loss: Callable[..., Tensor],
        device: torch.device,
    ) -> None:
        self._loss = loss
        self._precision = trial.precision
        self._clip_norm = trial.clip_norm
        self.optimiser = optimiser_of(trial, model)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        states = (model.parameters(), model.buffers(), self.optimiser.state.values())
        self.changed = (*itertools.chain(*states), self.loss_sum)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Learn from one batch; returns its loss."""
        loss = self._loss(*inputs)
        with backward_in(self._precision):
            gradients = torch.autograd.grad(loss, self.optimiser.parameters)
        if self._clip_norm:
            gradients = clipped(gradients, self._clip_norm)
        self.optimiser.step(gradients)
        loss = loss.detach()
        self.loss_sum += loss * len(inputs[0])
        return loss


class _TrainedMember:
    """A model, its training and its learning curve: what teachers and students have in common."""

    def __init__(
        self,
        trial: TeacherTrial | StudentTrial,
        model: nn.Module,
        loss: Callable[..., Tensor],
        place: Place,
    ) -> None:
        self._trial = trial
        self._model = model
        self._place = place
        self._passes = Passes(model, place.device, draws=learner_of(trial) is not None)
        self._train = _Training(trial, model, functools.partial(loss, self._passes), place.device)
        # What the code of others draws would be captured with it.
        execution = Eager() if learns_eagerly(trial) else place.execution
        # Neither knows this member: it is gone, with its graph and its memory, when the group lets go of it.
        self._train_whole = execution.prepare(self._train, self._train.changed)
        self._clock = EpochClock()
        self.curve: list[dict[str, float | int]] = []

    def begin_epoch(self, epoch: int) -> None:
        trial = self._trial
        self._train.optimiser.set_rate(rate_in(epoch, trial, trial.learning_rate))
        self._model.train()

    def begin_step(self, views: StepViews) -> None:
        self._passes.begin_step(views)

    def step(self, views: StepViews) -> None:
        """Whole batches are replayed; the short last one of an epoch is not, nor what a scheme makes shorter."""
        inputs = self._inputs(views)
        if all(len(given) == self._trial.batch_size for given in inputs):
            self._train_whole(*inputs)
        else:
            self._place.execution.settle()
            self._train(*inputs)

    def _inputs(self, views: StepViews) -> Sequence[Tensor]:
        """What the loss is a function of; the images of the batch first."""
        raise NotImplementedError

    def end_epoch(self, epoch: int, group_size: int) -> None:
        """Test, and add a row to the curve; `group_size` members have shared the epoch.

        Raises:
            DivergedError: the training or test loss is not finite.
        """
        self._place.execution.settle()
        train_loss = self._train.loss_sum.item() / self._trial.data.train_images
        score = evaluate(self._model, self._place.dataset.test, self._place.palette)
        if not math.isfinite(train_loss) or not math.isfinite(score.loss):
            raise DivergedError(
                f"the loss is not finite after epoch {epoch}: train {train_loss}, test {score.loss}"
            )
        self.curve.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "test_loss": score.loss,
                "test_accuracy": score.accuracy,
                "learning_rate": self._train.optimiser.rate,
                "seconds": self._clock.seconds(),
                "group_size": group_size,
            }
        )
        self._train.loss_sum.zero_()
        self._clock.restart()

    def save(self, position: Position) -> Checkpoint:
        self._place.execution.settle()
        tensors = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        tensors |= self._train.optimiser.state
        tensors["loss_sum"] = self._train.loss_sum
        return Checkpoint(
            position, tensors, {"curve": self.curve, "seconds": self._clock.seconds()}
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        tensors, record = checkpoint.tensors, checkpoint.record
        self._model.load_state_dict(_under("model.", tensors))
        for name, value in self._train.optimiser.state.items():
            value.copy_(tensors[name])
        self._train.loss_sum.copy_(tensors["loss_sum"])
        self.curve = list(record["curve"])
        self._clock.restart(record["seconds"])

    def metrics(self) -> Row:
        """The last epoch's numbers, which are reported, and the best accuracy with its epoch."""
        last = self.curve[-1]
        best = max(self.curve, key=lambda row: row["test_accuracy"])
        return {
            "train_loss": last["train_loss"],
            "test_loss": last["test_loss"],
            "test_accuracy": last["test_accuracy"],
            "best_accuracy": best["test_accuracy"],
            "best_epoch": best["epoch"],
        }

    def weights(self) -> Mapping[str, Tensor]:
        return self._model.state_dict()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


class _LabelLoss:
    """Of a teacher: cross-entropy."""

    def __init__(self, trial: TeacherTrial, device: torch.device) -> None:
        self._trial = trial
        self._device = device

    def __call__(self, answer: Score, images: Tensor, labels: Tensor) -> Tensor:
        with forward_in(self._trial.precision, self._device):
            logits = answer(images)
        return F.cross_entropy(logits, labels, label_smoothing=self._trial.label_smoothing)


class _DistillationLoss:
    """Of a student, on the original and the augmented images (PAPER.md, section 3).

    The two are separate forward passes, so their batch-norm statistics are never shared.
    """

    def __init__(self, trial: StudentTrial, device: torch.device) -> None:
        self._trial = trial
        self._device = device
        self._weights = LossWeights(
            label=trial.label_weight,
            distillation=trial.distillation_weight,
            original=trial.original_weight,
            augmented=trial.augmented_weight,
        )
        self._method = method_of(trial) if trial.is_distilled else kd
        # In memory, so that a captured step sees what it becomes.
        self._warmth = torch.ones((), device=device) if trial.method_warmup_epochs > 1 else None

    def begin_epoch(self, epoch: int) -> None:
        """The weight of distillation in this epoch, while it warms up; without waiting for the device."""
        if self._warmth is not None:
            self._warmth.fill_(min(1.0, epoch / self._trial.method_warmup_epochs))

    def __call__(
        self, answer: Score, images: Tensor, teacher_logits: Tensor, labels: Tensor, *flat: Tensor
    ) -> Tensor:
        """`flat` are the images of each run and the teacher's logits for them; none: without that term."""
        runs = [View(*run) for run in zip(flat[::2], flat[1::2], strict=True)]
        trial, mixed = self._trial, None
        with forward_in(trial.precision, self._device):
            logits = answer(images)
            if runs:
                augmented = mixed_of(runs, trial, answer)
                mixed = (answer(augmented.images), augmented.logits)
        return student_loss(
            logits,
            teacher_logits,
            labels,
            mixed,
            trial.temperature,
            self._weights,
            method=self._method,
            label_smoothing=trial.label_smoothing,
            warmth=self._warmth,
        )


class TeacherMember(_TrainedMember):
    """Learns from the labels."""

    def __init__(self, trial: TeacherTrial, place: Place) -> None:
        model = fresh_model("teacher", trial.teacher, trial.teacher_model, trial.seed, place)
        super().__init__(trial, model, _LabelLoss(trial, place.device), place)

    def _inputs(self, views: StepViews) -> Sequence[Tensor]:
        return (views.batch.images, views.batch.labels)


class StudentMember(_TrainedMember):
    """Learns from the teacher."""

    def __init__(self, trial: StudentTrial, place: Place) -> None:
        model = fresh_model("student", trial.student, trial.student_model, trial.seed, place)
        if trial.checkpoint is not None:
            weights = read_published(
                Path(trial.checkpoint.path),
                trial.checkpoint.sha256,
                trial.student,
                place.dataset.num_classes,
                trial.student_model,
                place.dataset.image_size,
            )
            model.load_state_dict(weights)
        self._loss = _DistillationLoss(trial, place.device)
        super().__init__(trial, model, self._loss, place)
        self._looks_at = trial if trial.augmented_weight else None

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self._loss.begin_epoch(epoch)

    def begin_step(self, views: StepViews) -> None:
        super().begin_step(views)
        views.begin(self._looks_at)

    def _inputs(self, views: StepViews) -> Sequence[Tensor]:
        """The originals, the teacher's logits for them, the labels; then each run and its logits."""
        runs = views.material(self._looks_at) if self._looks_at else []
        flat = (tensor for run in runs for tensor in run)
        return (*views.original, views.batch.labels, *flat)
