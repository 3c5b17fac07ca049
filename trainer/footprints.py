"""What one pass of each architecture launches on a device and moves through its memory, without torch.

Every operation of torch that is no view counts as one launch (a convolution's backward as two), which reads
its operands once and writes its results once. Both are lower bounds: a library may launch more for one
operation. Multiply-adds are in `trainer.catalog`.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from trainer.catalog import stage_sizes


class Pass(NamedTuple):
    """One pass of one batch.

    `channels` are elements of activations, read and written, per pixel of the maps of each size: the
    whole image, half of it, a quarter, ... in units of 4 bytes as float32 takes them.
    """

    launches: int
    channels: tuple[int, ...]


class Footprint(NamedTuple):
    """`look` is a forward pass without gradient, `training` one forward and backward.

    `tensors` are the parameters by number of tensors, as an optimiser sees them.
    """

    look: Pass
    training: Pass
    tensors: int


Way = Literal["look", "training"]

WEIGHTS_MOVED: Mapping[Way, int] = MappingProxyType({"look": 1, "training": 3})
"""How often a pass reads or writes every weight: forward, both gradients of backward."""

UPDATE_WEIGHTS_MOVED = 11
"""How often SGD does: decay (2 reads, 1 write), momentum (1, 1; then 2, 1), the step (2, 1)."""

ACCUMULATE_WEIGHTS_MOVED = 3
"""How often the second backward pass of a step does, in adding to the gradients of the first."""

UPDATE_KERNELS = 3
"""Of decay and momentum, each over a list of tensors; the step itself takes one for each tensor."""

TENSORS_PER_LAUNCH = 48
"""As many tensors of such a list as torch puts into one launch, where it has three lists of them."""

STUDENT_STEP_LAUNCHES = 66
"""Of a student's step beside its passes and its update: its losses, its share of making the views.

Measured over all schemes but autoaugment, whose policies differ."""

# Generated: a test counts the built models again, and its failure says what belongs here.
FOOTPRINTS: Mapping[str, Footprint] = MappingProxyType(
    {
        "resnet8": Footprint(Pass(30, (355, 608, 1152)), Pass(79, (918, 1472, 2560)), 29),
        "resnet14": Footprint(Pass(51, (595, 1088, 2112)), Pass(133, (1494, 2624, 4864)), 47),
        "resnet20": Footprint(Pass(72, (835, 1568, 3072)), Pass(187, (2070, 3776, 7168)), 65),
        "resnet32": Footprint(Pass(114, (1315, 2528, 4992)), Pass(295, (3222, 6080, 11776)), 101),
        "resnet44": Footprint(Pass(156, (1795, 3488, 6912)), Pass(403, (4374, 8384, 16384)), 137),
        "resnet56": Footprint(Pass(198, (2275, 4448, 8832)), Pass(511, (5526, 10688, 20992)), 173),
        "resnet110": Footprint(
            Pass(387, (4435, 8768, 17472)), Pass(997, (10710, 21056, 41728)), 335
        ),
        "resnet8x4": Footprint(Pass(32, (1443, 2432, 4608)), Pass(85, (3622, 5888, 10240)), 32),
        "resnet32x4": Footprint(
            Pass(116, (5283, 10112, 19968)), Pass(301, (12838, 24320, 47104)), 104
        ),
        "wrn_16_1": Footprint(Pass(49, (595, 1024, 1984)), Pass(127, (1494, 2464, 4544)), 43),
        "wrn_16_2": Footprint(Pass(50, (1139, 2048, 3968)), Pass(130, (2806, 4928, 9088)), 44),
        "wrn_28_10": Footprint(
            Pass(92, (10035, 19840, 39040)), Pass(238, (24182, 47680, 91520)), 80
        ),
        "wrn_40_1": Footprint(Pass(133, (1555, 2944, 5824)), Pass(343, (3798, 7072, 13760)), 115),
        "wrn_40_2": Footprint(Pass(134, (3059, 5888, 11648)), Pass(346, (7414, 14144, 27520)), 116),
        "vgg8": Footprint(
            Pass(21, (387, 1024, 2048, 4096, 5120)), Pass(58, (966, 2496, 4992, 9984, 12288)), 22
        ),
        "vgg8_3neurons": Footprint(
            Pass(25, (387, 1024, 2048, 4096, 5120)), Pass(79, (966, 2496, 4992, 9984, 12288)), 24
        ),
        "vgg11": Footprint(
            Pass(30, (387, 1024, 3584, 7168, 8192)), Pass(85, (966, 2496, 8832, 17664, 19968)), 34
        ),
        "vgg13": Footprint(
            Pass(36, (771, 1792, 3584, 7168, 8192)), Pass(103, (1926, 4416, 8832, 17664, 19968)), 42
        ),
        "vgg13_3neurons": Footprint(
            Pass(40, (771, 1792, 3584, 7168, 8192)), Pass(124, (1926, 4416, 8832, 17664, 19968)), 44
        ),
        "vgg16": Footprint(
            Pass(45, (771, 1792, 5120, 10240, 11264)),
            Pass(130, (1926, 4416, 12672, 25344, 27648)),
            54,
        ),
        "vgg19": Footprint(
            Pass(54, (771, 1792, 6656, 13312, 14336)),
            Pass(157, (1926, 4416, 16512, 33024, 35328)),
            66,
        ),
        "ResNet18": Footprint(
            Pass(67, (2371, 4352, 8704, 16896)), Pass(175, (5958, 10496, 20992, 38912)), 62
        ),
        "ResNet50": Footprint(
            Pass(173, (11459, 27392, 79360, 76800)), Pass(453, (27718, 65408, 189184, 175616)), 161
        ),
        "MobileNetV2": Footprint(
            Pass(154, (3, 2324, 3600, 20096, 28768)), Pass(415, (6, 5792, 8952, 49952, 71680)), 161
        ),
        "MobileNetV2_0_25": Footprint(
            Pass(154, (3, 1162, 1800, 10048, 18224)), Pass(415, (6, 2896, 4476, 24976, 45440)), 161
        ),
        "ShuffleV1": Footprint(
            Pass(183, (495, 11916, 47160, 43440)), Pass(465, (1320, 28590, 112140, 100680)), 149
        ),
        "ShuffleV2": Footprint(
            Pass(183, (519, 6476, 24360, 29344)), Pass(479, (1380, 15436, 57536, 68720)), 170
        ),
        "ShuffleV2_0_3": Footprint(
            Pass(183, (291, 2296, 8400, 11072)), Pass(479, (810, 5480, 19840, 26080)), 170
        ),
    }
)
"""Every architecture."""


def pass_of(architecture: str, way: Way) -> Pass:
    footprint = FOOTPRINTS[architecture]
    return footprint.look if way == "look" else footprint.training


@cache
def floats_per_image(architecture: str, image_size: int, way: Way) -> int:
    """Elements of activations that one pass moves for one image."""
    sizes = stage_sizes(architecture, image_size)
    channels = pass_of(architecture, way).channels
    return sum(c * size**2 for c, size in zip(channels, sizes, strict=True))
