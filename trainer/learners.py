"""The members of a group: what each kind of trial does with the views of a step.

A member is fed step by step, closes each epoch, can be saved after any step and brought back, and yields a
result at its last epoch. Nothing here waits for the device within an epoch.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.augmentations import Palette
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset
from trainer.evaluation import evaluate
from trainer.frozen import FrozenModel
from trainer.keeper import Row
from trainer.layout import placed
from trainer.losses import LossWeights, student_loss
from trainer.models import build_model
from trainer.positions import Position
from trainer.precision import at_least_fp32, backward_in, forward_in
from trainer.randomness import addressed_generator
from trainer.replay import Execution
from trainer.schedules import step_learning_rate
from trainer.sgd import MomentumSGD
from trainer.stddev import MeanProbabilityStddev
from trainer.trial import StddevTrial, StudentTrial, TeacherTrial
from trainer.views import StepViews, View, mixed_of


class DivergedError(ArithmeticError):
    """A trial's loss is no longer a number."""


class Member(Protocol):
    """One trial of a group, at work."""

    curve: list[dict[str, float | int]]

    def begin_epoch(self, epoch: int) -> None: ...

    def begin_step(self, views: StepViews) -> None: ...

    def step(self, views: StepViews) -> None: ...

    def end_epoch(self, epoch: int, group_size: int) -> None: ...

    def save(self, position: Position) -> Checkpoint: ...

    def restore(self, checkpoint: Checkpoint) -> None: ...

    def metrics(self) -> Row: ...

    def weights(self) -> Mapping[str, Tensor] | None: ...


@dataclass(frozen=True)
class Place:
    """What the members of a group share: the images, the device, and how work is run there."""

    dataset: Dataset
    palette: Palette
    device: torch.device
    execution: Execution


def fresh_model(role: str, architecture: str, seed: int, place: Place) -> nn.Module:
    """A model whose initial weights depend on (seed, role, architecture) only."""
    rng = addressed_generator(seed, "initial weights", role, architecture)
    dataset = place.dataset
    model = build_model(architecture, dataset.num_classes, dataset.image_size, rng)
    return placed(model, place.device)


def trained_model(architecture: str, weights: Mapping[str, Tensor], place: Place) -> nn.Module:
    """A model with given weights, in eval mode."""
    dataset = place.dataset
    model = build_model(architecture, dataset.num_classes, dataset.image_size)
    model.load_state_dict(weights)
    return placed(model, place.device).eval()


class _Clock:
    """Seconds spent in the current epoch, also before an interruption."""

    def __init__(self) -> None:
        self.restart()

    def restart(self, seconds_before: float = 0.0) -> None:
        self._start = time.monotonic() - seconds_before

    def seconds(self) -> float:
        return time.monotonic() - self._start


