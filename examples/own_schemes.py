"""Two augmentations of one's own, for examples/own_scheme.yaml."""

import numpy as np
import torch
from torch import Tensor

from trainer.augmentations.own import register


@register("noise")
def noise(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Gaussian noise of a strength drawn once for the batch."""
    strength = rng.uniform(0.0, 0.5)
    drawn = rng.standard_normal(tuple(images.shape), dtype=np.float32)
    return images + strength * torch.from_numpy(drawn).to(images.device)


@register("quarter_turn")
def quarter_turn(images: Tensor, rng: np.random.Generator) -> Tensor:
    """The whole batch, turned by 0, 90, 180 or 270 degrees."""
    return images.rot90(int(rng.integers(4)), dims=(2, 3))
