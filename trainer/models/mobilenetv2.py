"""MobileNetV2 at widths 0.5 and 0.25, for small images.

Sandler et al. 2018; MODELS.md, section 6. Channel counts are truncated, never rounded to multiples of 8,
and the first pointwise convolution is there even where the expansion is 1.
"""

from torch import Tensor, nn

from trainer.models.layers import conv1x1, depthwise3x3, global_average

# expansion, channels, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
HEAD = 1280


class InvertedResidual(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.adds_input = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            conv1x1(in_channels, hidden),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            depthwise3x3(hidden, stride),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            conv1x1(hidden, out_channels),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.adds_input else out


class MobileNetV2(nn.Module):
    def __init__(self, width: float, num_classes: int) -> None:
        super().__init__()
        channels = int(32 * width)
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        for expansion, base, count, stride in STAGES:
            out_channels = int(base * width)
            blocks = []
            for position in range(count):
                block_stride = stride if position == 0 else 1
                blocks.append(InvertedResidual(channels, out_channels, block_stride, expansion))
                channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv2 = nn.Sequential(conv1x1(channels, HEAD), nn.BatchNorm2d(HEAD), nn.ReLU())
        self.classifier = nn.Sequential(nn.Linear(HEAD, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv2(self.blocks(self.conv1(x)))
        return self.classifier(global_average(features))  # type: ignore[no-any-return]
