"""T. stddev: the standard deviation of the teacher's mean probability (PAPER.md, section 5)."""

import math
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor


class MeanProbabilityStddev:
    """Running T. stddev in constant memory.

    A window is `batches_per_window` steps. The probabilities of all its images, original and mixed, are
    averaged into one mean probability per class. T. stddev is the mean over classes of the unbiased
    standard deviation of that number over all complete windows so far (Welford's recurrence, float64).
    Windows run on across epoch borders; an incomplete last window is never counted.

        meter = MeanProbabilityStddev()
        for x, m in steps:
            meter.update(softmax(teacher(x)), softmax(teacher(m)))
        meter.value()
    """

    def __init__(self, batches_per_window: int = 5) -> None:
        self.batches_per_window = batches_per_window
        self.num_windows = 0
        self._batches = 0
        self._images = 0
        self._sum: Tensor | None = None
        self._mean: Tensor | None = None
        self._squares: Tensor | None = None

    def update(self, original_probabilities: Tensor, mixed_probabilities: Tensor) -> None:
        """Add one step: float [B, C] of the original and [B', C] of the mixed images.

        Waits for no device: the numbers stay where the probabilities are.
        """
        total = original_probabilities.double().sum(0) + mixed_probabilities.double().sum(0)
        self._sum = total if self._sum is None else self._sum + total
        self._images += len(original_probabilities) + len(mixed_probabilities)
        self._batches += 1
        if self._batches == self.batches_per_window:
            self._close_window(self._sum / self._images)
            self._sum, self._images, self._batches = None, 0, 0

    def _close_window(self, window: Tensor) -> None:
        self.num_windows += 1
        if self._mean is None or self._squares is None:
            self._mean, self._squares = window, torch.zeros_like(window)
            return
        deviation = window - self._mean
        self._mean = self._mean + deviation / self.num_windows
        self._squares = self._squares + deviation * (window - self._mean)

    def value(self) -> float:
        """T. stddev over the windows so far; nan with fewer than two."""
        if self._squares is None or self.num_windows < 2:
            return math.nan
        return float((self._squares / (self.num_windows - 1)).sqrt().mean())

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on from here, as tensors."""
        tensors = {"sum": self._sum, "mean": self._mean, "squares": self._squares}
        counts = torch.tensor([self.num_windows, self._batches, self._images])
        return {"counts": counts} | {k: v.cpu() for k, v in tensors.items() if v is not None}

    @classmethod
    def from_state(
        cls, batches_per_window: int, state: Mapping[str, Tensor], device: torch.device
    ) -> Self:
        """The meter whose `state()` was saved."""
        meter = cls(batches_per_window)
        meter.num_windows, meter._batches, meter._images = state["counts"].tolist()
        meter._sum, meter._mean, meter._squares = (
            state[name].to(device) if name in state else None for name in ("sum", "mean", "squares")
        )
        return meter
