"""vgg8 ... vgg19 with batch normalisation, for small images.

Simonyan & Zisserman 2015, without the two large linear layers; MODELS.md, section 4.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from trainer.models.layers import global_average

WIDTHS = (64, 128, 256, 512, 512)


def _block(in_channels: int, out_channels: int, convs: int) -> nn.Sequential:
    """conv, BN, ReLU, ... ending with the last BN: the block's final ReLU is applied outside."""
    layers: list[nn.Module] = []
    for _ in range(convs):
        layers += [
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        ]
        in_channels = out_channels
    return nn.Sequential(*layers[:-1])


class VGG(nn.Module):
    """`convs` per block; with `bottleneck` > 0 the classifier sees that many normalised neurons."""

    def __init__(self, convs: Sequence[int], num_classes: int, bottleneck: int = 0) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        for index, (in_channels, out_channels, count) in enumerate(
            zip(inputs, WIDTHS, convs, strict=True)
        ):
            self.add_module(f"block{index}", _block(in_channels, out_channels, count))
        self.embed = nn.Linear(WIDTHS[-1], bottleneck) if bottleneck else None
        self.classifier = nn.Linear(bottleneck or WIDTHS[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled_after_block3 = x.shape[2] == 64
        for index in range(len(WIDTHS)):
            x = F.relu(self.get_submodule(f"block{index}")(x))
            if index < 3 or (index == 3 and pooled_after_block3):
                x = F.max_pool2d(x, 2)
        features = global_average(x)
        if self.embed is not None:
            features = F.normalize(self.embed(features), dim=1, eps=1e-12)
        return self.classifier(features)  # type: ignore[no-any-return]
