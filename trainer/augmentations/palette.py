"""Bytes and normalised floats, exactly: both directions are looked up in tables made on the CPU.

x = (u/255 - mean) / std, each operation rounded to float32. The paper's code turns x back into bytes before
flipping, cropping and AutoAugment: u' = trunc(255 * (x*std + mean)), which lowers some bytes by one. Other
arithmetic (float64, a multiplication by 1/255, a fused multiply-add on a GPU) changes other bytes, so no
device computes either (PAPER.md, section 4).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.layout import laid_out


class Palette:
    """The two tables of one data set, on one device.

    Args:
        mean, std: per channel, of pixels in 0..1.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        means, stds = torch.tensor(mean)[:, None], torch.tensor(std)[:, None]
        floats = (torch.arange(256) / 255 - means) / stds
        back = (255 * (floats * stds + means)).to(torch.uint8)
        self._floats = floats.to(device)
        self._back = back.to(device)
        self._channels = torch.arange(len(means), device=device)[:, None, None]

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> float32 [B, C, H, W], as `trainer.layout` says."""
        return laid_out(self._floats[self._channels, images.long()])

    def round_trip(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> what normalising and truncating back leaves of it, uint8."""
        return self._back[self._channels, images.long()]
