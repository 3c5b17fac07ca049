"""Two predictors of one's own, for examples/own_predictor.yaml."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.predictors.own import register


class MeanOverSteps:
    """A mean over steps of one number each, and its standard error; adds stay on the device."""

    def __init__(self) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64)

    def add(self, number: Tensor) -> None:
        """A number of this step, []."""
        one = torch.ones_like(number, dtype=torch.float64)
        step = torch.stack([one, number.double(), number.double().square()])
        self.sums = self.sums.to(step.device) + step

    def value(self) -> float:
        count, total, _ = self.sums.tolist()
        return total / count

    def standard_error(self) -> float:
        count, total, squares = self.sums.tolist()
        if count < 2:
            return math.nan
        return math.sqrt(max(squares - total**2 / count, 0.0) / (count - 1) / count)

    def state(self) -> dict[str, Tensor]:
        return {"sums": self.sums}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.sums = state["sums"]


@register("margin")
class Margin(MeanOverSteps):
    """How far the teacher's answer to an augmented image is ahead of the next: the mean difference of the two largest
    probabilities. Lower is better, where nothing is said.
    """

    def update(self, original: Tensor, mixed: Tensor, labels: Tensor) -> None:
        first, second = mixed.softmax(1).topk(2, dim=1).values.unbind(1)
        self.add((first - second).mean())


@register("shift")
class Shift(MeanOverSteps):
    """How far augmentation moves the teacher's mean probability of a batch: half the sum of absolute differences."""

    lower_is_better = False

    def update(self, original: Tensor, mixed: Tensor, labels: Tensor) -> None:
        difference = original.softmax(1).mean(0) - mixed.softmax(1).mean(0)
        self.add(difference.abs().sum() / 2)
