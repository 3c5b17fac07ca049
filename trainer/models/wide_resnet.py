"""wrn_DEPTH_WIDEN: pre-activation wide residual networks.

Zagoruyko & Komodakis 2016; MODELS.md, section 3. Where a block changes the number of channels, its
shortcut is a bare convolution fed by the *activated* input.
"""

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.models.layers import conv1x1, conv3x3, global_average, residual_initialiser


class PreActivationBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.convShortcut: nn.Module | None = None
        if in_channels != out_channels:
            self.convShortcut = conv1x1(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        return shortcut + self.conv2(F.relu(self.bn2(self.conv1(activated))))  # type: ignore[no-any-return]


class Stage(nn.Module):
    def __init__(self, blocks: int, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            PreActivationBlock(in_channels, out_channels, stride),
            *(PreActivationBlock(out_channels, out_channels, 1) for _ in range(blocks - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


class WideResNet(nn.Module):
    def __init__(self, depth: int, widen: int, num_classes: int) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        widths = (16, 16 * widen, 32 * widen, 64 * widen)
        self.conv1 = conv3x3(3, widths[0])
        self.block1 = Stage(blocks, widths[0], widths[1], stride=1)
        self.block2 = Stage(blocks, widths[1], widths[2], stride=2)
        self.block3 = Stage(blocks, widths[2], widths[3], stride=2)
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(global_average(F.relu(self.bn1(out))))  # type: ignore[no-any-return]


def wide_initialiser(module: nn.Module, rng: np.random.Generator) -> None:
    """As the other residual networks, but the linear layer starts with a zero bias."""
    residual_initialiser(module, rng)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
