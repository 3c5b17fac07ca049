"""Counts what torch's operations would launch on a GPU and move through its memory, without computing."""

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.footprints import TENSORS_PER_LAUNCH, Footprint, Pass

BATCH = 7
"""No architecture has so many channels anywhere: it tells activations from weights."""

NO_KERNEL = {
    "_local_scalar_dense",
    "_unsafe_view",
    "detach",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
}


def tensors_in(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    return [t for v in values for t in tensors_in(v)] if isinstance(values, list | tuple) else []


class Kernels(TorchDispatchMode):
    """One launch per operation that is no view: a lower bound, as one operation may launch more.

    Each launch reads its operands once and writes its results once. `channels` are float32 elements of
    activations per pixel, by the height of the map; `others` all other elements.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.channels: Counter[int] = Counter()
        self.others = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if func.is_view or name in NO_KERNEL:
            return out
        if name.startswith("_foreach"):
            self.launches += math.ceil(len(args[0]) / TENSORS_PER_LAUNCH)
        else:
            self.launches += sum(args[-1]) if name == "convolution_backward" else 1
        for tensor in (*tensors_in(args), *tensors_in(out)):
            floats = tensor.numel() * tensor.element_size() / 4
            if tensor.ndim >= 4 and tensor.shape[0] == BATCH:
                pixels = BATCH * tensor.shape[-2] * tensor.shape[-1]
                self.channels[tensor.shape[-1]] += round(floats / pixels)
            else:
                self.others += floats
        return out


def passes_of(model: nn.Module, size: int) -> tuple[Kernels, Kernels]:
    """A pass of `BATCH` images in eval mode and without gradient, and one forward and backward."""
    model = model.to("meta")
    images = torch.empty(BATCH, 3, size, size, device="meta")
    with torch.no_grad(), Kernels() as look:
        model.eval()(images)
    gradient = torch.empty_like(model.train()(images))
    with Kernels() as training:
        model(images).backward(gradient)
    return look, training


def footprint_of(model: nn.Module) -> Footprint:
    """What `trainer.footprints` has to say of a built model."""

    def as_pass(counted: Kernels) -> Pass:
        sizes = (64 >> i for i in range((64 // min(counted.channels)).bit_length()))
        return Pass(counted.launches, tuple(counted.channels[size] for size in sizes))

    look, training = passes_of(model, 64)
    return Footprint(as_pass(look), as_pass(training), sum(1 for _ in model.parameters()))
