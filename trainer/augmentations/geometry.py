"""AutoAugment's geometric operations as what they are: every pixel comes from one other, or from outside.

Torchvision computes for each call where pixels come from, on the device, from numbers that the host has to
send and wait for, and in that device's rounding. Here that is computed once, on the CPU, by torchvision itself.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import _apply_op as apply_operation

from trainer.sending import sent

GEOMETRIC = frozenset({"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"})


def move_pixels(images: Tensor, name: str, magnitude: float) -> Tensor:
    """The bytes of torchvision's operation, with nearest pixels and black from outside.

    Args:
        images: uint8 [B, C, S, S].
        name: of `GEOMETRIC`.

    Returns:
        uint8 [B, C, S, S].
    """
    sources = sent(_sources(name, magnitude, images.shape[-1]), images.device)
    with_black = F.pad(images.flatten(2), (1, 0))
    return with_black[:, :, sources].view_as(images)


@lru_cache(maxsize=64)
def _sources(name: str, magnitude: float, size: int) -> NDArray[np.int64]:
    """Int64 [S * S]: the number of the pixel, from 1, that each is taken from; 0 for outside."""
    # Float32 holds whole numbers up to 2**24; images are 1,024 pixels wide at most.
    numbers = torch.arange(1.0, size * size + 1).view(1, 1, size, size)
    moved = apply_operation(
        numbers, name, magnitude, interpolation=InterpolationMode.NEAREST, fill=None
    )
    return np.asarray(moved.flatten().to(torch.int64).numpy())
