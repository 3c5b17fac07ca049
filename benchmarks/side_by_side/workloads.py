"""What both sides get: the same trials, images and weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.side_by_side.pillow_images import NUM_WORKERS, PREFETCH_FACTOR
from trainer.catalog import ARCHITECTURES, AUGMENTATIONS, DATASETS, default_learning_rate, pick_of
from trainer.checkpoint import CheckpointFolder
from trainer.datasets.dataset import Dataset, Part, load_dataset
from trainer.models import build_model
from trainer.trial import Data, Precision, StddevTrial, StudentTrial, TeacherTrial, Trial

PAIRS = (
    "wrn_40_2/wrn_16_2",
    "resnet56/resnet20",
    "vgg13/vgg8",
    "resnet32x4/ShuffleV2",
    "ResNet50/vgg8",
    "vgg13/MobileNetV2",
)
DEPTHWISE = frozenset({"MobileNetV2", "ShuffleV1", "ShuffleV2"})
"""Students of depthwise convolutions, which bf16 does not help on a CPU."""

SCHEMES = AUGMENTATIONS
TEST_IMAGES = 100
Kind = Literal["student", "stddev"]


class Pair(NamedTuple):
    teacher: str
    student: str

    @classmethod
    def of(cls, text: str) -> "Pair":
        """Raises `ValueError` where it is none."""
        teacher, slash, student = text.partition("/")
        unknown = [name for name in (teacher, student) if name not in ARCHITECTURES]
        if not slash or unknown:
            raise ValueError(f"expected TEACHER/STUDENT, as in vgg13/vgg8, not {text!r}")
        return cls(teacher, student)


@dataclass(frozen=True)
class Scale:
    """Which images, how many of them in a batch, how many steps before the clock and under it.

    `images` is `cifar100` (made-up pixels in its form: 32x32, 100 classes) or `fashion_mini` (the embedded ones).
    """

    images: Literal["cifar100", "fashion_mini"] = "cifar100"
    batch_size: int = 64
    warmup: int = 1
    steps: int = 3

    @property
    def data(self) -> Data:
        """Enough images that the loader's workers are never at the end while the clock runs."""
        batches = self.warmup + self.steps + NUM_WORKERS * PREFETCH_FACTOR + 1
        return Data.official(self.images, batches * self.batch_size, TEST_IMAGES)

    def dataset(self) -> Dataset:
        return load_dataset(self.data) if self.images == "fashion_mini" else _made_up(self.data)


def _made_up(data: Data) -> Dataset:
    facts, rng = DATASETS[data.name], np.random.default_rng(0)
    assert facts.mean is not None
    assert facts.std is not None

    def part(count: int) -> Part:
        shape = (count, 3, data.image_size, data.image_size)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        labels = rng.integers(0, data.num_classes, count)
        return Part(torch.from_numpy(pixels), torch.from_numpy(labels))

    names = tuple(map(str, range(data.num_classes)))
    train, test = part(data.train_images), part(data.test_images)
    return Dataset(data.name, names, train, test, facts.mean, facts.std)


def teacher_trial(pair: Pair, scale: Scale) -> TeacherTrial:
    rate = default_learning_rate(pair.teacher)
    return TeacherTrial(data=scale.data, teacher=pair.teacher, seed=0, learning_rate=rate)


def student_trial(
    pair: Pair, scheme: str, scale: Scale, precision: Precision = "fp32"
) -> StudentTrial:
    settings: dict[str, Any] = {
        "data": scale.data,
        "teacher": pair.teacher,
        "teacher_fingerprint": teacher_trial(pair, scale).fingerprint,
        "student": pair.student,
        "augmentation": scheme,
        "seed": 0,
        "batch_size": scale.batch_size,
        "pick_size": scale.batch_size,
        "learning_rate": default_learning_rate(pair.student),
        "precision": precision,
    }
    return StudentTrial.model_validate(settings)


def stddev_trial(
    pair: Pair, scheme: str, scale: Scale, precision: Precision = "fp32"
) -> StddevTrial:
    settings: dict[str, Any] = {
        "data": scale.data,
        "teacher": pair.teacher,
        "teacher_fingerprint": teacher_trial(pair, scale).fingerprint,
        "augmentation": scheme,
        "seed": 0,
        "batch_size": scale.batch_size,
        "pick_size": scale.batch_size,
        "precision": precision,
    }
    pick = pick_of(scheme)
    if pick is not None and pick.needs_student:
        judge = student_trial(pair, scheme, scale)
        settings |= {"student": pair.student, "student_fingerprint": judge.fingerprint}
        settings |= {"student_cell": judge.cell}
    return StddevTrial.model_validate(settings)


def trials(
    kind: Kind, pair: Pair, schemes: Sequence[str], scale: Scale, precision: Precision = "fp32"
) -> list[Trial]:
    make = student_trial if kind == "student" else stddev_trial
    return [make(pair, scheme, scale, precision) for scheme in schemes]


def keep_weights(pair: Pair, scale: Scale, folder: Path) -> None:
    """Keep a teacher, and the student that some T. stddev trials ask, where both sides look for them."""
    torch.set_num_threads(1)
    dataset = scale.dataset()
    judge = student_trial(pair, "cutmixpick_s", scale)
    for architecture, fingerprint in (
        (pair.teacher, teacher_trial(pair, scale).fingerprint),
        (pair.student, judge.fingerprint),
    ):
        model = build_model(architecture, dataset.num_classes, dataset.image_size)
        _settle(model, dataset.train.images[: 2 * scale.batch_size])
        CheckpointFolder(folder / fingerprint).keep(model.state_dict())


@torch.no_grad()
def _settle(model: nn.Module, images: torch.Tensor) -> None:
    """Batch-norm statistics of some images: untrained ones would let activations grow from layer to layer."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    model(images / 255 - 0.5)
    for norm in norms:
        norm.momentum = 0.1
