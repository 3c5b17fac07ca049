"""SGD with momentum and weight decay, on memory that stays where it is."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class MomentumSGD:
    """torch.optim.SGD's arithmetic, bit for bit; but a step is operations on tensors alone.

    With g' = g + weight_decay * p and v = momentum * v + g', p becomes p - rate * v. The rate is a tensor and
    the momenta are there from the start, so a step that has been captured goes on under any schedule.

    Args:
        parameters: by name; they are changed in place.
        momentum: 0 or more, below 1.
        weight_decay: 0 or more.
    """

    def __init__(
        self, parameters: Iterable[tuple[str, nn.Parameter]], momentum: float, weight_decay: float
    ) -> None:
        named = dict(parameters)
        self.parameters: list[Tensor] = list(named.values())
        self.momenta: Mapping[str, Tensor] = {k: torch.zeros_like(p) for k, p in named.items()}
        self.state: Mapping[str, Tensor] = {f"momentum.{k}": v for k, v in self.momenta.items()}
        self.rate = 0.0
        self._momentum = momentum
        self._weight_decay = weight_decay
        # 0-dimensional: `addcmul` with it rounds once, as `add` with a number as its `alpha` does.
        self._negative_rate = self.parameters[0].new_zeros(())

    def set_rate(self, rate: float) -> None:
        """Without waiting for the device."""
        self.rate = rate
        self._negative_rate.fill_(-rate)

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """One update, by gradients in the order of `parameters`."""
        if self._weight_decay:
            gradients = torch._foreach_add(  # noqa: SLF001 - beta, not private
                gradients, self.parameters, alpha=self._weight_decay
            )
        moved = gradients
        if self._momentum:
            moved = tuple(self.momenta.values())
            torch._foreach_mul_(moved, self._momentum)
            torch._foreach_add_(moved, gradients)
        for parameter, by in zip(self.parameters, moved, strict=True):
            parameter.addcmul_(by, self._negative_rate)
