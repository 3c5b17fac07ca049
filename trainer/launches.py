"""Counts what torch's operations would launch on a GPU, and move through its memory."""

import math
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.footprints import TENSORS_PER_LAUNCH

NO_KERNEL = frozenset(
    {
        "_local_scalar_dense",
        "_unsafe_view",
        "detach",
        "empty",
        "empty_like",
        "empty_strided",
        "new_empty",
        "new_empty_strided",
    }
)


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """One launch per operation that is no view: a lower bound, as one operation may launch more.

    Each launch reads its operands once and writes its results once: `floats` float32 elements in all.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches = 0
        self.floats = 0.0

    def note(self, tensor: Tensor, floats: float) -> None:
        """An operation reads or writes a tensor of so many float32 elements."""
        self.floats += floats

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if func.is_view or name in NO_KERNEL:
            return out
        if name.startswith("_foreach"):
            self.launches += math.ceil(len(args[0]) / TENSORS_PER_LAUNCH)
        else:
            self.launches += sum(args[-1]) if name == "convolution_backward" else 1
        for tensor in (*_tensors_in(args), *_tensors_in(out)):
            self.note(tensor, tensor.numel() * tensor.element_size() / 4)
        return out


def _tensors_in(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    return [t for v in values for t in _tensors_in(v)] if isinstance(values, list | tuple) else []
