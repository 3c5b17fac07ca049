"""The few building blocks that the families share, and how their weights are drawn."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Initialiser = Callable[[nn.Module, np.random.Generator], None]


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride, groups=groups, bias=False)


def depthwise3x3(channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


def global_average(features: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C]: works for any map size, and has a deterministic gradient on CUDA."""
    return features.mean(dim=(2, 3))


def shuffle_channels(features: Tensor, groups: int) -> Tensor:
    """Interleave `groups` groups of channels: output channel i*groups + k is input k*(C/groups) + i."""
    batch, channels, height, width = features.shape
    split = features.view(batch, groups, channels // groups, height, width)
    return split.transpose(1, 2).reshape(batch, channels, height, width)


@torch.no_grad()
def fill_normal(parameter: Tensor, std: float, rng: np.random.Generator) -> None:
    parameter.copy_(torch.from_numpy(rng.normal(0.0, std, tuple(parameter.shape))))


@torch.no_grad()
def fill_uniform(parameter: Tensor, bound: float, rng: np.random.Generator) -> None:
    parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(parameter.shape))))


def _fan_in(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


def he_fan_out(module: nn.Module, rng: np.random.Generator) -> None:
    """Convolutions N(0, sqrt(2 / (k*k*out_channels))) with zero bias.

    `out_channels` counts all of them, also for grouped convolutions (MODELS.md, section 6).
    """
    if isinstance(module, nn.Conv2d):
        taps = module.kernel_size[0] * module.kernel_size[1]
        fill_normal(module.weight, math.sqrt(2 / (taps * module.out_channels)), rng)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def torch_default(module: nn.Module, rng: np.random.Generator) -> None:
    """PyTorch's own rule for convolutions and linear layers: U(+-1/sqrt(fan_in)), bias alike."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        bound = 1 / math.sqrt(_fan_in(module.weight))
        fill_uniform(module.weight, bound, rng)
        if module.bias is not None:
            fill_uniform(module.bias, bound, rng)


def small_normal_linear(module: nn.Module, rng: np.random.Generator) -> None:
    """Linear layers N(0, 0.01) with zero bias."""
    if isinstance(module, nn.Linear):
        fill_normal(module.weight, 0.01, rng)
        nn.init.zeros_(module.bias)


def residual_initialiser(module: nn.Module, rng: np.random.Generator) -> None:
    """He convolutions, PyTorch's default for the linear layer."""
    if isinstance(module, nn.Linear):
        torch_default(module, rng)
    he_fan_out(module, rng)


def plain_initialiser(module: nn.Module, rng: np.random.Generator) -> None:
    """He convolutions, small normal linear layers."""
    small_normal_linear(module, rng)
    he_fan_out(module, rng)
