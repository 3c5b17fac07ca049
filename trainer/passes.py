"""The passes of a model that learns: what a guest draws in one, for dropout, stands at the address of the pass."""

import numpy as np
import torch
from torch import Tensor, nn

from trainer.precision import at_least_fp32
from trainer.torch_generators import torch_draws_from
from trainer.views import StepViews

ADDRESS = "passes of a model"
"""Of the stream of a step from which its passes draw, one after the other; no scheme has such a name."""


class Passes:
    """Maps float images [B, 3, S, S] to logits [B, C] of float32 or more.

    Args:
        model: what learns.
        device: where it is.
        draws: whether it may draw; kdsweep's own models do not.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, draws: bool) -> None:
        self._model = model
        self._device = device
        self._draws = draws
        self._rng: np.random.Generator | None = None

    def begin_step(self, views: StepViews) -> None:
        """What the passes of a step draw follows from (seed, epoch, step) and from which of them it is."""
        if self._draws:
            self._rng = views.stream(ADDRESS)

    def __call__(self, images: Tensor) -> Tensor:
        if self._rng is None:
            return at_least_fp32(self._model(images))
        with torch_draws_from(self._rng, self._device):
            return at_least_fp32(self._model(images))
