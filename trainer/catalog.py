"""The names kdsweep knows and the facts a planner needs about them, without importing torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

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

DEFAULT_POOL_RUNS = 2


class Pick(NamedTuple):
    """Of a pool of `runs` independent runs of a base scheme, the images of highest score are kept.

    The score is the entropy of the teacher or the student, or their divergence (`kld`).
    """

    base: str
    runs: int
    criterion: Literal["student_entropy", "teacher_entropy", "kld"]

    @property
    def name(self) -> str:
        """Its one written form."""
        runs = "" if self.runs == DEFAULT_POOL_RUNS else self.runs
        return f"{self.base}pick{runs}_{self.criterion[0]}"

    @property
    def needs_student(self) -> bool:
        """Scored by a student: the live one in distillation, the trained one to measure T. stddev."""
        return self.criterion != "teacher_entropy"


_PICK = re.compile(r"(?P<base>.+?)pick(?P<runs>[1-9]\d?)?_(?P<criterion>[stk])")
_CRITERIA: Mapping[str, Literal["student_entropy", "teacher_entropy", "kld"]] = {
    "s": "student_entropy",
    "t": "teacher_entropy",
    "k": "kld",
}


def pick_of(augmentation: str | None) -> Pick | None:
    """What a pick's name says: `cutmixpick_s`, `mixuppick3_t` (three runs), `flippick_k`; else None."""
    match = _PICK.fullmatch(augmentation or "")
    if match is None:
        return None
    runs = int(match["runs"] or DEFAULT_POOL_RUNS)
    return Pick(match["base"], runs, _CRITERIA[match["criterion"]])


def base_of(augmentation: str) -> str:
    """The scheme that makes the images: itself, or the one whose images are picked."""
    pick = pick_of(augmentation)
    return pick.base if pick else augmentation


BASE_SCHEMES: tuple[str, ...] = tuple(name for name in AUGMENTATIONS if pick_of(name) is None)
"""The seven schemes that pick nothing."""


class ModelFacts(NamedTuple):
    """Of a model with 100 classes: its parameters, and the multiply-adds of one 32x32 image."""

    parameters: int
    multiply_adds: int


MODELS: Mapping[str, ModelFacts] = MappingProxyType(
    {
        "resnet8": ModelFacts(83_892, 12_507_392),
        "resnet14": ModelFacts(181_108, 26_663_168),
        "resnet20": ModelFacts(278_324, 40_818_944),
        "resnet32": ModelFacts(472_756, 69_130_496),
        "resnet44": ModelFacts(667_188, 97_442_048),
        "resnet56": ModelFacts(861_620, 125_753_600),
        "resnet110": ModelFacts(1_736_564, 253_155_584),
        "resnet8x4": ModelFacts(1_233_540, 177_071_104),
        "resnet32x4": ModelFacts(7_433_860, 1_083_040_768),
        "wrn_16_1": ModelFacts(180_916, 26_663_168),
        "wrn_16_2": ModelFacts(703_284, 101_118_464),
        "wrn_28_10": ModelFacts(36_536_884, 5_243_386_368),
        "wrn_40_1": ModelFacts(569_780, 83_286_272),
        "wrn_40_2": ModelFacts(2_255_156, 327_610_880),
        "vgg8": ModelFacts(3_965_028, 96_192_512),
        "vgg8_3neurons": ModelFacts(3_915_667, 96_143_148),
        "vgg11": ModelFacts(9_277_284, 209_438_720),
        "vgg13": ModelFacts(9_462_180, 284_936_192),
        "vgg13_3neurons": ModelFacts(9_412_819, 284_886_828),
        "vgg16": ModelFacts(14_774_436, 398_182_400),
        "vgg19": ModelFacts(20_086_692, 511_428_608),
        "ResNet18": ModelFacts(11_220_132, 555_468_800),
        "ResNet50": ModelFacts(23_705_252, 1_298_014_208),
        "MobileNetV2": ModelFacts(812_836, 6_523_648),
        "MobileNetV2_0_25": ModelFacts(364_492, 2_143_104),
        "ShuffleV1": ModelFacts(949_258, 38_691_456),
        "ShuffleV2": ModelFacts(1_355_528, 44_504_448),
        "ShuffleV2_0_3": ModelFacts(235_588, 6_548_224),
    }
)
"""Every architecture (MODELS.md, section 9); multiply-adds of convolutions and linear layers only."""

ARCHITECTURES: tuple[str, ...] = tuple(MODELS)

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

    `checksum` identifies it: that of its archive, as the data set's authors give it (cifar, tinyimagenet),
    or the SHA-256 of its files. `mean` and `std` are the paper's; where it is silent they are measured.
    """

    checksum: str
    num_classes: int
    image_size: int
    train_images: int
    test_images: int
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


DATASETS: Mapping[str, DatasetFacts] = MappingProxyType(
    {
        "fashion_mini": DatasetFacts(
            checksum="sha256:46b7cf78f91534ae5d834fb04977b7f18479ea3937a2a779dddf632672ac4f38",
            num_classes=10,
            image_size=16,
            train_images=6_000,
            test_images=2_000,
        ),
        "fashion_mnist": DatasetFacts(
            checksum="sha256:4d8e31d2057f6f938ff47097ba334038e7aafbaf24b67665d2dd1ecda01730a3",
            num_classes=10,
            image_size=28,
            train_images=60_000,
            test_images=10_000,
        ),
        "cifar10": DatasetFacts(
            checksum="md5:c58f30108f718f92721af3b95e74349a",
            num_classes=10,
            image_size=32,
            train_images=50_000,
            test_images=10_000,
        ),
        "cifar100": DatasetFacts(
            checksum="md5:eb9058c3a382ffc7106e4002c42a8d85",
            num_classes=100,
            image_size=32,
            train_images=50_000,
            test_images=10_000,
            mean=(0.5071, 0.4867, 0.4408),
            std=(0.2675, 0.2565, 0.2761),
        ),
        "tinyimagenet": DatasetFacts(
            checksum="md5:90528d7ca1a48142e341f4ef8d21d0de",
            num_classes=200,
            image_size=64,
            train_images=100_000,
            test_images=10_000,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
    }
)

FORMATS: tuple[str, ...] = ("imagefolder", "cifar100", "cifar10", "fashion_mnist", "tinyimagenet")
"""How images of one's own may lie in a folder."""
