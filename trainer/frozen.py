"""Models that learn nothing: a teacher that is watched, a student that scores a pool."""

import torch
from torch import Tensor, nn

from trainer.precision import at_least_fp32, forward_in
from trainer.replay import Eager, Execution
from trainer.trial import Precision


class FrozenModel:
    """A model in eval mode and without gradient, which counts its forward passes.

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
        self._model = model.eval().requires_grad_(False)
        self._precision = precision
        self._batch_size = batch_size
        self._run_whole = (execution or Eager()).prepare(self._run)
        self.num_passes = 0

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        self.num_passes += 1
        if len(images) == self._batch_size:
            return self._run_whole(images)
        return self._run(images)

    def _run(self, images: Tensor) -> Tensor:
        with torch.no_grad(), forward_in(self._precision, images.device):
            return at_least_fp32(self._model(images))
