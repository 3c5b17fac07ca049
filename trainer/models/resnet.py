"""resnet8 ... resnet110, resnet8x4, resnet32x4: three stages of post-activation basic blocks.

He et al. 2016, as adapted to small images by the CRD code base; MODELS.md, section 2.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from trainer.models.layers import conv1x1, conv3x3, global_average


class BasicBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet(nn.Module):
    """`widths` are the channels of the stem and of the three stages."""

    def __init__(self, blocks: int, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        stem, *stages = widths
        self.conv1 = conv3x3(3, stem)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = self._stage(blocks, stem, stages[0], stride=1)
        self.layer2 = self._stage(blocks, stages[0], stages[1], stride=2)
        self.layer3 = self._stage(blocks, stages[1], stages[2], stride=2)
        self.fc = nn.Linear(stages[2], num_classes)

    @staticmethod
    def _stage(blocks: int, in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
        first = BasicBlock(in_channels, out_channels, stride)
        return nn.Sequential(
            first, *(BasicBlock(out_channels, out_channels, 1) for _ in range(blocks - 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        return self.fc(global_average(out))  # type: ignore[no-any-return]
