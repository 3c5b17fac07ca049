"""Models of one's own for the tests."""

from trainer.describe import describe
from trainer.descriptions import Wanted
from trainer.trial import Data, GuestModel, OwnFile

BEGIN = "import torch\nfrom torch import nn\nfrom trainer.models.own import register\n"

DROPS = f"""{BEGIN}
@register("drops")
def drops(num_classes, image_size):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, num_classes),
    )
"""
"""Draws weights and dropout."""


def wanted(source: str, name: str, num_classes: int = 10, image_size: int = 16) -> Wanted:
    file = OwnFile(path="mine.py", source=source)
    return Wanted(name=name, file=file, num_classes=num_classes, image_size=image_size)


def guest(data: Data, source: str = DROPS, name: str = "drops") -> GuestModel:
    """As `trainer.descriptions` would find it, described in this process."""
    one = wanted(source, name, data.num_classes, data.image_size)
    return GuestModel(file=one.file, description=describe(one))
