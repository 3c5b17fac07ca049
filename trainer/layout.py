"""How images and feature maps lie in memory: the one place that says so."""

import torch
from torch import Tensor, nn

LAYOUT = torch.channels_last


def laid_out(images: Tensor) -> Tensor:
    """Float [N, C, H, W], unchanged but for where its values lie."""
    return images.contiguous(memory_format=LAYOUT)


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on a device, its weights as the images lie there."""
    return model.to(device, memory_format=LAYOUT)  # type: ignore[call-overload,no-any-return]
