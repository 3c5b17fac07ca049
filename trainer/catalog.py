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

MULTIPLY_ADDS: Mapping[str, int] = MappingProxyType(
    {
        "resnet8": 12_507_392,
        "resnet14": 26_663_168,
        "resnet20": 40_818_944,
        "resnet32": 69_130_496,
        "resnet44": 97_442_048,
        "resnet56": 125_753_600,
        "resnet110": 253_155_584,
        "resnet8x4": 177_071_104,
        "resnet32x4": 1_083_040_768,
        "wrn_16_1": 26_663_168,
        "wrn_16_2": 101_118_464,
        "wrn_28_10": 5_243_386_368,
        "wrn_40_1": 83_286_272,
        "wrn_40_2": 327_610_880,
        "vgg8": 96_192_512,
        "vgg8_3neurons": 96_143_148,
        "vgg11": 209_438_720,
        "vgg13": 284_936_192,
        "vgg13_3neurons": 284_886_828,
        "vgg16": 398_182_400,
        "vgg19": 511_428_608,
        "ResNet18": 555_468_800,
        "ResNet50": 1_298_014_208,
        "MobileNetV2": 6_523_648,
        "MobileNetV2_0_25": 2_143_104,
        "ShuffleV1": 38_691_456,
        "ShuffleV2": 44_504_448,
        "ShuffleV2_0_3": 6_548_224,
    }
)
"""Multiply-adds of one forward pass of a 32x32 image with 100 classes (MODELS.md, section 9)."""

ARCHITECTURES: tuple[str, ...] = tuple(MULTIPLY_ADDS)

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
