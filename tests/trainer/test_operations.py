"""How many operations a device is asked for in one step of a group: numbers that may only shrink."""

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from tests.trainer.pinned import with_pinned_torch
from trainer import learners
from trainer.augmentations.schemes import PolicyDecision
from trainer.catalog import AUGMENTATIONS
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset, Part
from trainer.frozen import FrozenModel
from trainer.keeper import Command, FolderKeeper, Progress
from trainer.lockstep import run_group
from trainer.models import build_model, layers
from trainer.sgd import MomentumSGD
from trainer.trial import Data, StudentTrial, Trial

pytestmark = with_pinned_torch

Operation: TypeAlias = "OpOverload[..., Any]"

CPU = torch.device("cpu")
BATCH_SIZE = 2
"""The numbers are the same for larger batches, and for larger images."""

DATA = Data.official("cifar100", train_images=4 * BATCH_SIZE, test_images=2)

ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
SEVERAL = {"nll_loss_backward": 2, "max_pool2d_with_indices_backward": 2, "sort": 3}
"""Kernels on CUDA: some clear their output first, and a sort is three."""


@functools.cache
def is_view(func: Operation) -> bool:
    aliases = (returned.alias_info for returned in func._schema.returns)
    return any(alias is not None and not alias.is_write for alias in aliases)


def launches(func: Operation, args: Sequence[Any]) -> int:
    """Kernels that an operation launches on CUDA, at least: none where it only looks at memory anew."""
    name = func.overloadpacket.__name__
    if is_view(func) or name in ALLOCATIONS or name == "_unsafe_view":
        return 0
    if name.startswith("_foreach_"):
        return launches_of_lists([a for a in args if isinstance(a, list)], func._schema.is_mutable)
    if name == "convolution_backward":
        return sum(args[-1])
    return SEVERAL.get(name, 1)


