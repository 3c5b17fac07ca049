"""Counts what torch's operations would launch on a GPU and move through its memory, without computing."""

from collections import Counter

import torch
from torch import Tensor, nn

from trainer.footprints import Footprint, Pass
from trainer.launches import Launches

BATCH = 7
"""No architecture has so many channels anywhere: it tells activations from weights."""


class Kernels(Launches):
    """`channels` are float32 elements of activations per pixel, by the height of the map; `others` all other elements."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: Counter[int] = Counter()
        self.others = 0.0

    def note(self, tensor: Tensor, floats: float) -> None:
        if tensor.ndim >= 4 and tensor.shape[0] == BATCH:
            pixels = BATCH * tensor.shape[-2] * tensor.shape[-1]
            self.channels[tensor.shape[-1]] += round(floats / pixels)
        else:
            self.others += floats


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
