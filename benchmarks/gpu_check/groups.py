"""Groups of real trials on made-up images, all in memory."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.catalog import AUGMENTATIONS
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset, Part
from trainer.keeper import Command, Progress, Result, Row
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.replay import execution_on
from trainer.trial import Data, ExecutionMode, StddevTrial, StudentTrial, TeacherTrial, Trial

NUM_CLASSES = 100
TEACHER, STUDENT, CELL = "0" * 64, "1" * 64, "2" * 64
"""Fingerprints of finished trials that were never run."""


@dataclass(frozen=True)
class Images:
    """Made-up images: `steps` whole batches an epoch, and a last one of half the size."""

    batch_size: int
    steps: int
    image_size: int = 32

    @property
    def data(self) -> Data:
        train = self.batch_size * self.steps + self.batch_size // 2
        return Data(
            name="made-up",
            checksum="sha256:" + "0" * 64,
            num_classes=NUM_CLASSES,
            image_size=self.image_size,
            train_images=train,
            test_images=NUM_CLASSES,
            format="imagefolder",
            path="nowhere",
        )

    def dataset(self) -> Dataset:
        rng = np.random.default_rng(0)

        def half(count: int) -> Part:
            shape = (count, 3, self.image_size, self.image_size)
            images = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
            return Part(images, torch.from_numpy(rng.integers(0, NUM_CLASSES, count)))

        data = self.data
        names = tuple(map(str, range(NUM_CLASSES)))
        halves = half(data.train_images), half(data.test_images)
        return Dataset(data.name, names, *halves, (0.5,) * 3, (0.25,) * 3)


@dataclass(frozen=True)
class Pair:
    teacher: str
    student: str

    def __str__(self) -> str:
        return f"{self.teacher}/{self.student}"


PAIRS = (
    Pair("wrn_40_2", "wrn_16_2"),
    Pair("resnet56", "resnet20"),
    Pair("vgg13", "vgg8"),
    Pair("resnet32x4", "ShuffleV2"),
    Pair("ResNet50", "vgg8"),
    Pair("vgg13", "MobileNetV2"),
)
"""The paper's five teachers, with students of every family."""


def students(
    pair: Pair,
    images: Images,
    names: Sequence[str] = AUGMENTATIONS,
    precision: str = "fp32",
    randomness: str = "batch",
    epochs: int = 1,
    **changes: Any,
) -> list[Trial]:
    return [
        StudentTrial.model_validate(
            {
                "data": images.data,
                "teacher": pair.teacher,
                "teacher_fingerprint": TEACHER,
                "student": pair.student,
                "augmentation": name,
                "randomness": randomness,
                "seed": 0,
                "epochs": epochs,
                "milestones": [1],
                "batch_size": images.batch_size,
                "pick_size": images.batch_size,
                "learning_rate": 0.01,
                "precision": precision,
                **changes,
            }
        )
        for name in names
    ]


def measurements(pair: Pair, images: Images, precision: str = "fp32") -> list[Trial]:
    """The nine stddev trials of a teacher."""
    asked = {
        "student": pair.student,
        "student_fingerprint": STUDENT,
        "student_cell": CELL,
    }
    return [
        StddevTrial.model_validate(
            {
                "data": images.data,
                "teacher": pair.teacher,
                "teacher_fingerprint": TEACHER,
                "augmentation": name,
                "seed": 0,
                "epochs": 2,
                "batch_size": images.batch_size,
                "batches_per_window": 2,
                "pick_size": images.batch_size,
                "precision": precision,
                **(asked if name == "cutmixpick_s" else {}),
            }
        )
        for name in AUGMENTATIONS
    ]


def teacher(pair: Pair, images: Images, precision: str = "fp32") -> list[Trial]:
    return [
        TeacherTrial.model_validate(
            {
                "data": images.data,
                "teacher": pair.teacher,
                "seed": 0,
                "epochs": 2,
                "milestones": [1],
                "batch_size": images.batch_size,
                "learning_rate": 0.01,
                "precision": precision,
            }
        )
    ]


@dataclass
class MemoryKeeper:
    """Keeps everything in memory; asks `after` what to do after each step, which it counts from 1."""

    pair: Pair
    image_size: int
    after: Callable[[int], Command] = lambda _step: Command.GO_ON
    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    _kept: dict[str, Checkpoint] = field(default_factory=dict)
    num_steps: int = 0

    def weights(self, fingerprint: str) -> Mapping[str, Tensor]:
        name = self.pair.teacher if fingerprint == TEACHER else self.pair.student
        model = build_model(name, NUM_CLASSES, self.image_size, np.random.default_rng(7))
        return model.state_dict()

    def checkpoint(self, trial: Trial) -> Checkpoint | None:
        return self._kept.get(trial.fingerprint)

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        tensors = _on_cpu(checkpoint.tensors)
        self._kept[trial.fingerprint] = Checkpoint(
            checkpoint.position, tensors, dict(checkpoint.record)
        )

    def finish(self, trial: Trial, result: Result) -> None:
        weights = None if result.weights is None else _on_cpu(result.weights)
        self.results[trial.fingerprint] = Result(
            result.metrics, list(result.curve), weights, result.num_teacher_passes
        )

    def fail(self, trial: Trial, error: Exception) -> None:
        self.failures[trial.fingerprint] = error

    def after_epoch(self, trial: Trial, row: Row) -> None:
        pass

    def after_step(self, progress: Progress) -> Command:
        self.num_steps += 1
        return self.after(self.num_steps)


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}


def stopping_after(*steps: int) -> Callable[[int], Command]:
    return lambda step: Command.STOP if step in steps else Command.GO_ON


def run(
    trials: Sequence[Trial],
    keeper: MemoryKeeper,
    images: Images,
    device: torch.device,
    execution: ExecutionMode,
) -> None:
    run_group(trials, keeper, images.dataset(), device, execution_on(device, execution))


def digest(result: Result) -> str:
    """Of all bits of a result: metrics, curve, weights."""
    curve = [
        {k: v for k, v in row.items() if k not in ("seconds", "group_size")} for row in result.curve
    ]
    content = hashlib.sha256(repr((dict(result.metrics), curve)).encode())
    for name, value in sorted((result.weights or {}).items()):
        content.update(name.encode() + value.contiguous().numpy().tobytes())
    return content.hexdigest()