class _TrainedMember:
    """A model, its optimiser and its learning curve: what teachers and students have in common.

    A step is its inputs, which are given, and a pure function of them that changes nothing but the member's own
    tensors, in place: it can be captured once and replayed (`trainer.replay`). The short last batch of an epoch
    never is.
    """

    def __init__(self, trial: TeacherTrial | StudentTrial, model: nn.Module, place: Place) -> None:
        self._trial = trial
        self._model = model
        self._place = place
        self._optimiser = MomentumSGD(model.named_parameters(), trial.momentum, trial.weight_decay)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=place.device)
        changed = (*model.parameters(), *model.buffers(), *self._optimiser.momenta.values())
        self._train_whole = place.execution.prepare(self._train, (*changed, self._loss_sum))
        self._clock = _Clock()
        self.curve: list[dict[str, float | int]] = []

    def begin_epoch(self, epoch: int) -> None:
        trial = self._trial
        self._optimiser.set_rate(
            step_learning_rate(epoch, trial.learning_rate, trial.milestones, trial.decay)
        )
        self._model.train()

    def begin_step(self, views: StepViews) -> None:
        pass

    def step(self, views: StepViews) -> None:
        inputs = self._inputs(views)
        if len(views.batch) == self._trial.batch_size:
            self._train_whole(*inputs)
        else:
            self._place.execution.settle()
            self._train(*inputs)

    def _train(self, *inputs: Tensor) -> Tensor:
        """One step of SGD; returns the loss."""
        loss = self._loss(*inputs)
        with backward_in(self._trial.precision):
            gradients = torch.autograd.grad(loss, self._optimiser.parameters)
        self._optimiser.step(gradients)
        loss = loss.detach()
        self._loss_sum += loss * len(inputs[0])
        return loss

    def _inputs(self, views: StepViews) -> Sequence[Tensor]:
        """What the loss is a function of; the images of the batch first."""
        raise NotImplementedError

    def _loss(self, *inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def end_epoch(self, epoch: int, group_size: int) -> None:
        """Test, and add a row to the curve; `group_size` members have shared the epoch.

        Raises:
            DivergedError: the training or test loss is not finite.
        """
        self._place.execution.settle()
        train_loss = self._loss_sum.item() / self._trial.data.train_images
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
                "learning_rate": self._optimiser.rate,
                "seconds": self._clock.seconds(),
                "group_size": group_size,
            }
        )
        self._loss_sum.zero_()
        self._clock.restart()

    def save(self, position: Position) -> Checkpoint:
        self._place.execution.settle()
        tensors = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        tensors |= {f"momentum.{name}": v for name, v in self._optimiser.momenta.items()}
        tensors["loss_sum"] = self._loss_sum
        return Checkpoint(
            position, tensors, {"curve": self.curve, "seconds": self._clock.seconds()}
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        tensors, record = checkpoint.tensors, checkpoint.record
        self._model.load_state_dict(_under("model.", tensors))
        for name, value in _under("momentum.", tensors).items():
            self._optimiser.momenta[name].copy_(value)
        self._loss_sum.copy_(tensors["loss_sum"])
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


class TeacherMember(_TrainedMember):
    """Learns from the labels."""

    def __init__(self, trial: TeacherTrial, place: Place) -> None:
        super().__init__(trial, fresh_model("teacher", trial.teacher, trial.seed, place), place)

    def _inputs(self, views: StepViews) -> Sequence[Tensor]:
        return (views.batch.images, views.batch.labels)

    def _loss(self, *inputs: Tensor) -> Tensor:
        images, labels = inputs
        with forward_in(self._trial.precision, self._place.device):
            logits = at_least_fp32(self._model(images))
        return F.cross_entropy(logits, labels)


class StudentMember(_TrainedMember):
    """Learns from the teacher, on the original and the augmented images (PAPER.md, section 3).

    The two are separate forward passes, so their batch-norm statistics are never shared.
    """

    def __init__(self, trial: StudentTrial, place: Place) -> None:
        super().__init__(trial, fresh_model("student", trial.student, trial.seed, place), place)
        self._student_trial = trial
        self._weights = LossWeights(
            label=trial.label_weight,
            distillation=trial.distillation_weight,
            original=trial.original_weight,
            augmented=trial.augmented_weight,
        )

    def begin_step(self, views: StepViews) -> None:
        views.begin(self._student_trial if self._student_trial.augmented_weight else None)

    def _inputs(self, views: StepViews) -> Sequence[Tensor]:
        """The originals, the teacher's logits for them, the labels; then each run and its logits."""
        trial = self._student_trial
        runs = views.material(trial) if trial.augmented_weight else []
        flat = (tensor for run in runs for tensor in run)
        return (*views.original, views.batch.labels, *flat)

    def _loss(self, *inputs: Tensor) -> Tensor:
        images, teacher_logits, labels, *flat = inputs
        runs = [View(*run) for run in zip(flat[::2], flat[1::2], strict=True)]
        trial, mixed = self._student_trial, None
        with forward_in(trial.precision, self._place.device):
            logits = self._answer(images)
            if runs:
                augmented = mixed_of(runs, trial, self._answer)
                mixed = (self._answer(augmented.images), augmented.logits)
        return student_loss(logits, teacher_logits, labels, mixed, trial.temperature, self._weights)

    def _answer(self, images: Tensor) -> Tensor:
        return at_least_fp32(self._model(images))


class StddevMember:
    """Watches the teacher; `student` is the trained one that cutmixpick_s asks, in eval mode."""

    def __init__(
        self, trial: StddevTrial, device: torch.device, student: FrozenModel | None = None
    ) -> None:
        self._trial = trial
        self._device = device
        self._student = student
        self._meter = MeanProbabilityStddev(trial.batches_per_window)
        self._clock = _Clock()
        self.curve: list[dict[str, float | int]] = []

    def begin_epoch(self, epoch: int) -> None:
        pass

    def begin_step(self, views: StepViews) -> None:
        views.begin(self._trial)

    def step(self, views: StepViews) -> None:
        mixed = views.mixed(self._trial, self._student)
        self._meter.update(views.original.logits.softmax(1), mixed.logits.softmax(1))

    def end_epoch(self, epoch: int, group_size: int) -> None:
        """Add a row to the curve, of an epoch that `group_size` members have shared; T. stddev is nan while there are fewer than two windows.

        Raises:
            DivergedError: the teacher's probabilities are not numbers.
        """
        value = self._meter.value()
        if math.isnan(value) and self._meter.num_windows > 1:
            raise DivergedError(f"T. stddev is not a number after epoch {epoch}")
        self.curve.append(
            {
                "epoch": epoch,
                "t_stddev": value,
                "num_windows": self._meter.num_windows,
                "seconds": self._clock.seconds(),
                "group_size": group_size,
            }
        )
        self._clock.restart()

    def save(self, position: Position) -> Checkpoint:
        record: dict[str, Any] = {"curve": self.curve, "seconds": self._clock.seconds()}
        return Checkpoint(position, self._meter.state(), record)

    def restore(self, checkpoint: Checkpoint) -> None:
        self._meter = MeanProbabilityStddev.from_state(
            self._trial.batches_per_window, checkpoint.tensors, self._device
        )
        self.curve = list(checkpoint.record["curve"])
        self._clock.restart(checkpoint.record["seconds"])

    def metrics(self) -> Row:
        return {
            "t_stddev": self._meter.value(),
            "t_stddev_stderr": self._meter.standard_error(),
            "num_windows": self._meter.num_windows,
        }

    def weights(self) -> None:
        return None


def last_losses(members: Sequence[Member]) -> list[float]:
    """The training losses of the members' last whole epochs."""
    return [m.curve[-1]["train_loss"] for m in members if m.curve and "train_loss" in m.curve[-1]]
