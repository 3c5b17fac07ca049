"""Models that learn nothing: a teacher that is watched, a student that scores a pool."""

import torch
from torch import Tensor, nn

from trainer.precision import at_least_fp32, forward_in
from trainer.replay import Eager, Execution
from trainer.trial import Precision


class FrozenModel:
    """A model in eval mode and without gradient, which counts its forward passes.

        begun = [frozen.begin(images) for images in views]    # side by side, where the device can
        frozen.settle()                                       # from here on they may be read
        logits = frozen(images)                               # both at once

    Args:
        model: maps images [N, 3, S, S] to logits [N, C]; it is frozen for good.
        precision: what it computes in.
        execution: how whole batches are run, others are run eagerly.
        batch_size: images of a whole batch.
    """

    def __init__(
        self,
        model: nn.Module,
        precision: Precision = "fp32",
        execution: Execution | None = None,
        batch_size: int | None = None,
    ) -> None:
        self._look = _Look(model.eval().requires_grad_(False), precision)
        self._batch_size = batch_size
        # Its own, so that what is settled is the passes alone, and not what learns from them.
        self._execution = (execution or Eager()).another()
        width = self._execution.width
        self._ways = [self._execution.prepare(self._look) for _ in range(width)]
        self._num_begun = 0
        self.num_passes = 0

    def __call__(self, images: Tensor) -> Tensor:
        logits = self.begin(images)
        self.settle()
        return logits

    @torch.no_grad()
    def begin(self, images: Tensor) -> Tensor:
        """The logits that will be there after `settle`."""
        self.num_passes += 1
        if len(images) != self._batch_size:
            return self._look(images)
        # The same way for the same pass of every step: only as many are captured as are begun at once.
        way = self._ways[self._num_begun % len(self._ways)]
        self._num_begun += 1
        return way(images)

    def settle(self) -> None:
        self._execution.settle()
        self._num_begun = 0


class _Look:
    """A frozen pass."""

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self._model = model
        self._precision = precision

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        with forward_in(self._precision, images.device):
            return at_least_fp32(self._model(images))
