"""The architectures of the paper, checkpoint-compatible with the published files.

Every model pools globally, so any image size that survives its strides works. `build_model` is the one
entrance; the names are `trainer.catalog.ARCHITECTURES`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from trainer.models.layers import (
    Initialiser,
    plain_initialiser,
    residual_initialiser,
    torch_default,
)
from trainer.models.mobilenetv2 import MobileNetV2
from trainer.models.resnet import ResNet
from trainer.models.resnet_imagenet import Basic, Bottleneck, ImageNetResNet
from trainer.models.shufflenet import ShuffleV1, ShuffleV2
from trainer.models.vgg import VGG
from trainer.models.wide_resnet import WideResNet, wide_initialiser


class _Entry(NamedTuple):
    build: Callable[[int], nn.Module]
    initialise: Initialiser


def _resnet(blocks: int, widths: tuple[int, int, int, int]) -> _Entry:
    return _Entry(functools.partial(ResNet, blocks, widths), residual_initialiser)


def _wide(depth: int, widen: int) -> _Entry:
    return _Entry(functools.partial(WideResNet, depth, widen), wide_initialiser)


def _vgg(*convs: int, bottleneck: int = 0) -> _Entry:
    return _Entry(functools.partial(VGG, convs, bottleneck=bottleneck), plain_initialiser)


_NARROW = (16, 16, 32, 64)
_TIMES_4 = (32, 64, 128, 256)

_REGISTRY: dict[str, _Entry] = {
    **{f"resnet{6 * blocks + 2}": _resnet(blocks, _NARROW) for blocks in (1, 2, 3, 5, 7, 9, 18)},
    "resnet8x4": _resnet(1, _TIMES_4),
    "resnet32x4": _resnet(5, _TIMES_4),
    "wrn_16_1": _wide(16, 1),
    "wrn_16_2": _wide(16, 2),
    "wrn_28_10": _wide(28, 10),
    "wrn_40_1": _wide(40, 1),
    "wrn_40_2": _wide(40, 2),
    "vgg8": _vgg(1, 1, 1, 1, 1),
    "vgg8_3neurons": _vgg(1, 1, 1, 1, 1, bottleneck=3),
    "vgg11": _vgg(1, 1, 2, 2, 2),
    "vgg13": _vgg(2, 2, 2, 2, 2),
    "vgg13_3neurons": _vgg(2, 2, 2, 2, 2, bottleneck=3),
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "vgg19": _vgg(2, 2, 4, 4, 4),
    "ResNet18": _Entry(
        functools.partial(ImageNetResNet, Basic, (2, 2, 2, 2)), residual_initialiser
    ),
    "ResNet50": _Entry(
        functools.partial(ImageNetResNet, Bottleneck, (3, 4, 6, 3)), residual_initialiser
    ),
    "MobileNetV2": _Entry(functools.partial(MobileNetV2, 0.5), plain_initialiser),
    "MobileNetV2_0_25": _Entry(functools.partial(MobileNetV2, 0.25), plain_initialiser),
    "ShuffleV1": _Entry(ShuffleV1, torch_default),
    "ShuffleV2": _Entry(functools.partial(ShuffleV2, (116, 232, 464, 1024)), torch_default),
    "ShuffleV2_0_3": _Entry(functools.partial(ShuffleV2, (40, 80, 160, 512)), torch_default),
}

NAMES: tuple[str, ...] = tuple(_REGISTRY)


def build_model(
    name: str,
    num_classes: int,
    image_size: int,
    rng: np.random.Generator | None = None,
) -> nn.Module:
    """A model that maps float images [B, 3, image_size, image_size] to logits [B, num_classes].

    Initial weights follow the family's rule (MODELS.md) and are drawn from `rng`, or, without one,
    from a generator seeded by torch's global one. `image_size` shapes no parameter; it is checked.

    Raises:
        ValueError: unknown name, or an image too small for the architecture's strides.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(_REGISTRY)}")
    if image_size < MINIMUM_IMAGE_SIZE:
        raise ValueError(f"images of {image_size} pixels are too small; {name} needs 8 or more")
    entry = _REGISTRY[name]
    model = entry.build(num_classes)
    rng = rng or np.random.default_rng(int(torch.randint(2**62, ())))
    for module in model.modules():
        entry.initialise(module, rng)
    return model


MINIMUM_IMAGE_SIZE = 8
