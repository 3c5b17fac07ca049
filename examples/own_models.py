"""Two architectures of one's own, for examples/own_model.yaml."""

import torch
from torch import Tensor, nn

from trainer.models.own import register


@register("tiny_net")
def tiny_net(num_classes: int, image_size: int) -> nn.Module:
    """Two convolutions with dropout between them."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Dropout2d(0.1),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AvgPool2d(image_size // 4),
        nn.Flatten(),
        nn.Linear(32, num_classes),
    )


@register("patches")
class Patches(nn.Module):
    """A transformer layer over patches of 4x4 pixels; larger images have more of them."""

    def __init__(self, num_classes: int, image_size: int, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, stride=4)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (image_size // 4) ** 2, width))
        self.block = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=2 * width, dropout=0.1, batch_first=True
        )
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.block(tokens).mean(dim=1))
        return logits
