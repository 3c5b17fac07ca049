"""The learning rate of each epoch: in steps (PAPER.md, section 6), or along a cosine."""

import math
from collections.abc import Sequence


def step_learning_rate(
    epoch: int, base_learning_rate: float, milestones: Sequence[int], decay: float
) -> float:
    """Base * decay**k in `epoch` (counted from 1), k being the number of milestones *before* it.

    Epoch 150 still runs at the base rate when 150 is a milestone; epoch 151 is the first below it.
    """
    return base_learning_rate * decay ** sum(epoch > milestone for milestone in milestones)


def cosine_learning_rate(epoch: int, base_learning_rate: float, epochs: int) -> float:
    """Base * (1 + cos(pi * (epoch - 1) / epochs)) / 2 in `epoch`, counted from 1 (Loshchilov and Hutter 2017).

    As torch's CosineAnnealingLR with T_max = epochs, stepped once an epoch: the first runs at the base rate, and
    nought would be reached after the last.
    """
    return base_learning_rate * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