def launches_of_lists(lists: Sequence[Sequence[Tensor]], is_in_place: bool) -> int:
    """Kernels of one operation on lists of tensors: each takes so many tensors, in so many blocks.

    Where tensors that belong together differ in shape, each is an operation of its own.
    """
    if any(len({tensor.shape for tensor in each}) > 1 for each in zip(*lists, strict=True)):
        return len(lists[0])
    most_tensors = {1: 110, 2: 64, 3: 48, 4: 36}[len(lists) + (not is_in_place)]
    kernels, tensors, blocks = 0, 0, 0
    for tensor in lists[0]:
        tensors += 1
        in_tensor = -(-tensor.numel() // 65_536)
        for block in range(1, in_tensor + 1):
            blocks += 1
            if blocks == 320 or (block == in_tensor and tensors == most_tensors):
                kernels += 1
                tensors, blocks = int(block < in_tensor), 0
    return kernels + (blocks > 0)


@pytest.mark.parametrize(
    ("shapes", "in_place", "kernels"),
    [
        ([(3,)] * 110, True, 1),
        ([(3,)] * 111, True, 2),
        ([(3,)] * 65, False, 2),
        ([(320, 65_536)], True, 1),
        ([(320, 65_536), (1,)], True, 2),
        ([(321, 65_536)], True, 2),
    ],
)
def test_kernels_of_lists(shapes: list[tuple[int, ...]], in_place: bool, kernels: int) -> None:
    """Limits of `multi_tensor_apply`: 110 tensors of one list, 64 of two, 320 blocks of 65,536 numbers."""
    tensors = [torch.empty(shape, device="meta") for shape in shapes]
    assert launches_of_lists([tensors], in_place) == kernels


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts kernels, and calls of functions, by what they are for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._purpose = "the rest"

    def __torch_dispatch__(
        self,
        func: Operation,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.kernels[self._purpose] += launches(func, args)
        return func(*args, **(kwargs or {}))

    def of(self, purpose: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; what it launches is launched for this purpose."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[purpose] += 1
            outer, self._purpose = self._purpose, purpose
            try:
                return function(*args, **kwargs)
            finally:
                self._purpose = outer

        return counted


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Launches:
    """AutoAugment decides to do nothing: what it might do is counted by itself. No weights are drawn."""
    monkeypatch.setattr(layers, "fill_normal", lambda *_: None)
    idle = PolicyDecision(0, (1.0, 1.0), (0, 0))
    monkeypatch.setattr(PolicyDecision, "draw", lambda *_: idle)
    counted = Launches()
    for purpose, owner, name in (
        ("teacher", FrozenModel, "begin"),
        ("forward", learners._DistillationLoss, "__call__"),
        ("backward", torch.autograd, "grad"),
        ("optimiser", MomentumSGD, "step"),
    ):
        monkeypatch.setattr(owner, name, counted.of(purpose, getattr(owner, name)))
    return counted


class SecondStepKeeper(FolderKeeper):
    """Counts the second step of a group alone, and stops it."""

    def __init__(self, folder: Path, counted: Launches, teacher: str) -> None:
        super().__init__(folder)
        self._counted = counted
        self._teacher = teacher

    def weights(self, fingerprint: str) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = build_model(self._teacher, 100, 16).state_dict()
        return weights

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        pass

    def after_step(self, progress: Progress) -> Command:
        if progress.step == 2:
            return Command.STOP
        self._counted.kernels.clear()
        self._counted.calls.clear()
        return Command.GO_ON


def random_images(count: int, size: int = 16) -> Part:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return Part(torch.from_numpy(images), torch.from_numpy(rng.integers(0, 100, count)))


PAIRS: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("wrn_40_2", "wrn_16_2"): {
        "teacher": 1080,
        "forward": 1492,
        "backward": 1791,
        "optimiser": 423,
        "the rest": 67,
    },
    ("resnet56", "resnet20"): {
        "teacher": 1592,
        "forward": 2062,
        "backward": 2466,
        "optimiser": 630,
        "the rest": 67,
    },
    ("vgg13", "vgg8"): {
        "teacher": 288,
        "forward": 770,
        "backward": 999,
        "optimiser": 225,
        "the rest": 67,
    },
    ("resnet32x4", "ShuffleV2"): {
        "teacher": 936,
        "forward": 4836,
        "backward": 6039,
        "optimiser": 1611,
        "the rest": 67,
    },
    ("ResNet50", "vgg8"): {
        "teacher": 1392,
        "forward": 770,
        "backward": 999,
        "optimiser": 225,
        "the rest": 67,
    },
    ("vgg13", "MobileNetV2"): {
        "teacher": 288,
        "forward": 4228,
        "backward": 5382,
        "optimiser": 1530,
        "the rest": 67,
    },
}
"""Kernels of one step of the group of nine, at least. Whoever makes them fewer writes down how many they are."""


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_kernels_of_a_step(pair: tuple[str, str], watched: Launches, tmp_path: Path) -> None:
    teacher, student = pair
    group = [
        StudentTrial(
            data=DATA,
            teacher=teacher,
            teacher_fingerprint="0" * 64,
            student=student,
            augmentation=name,
            seed=0,
            learning_rate=0.01,
            batch_size=BATCH_SIZE,
            pick_size=BATCH_SIZE,
        )
        for name in AUGMENTATIONS
    ]
    names = tuple(map(str, range(100)))
    halves = random_images(DATA.train_images), random_images(DATA.test_images)
    dataset = Dataset(DATA.name, names, *halves, (0.5,) * 3, (0.25,) * 3)
    with watched:
        run_group(group, SecondStepKeeper(tmp_path, watched, teacher), dataset, CPU)
    assert watched.kernels == PAIRS[pair]
    assert watched.calls == {"teacher": 8, "forward": 9, "backward": 9, "optimiser": 9}


@pytest.mark.parametrize(("size", "most"), [(32, 55), (64, 55)])
def test_kernels_of_autoaugment(size: int, most: int) -> None:
    """Of the sub-policy that takes most; none takes more for a larger batch."""
    counts = []
    for batch_size in (2, 3):
        images = random_images(batch_size, size).images
        for policy in range(25):
            decision = PolicyDecision(policy, (0.0, 0.0), (1, 1))
            decision.transform(images)  # what is computed once and kept is on the CPU
            with Launches() as counted:
                decision.transform(images)
            counts.append(counted.kernels["the rest"])
    assert counts[:25] == counts[25:]
    assert max(counts) == most
