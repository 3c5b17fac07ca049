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

PREDICTORS: tuple[str, ...] = ("t_stddev", "entropy", "confidence", "covariance_trace")
"""What every measurement of T. stddev yields, and may predict S. test loss."""

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
    """What an architecture consists of.

    `parameters` are counted with 100 classes. `weights` are the weights of all convolutions by the size of
    their output: the whole image, half of it, a quarter, ... `features` enter the last linear layer;
    `linear_weights` are those of linear layers before it.
    """

    parameters: int
    weights: tuple[int, ...]
    features: int
    linear_weights: int = 0


MODELS: Mapping[str, ModelFacts] = MappingProxyType(
    {
        "resnet8": ModelFacts(83_892, (5_040, 14_336, 57_344), 64),
        "resnet14": ModelFacts(181_108, (9_648, 32_768, 131_072), 64),
        "resnet20": ModelFacts(278_324, (14_256, 51_200, 204_800), 64),
        "resnet32": ModelFacts(472_756, (23_472, 88_064, 352_256), 64),
        "resnet44": ModelFacts(667_188, (32_688, 124_928, 499_712), 64),
        "resnet56": ModelFacts(861_620, (41_904, 161_792, 647_168), 64),
        "resnet110": ModelFacts(1_736_564, (83_376, 327_680, 1_310_720), 64),
        "resnet8x4": ModelFacts(1_233_540, (58_208, 229_376, 917_504), 256),
        "resnet32x4": ModelFacts(7_433_860, (353_120, 1_409_024, 5_636_096), 256),
        "wrn_16_1": ModelFacts(180_916, (9_648, 32_768, 131_072), 64),
        "wrn_16_2": ModelFacts(703_284, (33_200, 131_072, 524_288), 128),
        "wrn_28_10": ModelFacts(36_536_884, (1_638_832, 6_963_200, 27_852_800), 640),
        "wrn_40_1": ModelFacts(569_780, (28_080, 106_496, 425_984), 64),
        "wrn_40_2": ModelFacts(2_255_156, (106_928, 425_984, 1_703_936), 128),
        "vgg8": ModelFacts(3_965_028, (1_728, 73_728, 294_912, 1_179_648, 2_359_296), 512),
        "vgg8_3neurons": ModelFacts(
            3_915_667, (1_728, 73_728, 294_912, 1_179_648, 2_359_296), 3, 1_536
        ),
        "vgg11": ModelFacts(9_277_284, (1_728, 73_728, 884_736, 3_538_944, 4_718_592), 512),
        "vgg13": ModelFacts(9_462_180, (38_592, 221_184, 884_736, 3_538_944, 4_718_592), 512),
        "vgg13_3neurons": ModelFacts(
            9_412_819, (38_592, 221_184, 884_736, 3_538_944, 4_718_592), 3, 1_536
        ),
        "vgg16": ModelFacts(14_774_436, (38_592, 221_184, 1_474_560, 5_898_240, 7_077_888), 512),
        "vgg19": ModelFacts(20_086_692, (38_592, 221_184, 2_064_384, 8_257_536, 9_437_184), 512),
        "ResNet18": ModelFacts(11_220_132, (149_184, 524_288, 2_097_152, 8_388_608), 512),
        "ResNet50": ModelFacts(23_705_252, (247_488, 1_310_720, 7_471_104, 14_417_920), 2048),
        "MobileNetV2": ModelFacts(812_836, (0, 5_592, 11_208, 137_376, 512_192), 1280),
        "MobileNetV2_0_25": ModelFacts(364_492, (0, 1_812, 3_396, 37_584, 183_136), 1280),
        "ShuffleV1": ModelFacts(949_258, (1_368, 39_594, 300_900, 487_560), 960),
        "ShuffleV2": ModelFacts(1_355_528, (1_464, 40_700, 278_516, 916_168), 1024),
        "ShuffleV2_0_3": ModelFacts(235_588, (552, 5_816, 35_240, 136_720), 512),
    }
)
"""Every architecture (MODELS.md)."""


def parameters(architecture: str, num_classes: int) -> int:
    """Parameters that learn: only the last linear layer depends on the classes."""
    facts = MODELS[architecture]
    return facts.parameters + (num_classes - 100) * (facts.features + 1)


def multiply_adds(architecture: str, image_size: int, num_classes: int) -> int:
    """Multiply-adds of one forward pass of one image: convolutions and linear layers only."""
    facts = MODELS[architecture]
    sizes = stage_sizes(architecture, image_size)
    convolutions = sum(w * size**2 for w, size in zip(facts.weights, sizes, strict=False))
    return convolutions + facts.linear_weights + facts.features * num_classes


def stage_sizes(architecture: str, image_size: int) -> list[int]:
    """Strided convolutions round up; vgg's pools round down, and the fourth is there at 64 pixels only."""
    pools = architecture.startswith("vgg")
    sizes = [image_size]
    while len(sizes) < len(MODELS[architecture].weights):
        size = sizes[-1]
        sizes.append(size // 2 if pools else -(-size // 2))
    if pools and image_size != VGG_FOURTH_POOL_SIZE:
        sizes[4] = sizes[3]
    return sizes


VGG_FOURTH_POOL_SIZE = 64

ARCHITECTURES: tuple[str, ...] = tuple(MODELS)

MODEL_LIBRARIES: tuple[str, ...] = ("timm", "torchvision")
"""Libraries whose architectures a pair may name, as `timm:resnet18`."""

_OF_A_LIBRARY = re.compile(rf"(?P<library>{'|'.join(MODEL_LIBRARIES)}):[a-z0-9_.]{{1,100}}")


def library_of(architecture: str) -> str | None:
    """The library that an architecture's name says: `timm` of `timm:resnet18`; else None."""
    match = _OF_A_LIBRARY.fullmatch(architecture)
    return match["library"] if match else None


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

RESIZED: tuple[str, ...] = ("imagefolder", "parquet")
"""Formats whose images may have any size: a sweep says which they get."""

FORMATS: tuple[str, ...] = (
    *("imagefolder", "cifar100", "cifar10", "fashion_mnist", "tinyimagenet", "parquet"),
)
"""How images of one's own may lie in a folder."""
