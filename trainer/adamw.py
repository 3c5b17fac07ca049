"""AdamW (Loshchilov and Hutter 2019): torch's own class, on memory that stays where it is."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class SteadyAdamW:
    """torch.optim.AdamW, with its state there from the start, so that a step can be captured and resumed.

    Its averages are torch's defaults, `BETAS` and `EPSILON`. On a GPU it is torch's capturable form, also where it
    is not captured: the bits are the same either way.

    Args:
        parameters: by name, on one device; they are changed in place.
        weight_decay: 0 or more; decoupled from the gradients.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float) -> None:
        named = dict(parameters)
        self.parameters: list[Tensor] = list(named.values())
        self.rate = 0.0
        device = self.parameters[0].device
        is_captured = device.type != "cpu"
        self._optimiser = torch.optim.AdamW(
            self.parameters,
            lr=0.0,
            betas=BETAS,
            eps=EPSILON,
            weight_decay=weight_decay,
            capturable=is_captured,
        )
        self._group = self._optimiser.param_groups[0]
        # That form reads its rate anew in every step: it has to be in memory.
        self._rate = torch.zeros((), device=device) if is_captured else None
        if self._rate is not None:
            self._group["lr"] = self._rate
            # Torch would warn, once, that this form is slower where it is not captured.
            self._optimiser._warned_capturable_if_run_uncaptured = True  # noqa: SLF001
        state: dict[str, Tensor] = {}
        for name, parameter in named.items():
            own = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            self._optimiser.state[parameter] = own
            state |= {f"adamw.{key}.{name}": value for key, value in own.items()}
        self.state: Mapping[str, Tensor] = state

    def set_rate(self, rate: float) -> None:
        """Without waiting for the device."""
        self.rate = rate
        if self._rate is None:
            self._group["lr"] = rate
        else:
            self._rate.fill_(rate)

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """One update, by gradients in the order of `parameters`."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
