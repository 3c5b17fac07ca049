"""The steps of the plain loop: what one trial does with a batch, eagerly, each model called anew for each view."""

from typing import Protocol, TextIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.side_by_side.plain_schemes import Colours, PlainScheme, plain_schemes
from trainer.catalog import base_of, pick_of
from trainer.datasets.dataset import Dataset
from trainer.trial import StddevTrial, StudentTrial, TeacherTrial


class PlainLoop(Protocol):
    """One trial at work."""

    num_images: int
    """Images of the training set that were seen so far, each as often as it was."""

    def begin_epoch(self, learning_rate: float) -> None: ...

    def step(self, images: Tensor, labels: Tensor) -> None: ...


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(teacher || student) of softened logits, float [B, C], averaged over the batch."""
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean") * temperature**2


def entropy(logits: Tensor) -> Tensor:
    probabilities = logits.softmax(dim=1)
    return -(probabilities * probabilities.log()).sum(dim=1)


def optimiser(model: nn.Module, trial: TeacherTrial | StudentTrial) -> torch.optim.SGD:
    return torch.optim.SGD(
        model.parameters(),
        lr=trial.learning_rate,
        momentum=trial.momentum,
        weight_decay=trial.weight_decay,
    )


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(dim=1) == labels).float().mean().item()


class _Training:
    """A model and its optimiser; `_loss` says what it learns from."""

    def __init__(self, model: nn.Module, trial: TeacherTrial | StudentTrial, log: TextIO) -> None:
        self._model = model
        self._optimiser = optimiser(model, trial)
        self._log = log
        self.num_images = 0

    def begin_epoch(self, learning_rate: float) -> None:
        self._optimiser.param_groups[0]["lr"] = learning_rate
        self._model.train()

    def step(self, images: Tensor, labels: Tensor) -> None:
        logits, loss = self._loss(images, labels)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.num_images += len(images)
        self._log.write(f"loss {loss.item():.6f} accuracy {accuracy(logits, labels):.4f}\n")

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of the images, and the loss."""
        raise NotImplementedError


class PlainTeacher(_Training):
    """Learns from the labels."""

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._model(images)
        return logits, F.cross_entropy(logits, labels)


class _Mixer:
    """What a trial's scheme makes of a batch; picks ask the teacher or the student of the whole pool."""

    def __init__(
        self,
        trial: StudentTrial | StddevTrial,
        teacher: nn.Module,
        student: nn.Module | None,
        dataset: Dataset,
    ) -> None:
        colours = Colours(dataset.mean, dataset.std)
        schemes = plain_schemes(dataset.image_size, colours)
        self._scheme: PlainScheme = schemes[base_of(trial.augmentation)]
        self._pick = pick_of(trial.augmentation)
        self._pick_size = trial.pick_size
        self._judge = student if self._pick and self._pick.needs_student else teacher

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if self._pick is None:
            return self._scheme(images)
        assert self._judge is not None
        pool = torch.cat([self._scheme(images) for _ in range(self._pick.runs)])
        return pool[entropy(self._judge(pool)).argsort()[-self._pick_size :]]


class PlainStudent(_Training):
    """Learns from the teacher, on the original and the augmented images (two passes of each model)."""

    def __init__(
        self,
        trial: StudentTrial,
        teacher: nn.Module,
        student: nn.Module,
        dataset: Dataset,
        log: TextIO,
    ) -> None:
        super().__init__(student, trial, log)
        self._trial = trial
        self._teacher = teacher.eval()
        self._mixed = _Mixer(trial, teacher, student, dataset)

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._model(images)
        with torch.no_grad():
            targets = self._teacher(images)
        mixed = self._mixed(images)
        with torch.no_grad():
            mixed_targets = self._teacher(mixed)
        mixed_logits = self._model(mixed)
        trial = self._trial
        distillation = kd_loss(logits, targets, trial.temperature)
        distillation = distillation + kd_loss(mixed_logits, mixed_targets, trial.temperature)
        label_loss = F.cross_entropy(logits, labels)
        loss = trial.label_weight * label_loss + trial.distillation_weight * distillation
        return logits, loss


class PlainStddev:
    """Watches the teacher: T. stddev over windows of batches.

    With an `idle_student` it also passes x and m through that student and logs the losses, which nothing of the
    result needs: runs that come out of a training script with learning rate 0 do so.
    """

    def __init__(
        self,
        trial: StddevTrial,
        teacher: nn.Module,
        student: nn.Module | None,
        idle_student: nn.Module | None,
        dataset: Dataset,
        log: TextIO,
    ) -> None:
        self._trial = trial
        self._teacher = teacher.eval()
        self._idle_student = idle_student.eval() if idle_student else None
        self._mixed = _Mixer(trial, teacher, student.eval() if student else None, dataset)
        self._log = log
        self._probabilities: list[Tensor] = []
        self._windows: list[Tensor] = []
        self.num_images = 0

    def begin_epoch(self, learning_rate: float) -> None:
        pass

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor) -> None:
        logits = self._teacher(images)
        mixed = self._mixed(images)
        mixed_logits = self._teacher(mixed)
        self._probabilities += [logits.softmax(dim=1), mixed_logits.softmax(dim=1)]
        if len(self._probabilities) == 2 * self._trial.batches_per_window:
            self._windows.append(torch.cat(self._probabilities).mean(dim=0))
            self._probabilities = []
            self._log.write(f"T. stddev {self.value():.6f}\n")
        self.num_images += len(images)
        if self._idle_student is not None:
            self._log_student(self._idle_student, (images, logits), (mixed, mixed_logits), labels)

    def _log_student(
        self,
        student: nn.Module,
        original: tuple[Tensor, Tensor],
        mixed: tuple[Tensor, Tensor],
        labels: Tensor,
    ) -> None:
        temperature = self._trial.temperature
        student_logits = student(original[0])
        loss = kd_loss(student_logits, original[1], temperature)
        loss = loss + kd_loss(student(mixed[0]), mixed[1], temperature)
        self._log.write(f"loss {loss.item():.6f} accuracy {accuracy(student_logits, labels):.4f}\n")

    def value(self) -> float:
        """The mean over classes of the unbiased standard deviation over windows; nan with fewer than two."""
        if len(self._windows) < 2:
            return float("nan")
        return torch.stack(self._windows).std(dim=0).mean().item()
