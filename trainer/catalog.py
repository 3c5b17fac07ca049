"""The names kdsweep knows and the facts a planner needs about them, without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

AUGMENTATIONS: tuple[str, ...] = (
    "identity",
    "flip",
    "crop+flip",
    "cutout",
    "autoaugment",
    "mixup",
    "cutmix",
    "cutmixpick_s",
    "cutmixpick_t",
)
"""The nine schemes, in the paper's order."""

PICKS = frozenset({"cutmixpick_s", "cutmixpick_t"})
"""Schemes that keep the images of highest entropy from a pool of CutMix runs."""

STUDENT_PICK = "cutmixpick_s"
"""The scheme whose picking needs a trained student, also to measure T. stddev."""

ARCHITECTURES: tuple[str, ...] = (
    *("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
    *("resnet8x4", "resnet32x4"),
    *("wrn_16_1", "wrn_16_2", "wrn_28_10", "wrn_40_1", "wrn_40_2"),
    *("vgg8", "vgg8_3neurons", "vgg11", "vgg13", "vgg13_3neurons", "vgg16", "vgg19"),
    *("ResNet18", "ResNet50"),
    *("MobileNetV2", "MobileNetV2_0_25"),
    *("ShuffleV1", "ShuffleV2", "ShuffleV2_0_3"),
)

LEARNING_RATE = 0.05
LOW_LEARNING_RATE = 0.01
LOW_LEARNING_RATE_ARCHITECTURES = frozenset({"MobileNetV2", "ShuffleV1", "ShuffleV2"})


def default_learning_rate(architecture: str) -> float:
    """The paper's base learning rate of an architecture (PAPER.md, section 6)."""
    low = architecture in LOW_LEARNING_RATE_ARCHITECTURES
    return LOW_LEARNING_RATE if low else LEARNING_RATE


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of an official data set before it is read.

    `checksum` is the SHA-256 of its archive and, with its name, its identity.
    """

    checksum: str
    num_classes: int
    image_size: int
    train_images: int
    test_images: int


DATASETS: Mapping[str, DatasetFacts] = MappingProxyType(
    {
        "fashion_mini": DatasetFacts(
            checksum="46b7cf78f91534ae5d834fb04977b7f18479ea3937a2a779dddf632672ac4f38",
            num_classes=10,
            image_size=16,
            train_images=6_000,
            test_images=2_000,
        ),
    }
)
