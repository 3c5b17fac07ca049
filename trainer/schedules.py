"""The step schedule of the learning rate (PAPER.md, section 6)."""

from collections.abc import Sequence


def step_learning_rate(
    epoch: int, base_learning_rate: float, milestones: Sequence[int], decay: float
) -> float:
    """Base * decay**k in `epoch` (counted from 1), k being the number of milestones *before* it.

    Epoch 150 still runs at the base rate when 150 is a milestone; epoch 151 is the first below it.
    """
    return base_learning_rate * decay ** sum(epoch > milestone for milestone in milestones)
