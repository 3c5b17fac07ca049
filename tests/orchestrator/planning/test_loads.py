"""What a group is said to launch is what its steps launch."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.planning.costs import group_loads
from tests.trainer.kernels import Kernels
from trainer.catalog import AUGMENTATIONS
from trainer.datasets.dataset import Dataset, Part
from trainer.keeper import Command, FolderKeeper, Progress
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.trial import Data, StudentTrial, TeacherTrial, Trial, steps_per_epoch


class CountingKeeper(FolderKeeper):
    """Counts from the first step's end to the last one's."""

    def __init__(self, folder: Path, kernels: Kernels, weights: dict[str, torch.Tensor]) -> None:
        super().__init__(folder)
        self._kernels, self._weights = kernels, weights
        self.after_first = self.steps = 0

    def weights(self, fingerprint: str) -> dict[str, torch.Tensor]:
        return self._weights

    def after_step(self, progress: Progress) -> Command:
        self.steps += 1
        if self.steps == 1:
            self.after_first = self._kernels.launches
        return Command.STOP if self.steps == 4 else Command.GO_ON

    @property
    def launches_per_step(self) -> float:
        return (self._kernels.launches - self.after_first) / (self.steps - 1)


def images(count: int) -> Part:
    drawn = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return Part(torch.from_numpy(drawn), torch.arange(count) % 100)


def counted_per_step(trials: list[Trial], folder: Path) -> float:
    teacher = build_model(trials[0].teacher, 100, 32)
    data = trials[0].data
    some = Dataset(
        "x",
        tuple(map(str, range(100))),
        images(data.train_images),
        images(8),
        (0.5,) * 3,
        (0.25,) * 3,
    )
    with Kernels() as kernels:
        keeper = CountingKeeper(folder, kernels, dict(teacher.state_dict()))
        run_group(trials, keeper, some, torch.device("cpu"))
    return keeper.launches_per_step


DATA = Data.official("cifar100", train_images=40, test_images=8)


def trials_of(teacher: str, student: str, augmentations: list[str]) -> list[Trial]:
    taught = TeacherTrial(data=DATA, teacher=teacher, seed=0, learning_rate=0.05)
    given = {"data": DATA, "teacher": teacher, "teacher_fingerprint": taught.fingerprint}
    return [
        StudentTrial(
            **given,
            student=student,
            seed=0,
            batch_size=4,
            pick_size=4,
            epochs=1,
            augmentation=name,
            learning_rate=0.01,
        )
        for name in augmentations
    ]


@pytest.mark.parametrize(
    "augmentations", [["cutmix"], [a for a in AUGMENTATIONS if a != "autoaugment"]]
)
@pytest.mark.parametrize(("teacher", "student"), [("resnet20", "resnet8"), ("vgg8", "MobileNetV2")])
def test_launches_of_a_group_are_those_of_its_steps(
    teacher: str,
    student: str,
    augmentations: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU torch's SGD takes lists of tensors without being told."""
    monkeypatch.setattr(torch.optim, "SGD", functools.partial(torch.optim.SGD, foreach=True))
    trials = trials_of(teacher, student, augmentations)
    told = sum(load.launches for load in group_loads(trials)) / steps_per_epoch(trials[0])
    assert told == pytest.approx(counted_per_step(trials, tmp_path), rel=0.05)
