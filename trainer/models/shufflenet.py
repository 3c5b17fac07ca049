"""ShuffleV1 (three groups) and ShuffleV2 (widths 1 and 0.3), for small images.

Zhang et al. 2018 and Ma et al. 2018; MODELS.md, sections 7 and 8.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.models.layers import conv1x1, depthwise3x3, global_average, shuffle_channels

STEM = 24
GROUPS = 3


class ShuffleV1Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.groups = 1 if in_channels == STEM else GROUPS
        branch = out_channels - in_channels if stride == 2 else out_channels
        middle = branch // 4
        self.conv1 = conv1x1(in_channels, middle, groups=self.groups)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = depthwise3x3(middle, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = conv1x1(middle, branch, groups=GROUPS)
        self.bn3 = nn.BatchNorm2d(branch)

    def forward(self, x: Tensor) -> Tensor:
        out = shuffle_channels(F.relu(self.bn1(self.conv1(x))), self.groups)
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.stride == 1:
            return F.relu(out + x)
        return F.relu(torch.cat([out, F.avg_pool2d(x, 3, stride=2, padding=1)], dim=1))


class ShuffleV1(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = conv1x1(3, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.layer1 = self._stage(STEM, 240, 4)
        self.layer2 = self._stage(240, 480, 8)
        self.layer3 = self._stage(480, 960, 4)
        self.linear = nn.Linear(960, num_classes)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
        first = ShuffleV1Block(in_channels, out_channels, 2)
        rest = (ShuffleV1Block(out_channels, out_channels, 1) for _ in range(blocks - 1))
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        return self.linear(global_average(out))  # type: ignore[no-any-return]


class ShuffleV2Down(nn.Module):
    """Halves the map: both branches see the whole input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = depthwise3x3(in_channels, stride=2)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = conv1x1(in_channels, half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(in_channels, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = depthwise3x3(half, stride=2)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv1x1(half, half)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        left = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = F.relu(self.bn3(self.conv3(x)))
        right = F.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return shuffle_channels(torch.cat([left, right], dim=1), 2)


class ShuffleV2Basic(nn.Module):
    """Only the second half of the channels is transformed; there is no addition."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = conv1x1(half, half)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = depthwise3x3(half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(half, half)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, dim=1)
        out = F.relu(self.bn1(self.conv1(changed)))
        out = F.relu(self.bn3(self.conv3(self.bn2(self.conv2(out)))))
        return shuffle_channels(torch.cat([kept, out], dim=1), 2)


class ShuffleV2(nn.Module):
    """`widths` are the channels of the three stages and of the head."""

    def __init__(self, widths: tuple[int, int, int, int], num_classes: int) -> None:
        super().__init__()
        first, second, third, head = widths
        self.conv1 = conv1x1(3, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.layer1 = self._stage(STEM, first, 3)
        self.layer2 = self._stage(first, second, 7)
        self.layer3 = self._stage(second, third, 3)
        self.conv2 = conv1x1(third, head)
        self.bn2 = nn.BatchNorm2d(head)
        self.linear = nn.Linear(head, num_classes)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, basics: int) -> nn.Sequential:
        down = ShuffleV2Down(in_channels, out_channels)
        return nn.Sequential(down, *(ShuffleV2Basic(out_channels) for _ in range(basics)))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.relu(self.bn2(self.conv2(out)))
        return self.linear(global_average(out))  # type: ignore[no-any-return]
