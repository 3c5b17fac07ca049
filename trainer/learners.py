"""The members of a group: what each kind of trial does with the views of a step.

A member is fed step by step, closes each epoch, can be saved after any step and brought back, and yields a
result at its last epoch. Nothing here waits for the device within an epoch.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.augmentations import Palette
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset
from trainer.evaluation import evaluate
from trainer.keeper import Row
from trainer.losses import LossWeights, student_loss
from trainer.models import build_model
from trainer.positions import Position
from trainer.randomness import addressed_generator
from trainer.schedules import step_learning_rate
from trainer.stddev import MeanProbabilityStddev
from trainer.trial import StddevTrial, StudentTrial, TeacherTrial
from trainer.views import StepViews


class DivergedError(ArithmeticError):
    """A trial's loss is no longer a number."""


class Member(Protocol):
    """One trial of a group, at work."""

    curve: list[dict[str, float | int]]

    def begin_epoch(self, epoch: int) -> None: ...

    def step(self, views: StepViews) -> None: ...

    def end_epoch(self, epoch: int, group_size: int) -> None: ...

    def save(self, position: Position) -> Checkpoint: ...

    def restore(self, checkpoint: Checkpoint) -> None: ...

    def metrics(self) -> Row: ...

    def weights(self) -> Mapping[str, Tensor] | None: ...


def fresh_model(
    role: str, architecture: str, seed: int, dataset: Dataset, device: torch.device
) -> nn.Module:
    """A model whose initial weights depend on (seed, role, architecture) only."""
    rng = addressed_generator(seed, "initial weights", role, architecture)
    model = build_model(architecture, dataset.num_classes, dataset.image_size, rng)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def trained_model(
    architecture: str, weights: Mapping[str, Tensor], dataset: Dataset, device: torch.device
) -> nn.Module:
    """A model with given weights, in eval mode."""
    model = build_model(architecture, dataset.num_classes, dataset.image_size)
    model.load_state_dict(weights)
    return model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


class _Clock:
    """Seconds spent in the current epoch, also before an interruption."""

    def __init__(self) -> None:
        self.restart()

    def restart(self, seconds_before: float = 0.0) -> None:
        self._start = time.monotonic() - seconds_before

    def seconds(self) -> float:
        return time.monotonic() - self._start


class _TrainedMember:
    """A model, its optimiser and its learning curve: what teachers and students have in common."""

    def __init__(
        self,
        trial: TeacherTrial | StudentTrial,
        model: nn.Module,
        dataset: Dataset,
        palette: Palette,
    ) -> None:
        self._trial = trial
        self._model = model
        self._test = dataset.test
        self._palette = palette
        self._optimiser = torch.optim.SGD(
            model.parameters(),
            lr=trial.learning_rate,
            momentum=trial.momentum,
            weight_decay=trial.weight_decay,
        )
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=dataset.test.images.device)
        self._clock = _Clock()
        self.curve: list[dict[str, float | int]] = []

    def begin_epoch(self, epoch: int) -> None:
        trial = self._trial
        rate = step_learning_rate(epoch, trial.learning_rate, trial.milestones, trial.decay)
        self._optimiser.param_groups[0]["lr"] = rate
        self._model.train()

    def step(self, views: StepViews) -> None:
        loss = self._loss(views)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._loss_sum += loss.detach() * len(views.batch)

    def _loss(self, views: StepViews) -> Tensor:
        raise NotImplementedError

    def end_epoch(self, epoch: int, group_size: int) -> None:
        """Test, and add a row to the curve; `group_size` members have shared the epoch.

        Raises:
            DivergedError: the training or test loss is not finite.
        """
        train_loss = self._loss_sum.item() / self._trial.data.train_images
        score = evaluate(self._model, self._test, self._palette)
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
                "learning_rate": self._optimiser.param_groups[0]["lr"],
                "seconds": self._clock.seconds(),
                "group_size": group_size,
            }
        )
        self._loss_sum = torch.zeros_like(self._loss_sum)
        self._clock.restart()

    def save(self, position: Position) -> Checkpoint:
        tensors = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        for name, parameter in self._model.named_parameters():
            momentum = self._optimiser.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        tensors["loss_sum"] = self._loss_sum
        return Checkpoint(
            position, tensors, {"curve": self.curve, "seconds": self._clock.seconds()}
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        tensors, record = checkpoint.tensors, checkpoint.record
        self._model.load_state_dict(_under("model.", tensors))
        momenta = _under("momentum.", tensors)
        for name, parameter in self._model.named_parameters():
            if name in momenta:
                buffer = torch.empty_like(parameter).copy_(momenta[name])
                self._optimiser.state[parameter]["momentum_buffer"] = buffer
        self._loss_sum = tensors["loss_sum"].to(self._loss_sum.device)
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

    def __init__(
        self, trial: TeacherTrial, dataset: Dataset, palette: Palette, device: torch.device
    ) -> None:
        model = fresh_model("teacher", trial.teacher, trial.seed, dataset, device)
        super().__init__(trial, model, dataset, palette)

    def _loss(self, views: StepViews) -> Tensor:
        return F.cross_entropy(self._model(views.batch.images), views.batch.labels)


class StudentMember(_TrainedMember):
    """Learns from the teacher, on the original and the augmented images (PAPER.md, section 3).

    The two are separate forward passes, so their batch-norm statistics are never shared.
    """

    def __init__(
        self, trial: StudentTrial, dataset: Dataset, palette: Palette, device: torch.device
    ) -> None:
        model = fresh_model("student", trial.student, trial.seed, dataset, device)
        super().__init__(trial, model, dataset, palette)
        self._student_trial = trial

    def _loss(self, views: StepViews) -> Tensor:
        trial = self._student_trial
        original, mixed_logits = views.original, None
        logits = self._model(original.images)
        if trial.augmented_weight:
            mixed = views.mixed(trial, self._model)
            mixed_logits = (self._model(mixed.images), mixed.logits)
        weights = LossWeights(
            label=trial.label_weight,
            distillation=trial.distillation_weight,
            original=trial.original_weight,
            augmented=trial.augmented_weight,
        )
        labels = views.batch.labels
        return student_loss(
            logits, original.logits, labels, mixed_logits, trial.temperature, weights
        )


class StddevMember:
    """Watches the teacher; `student` is the trained one that cutmixpick_s asks, in eval mode."""

    def __init__(
        self, trial: StddevTrial, device: torch.device, student: nn.Module | None = None
    ) -> None:
        self._trial = trial
        self._device = device
        self._student = student
        self._meter = MeanProbabilityStddev(trial.batches_per_window)
        self._clock = _Clock()
        self.curve: list[dict[str, float | int]] = []

    def begin_epoch(self, epoch: int) -> None:
        pass

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
