"""The standard augmentation: per image, a random crop with black borders and a random flip."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trainer.sending import sent


@dataclass(frozen=True)
class CropsAndFlips:
    """One decision per image: `rows`, `columns` int64 [B] in 0..2*pad, and `flipped` bool [B]."""

    pad: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    @classmethod
    def draw(cls, rng: np.random.Generator, batch_size: int, image_size: int) -> Self:
        """The paper's: pad by an eighth of the image, every offset alike, a flip with probability 0.5."""
        pad = image_size // 8
        rows, columns = rng.integers(0, 2 * pad + 1, size=(2, batch_size))
        return cls(pad, rows, columns, rng.random(batch_size) < 0.5)

    def apply(self, images: Tensor) -> Tensor:
        """uint8 [B, C, S, S] -> uint8 [B, C, S, S]."""
        batch, channels, height, width = images.shape
        device = images.device
        padded = F.pad(images, (self.pad,) * 4)
        columns = np.where(self.flipped[:, None], np.arange(width)[::-1], np.arange(width))
        row_index = sent(self.rows[:, None] + np.arange(height), device)
        column_index = sent(self.columns[:, None] + columns, device)
        return padded[
            torch.arange(batch, device=device)[:, None, None, None],
            torch.arange(channels, device=device)[None, :, None, None],
            row_index[:, None, :, None],
            column_index[:, None, None, :],
        ]
