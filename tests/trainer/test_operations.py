"""How many operations a device is asked for in one step of a group: numbers that may only shrink."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from tests.trainer.pretended_device import TRIED_WITH
from trainer.augmentations.schemes import PolicyDecision
from trainer.catalog import AUGMENTATIONS
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset, Part
from trainer.frozen import FrozenModel
from trainer.keeper import Command, FolderKeeper, Progress
from trainer.learners import StudentMember
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.sgd import MomentumSGD
from trainer.trial import Data, StudentTrial, TeacherTrial, Trial

pytestmark = pytest.mark.skipif(
    torch.__version__.partition("+")[0] != TRIED_WITH,
    reason=f"of what operations torch makes itself depends on its version: counted with {TRIED_WITH}",
)

CPU = torch.device("cpu")
BATCH_SIZE = 2
"""The numbers are the same for every batch."""

DATA = Data.official("cifar100", train_images=4 * BATCH_SIZE, test_images=2)

ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
SEVERAL = {"nll_loss_backward": 2, "max_pool2d_with_indices_backward": 2, "sort": 3}
"""Kernels on CUDA: some clear their output first, and a sort is three."""


def launches(func: OpOverload[..., Any], args: Sequence[Any]) -> int:
    """Kernels that an operation launches on CUDA, at least: none where it only looks at memory anew."""
    name = func.overloadpacket.__name__
    is_view = any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns)
    if is_view or name in ALLOCATIONS or name == "_unsafe_view":
        return 0
    if name.startswith("_foreach_"):
        return launches_of_lists([a for a in args if isinstance(a, list)], func._schema.is_mutable)
    if name == "convolution_backward":
        return sum(args[-1])
    return SEVERAL.get(name, 1)


def launches_of_lists(lists: Sequence[Sequence[Tensor]], is_in_place: bool) -> int:
    """Kernels of one operation on lists of tensors: each takes so many tensors and so many blocks of them."""
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


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts kernels by what they are for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._purpose = "views"

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.counts[self._purpose] += launches(func, args)
        return func(*args, **(kwargs or {}))

    def restart(self) -> None:
        self.counts.clear()
        self.calls.clear()

    def of(self, purpose: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose kernels count as of this purpose."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[purpose] += 1
            outer, self._purpose = self._purpose, purpose
            try:
                return function(*args, **kwargs)
            finally:
                self._purpose = outer

        return counted


class SecondStepKeeper:
    """Counts the second step of a group alone: the first makes what stays."""
