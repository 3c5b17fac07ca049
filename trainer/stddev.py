"""T. stddev: the standard deviation of the teacher's mean probability (PAPER.md, section 5)."""

import math
from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor

MAX_BLOCKS = 4096
"""Blocks of windows that are remembered for the standard error; the paper's runs have 1,564 and 3,126."""


class MeanProbabilityStddev:
    """Running T. stddev and its standard error, in constant memory.

    A window is `batches_per_window` steps. The probabilities of all its images, original and mixed, are
    averaged into one mean probability per class. T. stddev is the mean over classes of the unbiased
    standard deviation of that number over all complete windows so far (Welford's recurrence, float64).
    Windows run on across epoch borders; an incomplete last window is never counted.

        meter = MeanProbabilityStddev()
        for x, m in steps:
            meter.update(softmax(teacher(x)), softmax(teacher(m)))
        meter.value(), meter.standard_error()
    """

    def __init__(self, batches_per_window: int = 5) -> None:
        self.batches_per_window = batches_per_window
        self.num_windows = 0
        self._batches = 0
        self._images = 0
        self._sum: Tensor | None = None
        self._mean: Tensor | None = None
        self._squares: Tensor | None = None
        self._blocks = _Blocks()

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
        self._blocks.add(window)
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

    def standard_error(self) -> float:
        """The jackknife's standard error of `value()`: sqrt( (g-1)/g * sum_i (v_i - mean v)^2 ).

        v_i is T. stddev without the i-th of g windows (Efron & Stein 1981). Beyond 4,096 windows,
        neighbours are left out together: a delete-a-group jackknife. nan with fewer than three windows.
        """
        return self._jackknife(lambda variances: variances.sqrt().mean(1))

    def covariance_trace(self) -> float:
        """The trace of the classes' covariance over windows: the sum over classes of the unbiased variance.

        It looks at what T. stddev looks at: the means of whole windows, of original and augmented images alike.
        Where all classes vary alike it is C * (T. stddev)^2, else more. nan with fewer than two windows.
        """
        if self._squares is None or self.num_windows < 2:
            return math.nan
        return float((self._squares / (self.num_windows - 1)).sum())

    def covariance_trace_standard_error(self) -> float:
        """The jackknife's standard error of `covariance_trace()`, over windows as that of `value()`."""
        return self._jackknife(lambda variances: variances.sum(1))

    def _jackknife(self, statistic: Callable[[Tensor], Tensor]) -> float:
        """Of a statistic [G] of variances [G, C] of G sets of windows."""
        if self._mean is None or self._squares is None or self.num_windows < 3:
            return math.nan
        return self._blocks.jackknife(self.num_windows, self._mean, self._squares, statistic)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on from here, as tensors."""
        tensors = {"sum": self._sum, "mean": self._mean, "squares": self._squares}
        counts = torch.tensor([self.num_windows, self._batches, self._images])
        kept = {k: v.cpu() for k, v in tensors.items() if v is not None}
        return {"counts": counts} | kept | self._blocks.state()

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
        meter._blocks = _Blocks.from_state(state, device)
        return meter


class _Blocks:
    """The windows in blocks of equal size: their means and their sums of squared deviations, [C] each.

    Blocks hold one window each until there are `MAX_BLOCKS`; then neighbours are merged, and from there on
    a block holds twice as many. Windows that do not fill a block yet are in none.
    """

    def __init__(self) -> None:
        self._size = 1
        self._means: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._open: list[Tensor] = []

    def add(self, window: Tensor) -> None:
        self._open.append(window)
        if len(self._open) < self._size:
            return
        windows = torch.stack(self._open)
        self._open = []
        self._means.append(windows.mean(0))
        self._squares.append((windows - self._means[-1]).square().sum(0))
        if len(self._means) == MAX_BLOCKS:
            self._merge_neighbours()

    def _merge_neighbours(self) -> None:
        means, squares = torch.stack(self._means), torch.stack(self._squares)
        difference = means[::2] - means[1::2]
        # Joining two means of `size` windows each adds difference^2 * size * size / (size + size).
        merged = squares[::2] + squares[1::2] + difference.square() * self._size / 2
        self._means = list(((means[::2] + means[1::2]) / 2).unbind())
        self._squares = list(merged.unbind())
        self._size *= 2

    def jackknife(
        self,
        num_windows: int,
        mean: Tensor,
        squares: Tensor,
        statistic: Callable[[Tensor], Tensor],
    ) -> float:
        """The standard error of a statistic, from the mean and the squared deviations of all windows, [C] each."""
        means, within = torch.stack(self._means), torch.stack(self._squares)
        # Windows that are in no block yet stay in every v_i: only whole blocks are left out.
        left = num_windows - self._size
        mean_without = (num_windows * mean - self._size * means) / left
        between = (means - mean_without).square() * (self._size * left / num_windows)
        squares_without = (squares - within - between).clamp(min=0)
        values = statistic(squares_without / (left - 1))
        groups = len(means)
        return float(((values - values.mean()).square().sum() * (groups - 1) / groups).sqrt())

    def state(self) -> dict[str, Tensor]:
        lists = {"means": self._means, "squares": self._squares, "open": self._open}
        kept = {f"blocks.{k}": torch.stack(v).cpu() for k, v in lists.items() if v}
        return kept | {"blocks.size": torch.tensor(self._size)}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], device: torch.device) -> Self:
        blocks = cls()
        blocks._size = int(state["blocks.size"])
        blocks._means, blocks._squares, blocks._open = (
            list(state[name].to(device).unbind()) if name in state else []
            for name in ("blocks.means", "blocks.squares", "blocks.open")
        )
        return blocks
