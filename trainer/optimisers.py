"""What a trial's weights are learned by: an optimiser, gradients that it is given, a rate for each epoch."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from trainer.adamw import SteadyAdamW
from trainer.schedules import cosine_learning_rate, step_learning_rate
from trainer.sgd import MomentumSGD
from trainer.trial import Training

SMALLEST = 1e-6
"""Torch's: added to a norm that gradients are divided by."""


class Optimiser(Protocol):
    """It changes parameters and its own state, in place, and waits for nothing."""

    parameters: list[Tensor]
    state: Mapping[str, Tensor]
    """All that it has from one step to the next, by names that no other optimiser has; there from the start."""
    rate: float

    def set_rate(self, rate: float) -> None: ...

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """One update, by gradients in the order of `parameters`."""


def optimiser_of(training: Training, model: nn.Module) -> Optimiser:
    """The optimiser that trains a model, on the device where it is."""
    if training.optimiser == "adamw":
        return SteadyAdamW(model.named_parameters(), training.weight_decay)
    return MomentumSGD(model.named_parameters(), training.momentum, training.weight_decay)


def rate_in(epoch: int, training: Training, base: float) -> float:
    """The learning rate of an epoch, counted from 1."""
    if training.schedule == "cosine":
        return cosine_learning_rate(epoch, base, training.epochs)
    return step_learning_rate(epoch, base, training.milestones, training.decay)


@torch.no_grad()
def clipped(gradients: tuple[Tensor, ...], norm: float) -> tuple[Tensor, ...]:
    """Gradients scaled down, all by one factor, so that the Euclidean norm of them together is `norm` at most.

    The arithmetic of `torch.nn.utils.clip_grad_norm_`, bit for bit; no host decides whether to scale.
    """
    factor = (norm / (get_total_norm(gradients) + SMALLEST)).clamp(max=1.0)
    return torch._foreach_mul(gradients, factor)  # noqa: SLF001 - beta, not private
