"""The schemes of the plain loop: one decision per batch, on normalised tensors (PAPER.md's schemes, eagerly).

Decisions come from torch's global generator, as torchvision's do.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torchvision import transforms

PlainScheme = Callable[[Tensor], Tensor]
"""Maps float images [B, 3, S, S] to as many of the same form."""


class Colours:
    """Normalised floats and back to bytes, by arithmetic."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean, self._std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]

    def to_bytes(self, images: Tensor) -> Tensor:
        return (255 * (images * self._std + self._mean)).to(torch.uint8)

    def to_floats(self, pixels: Tensor) -> Tensor:
        return (pixels / 255 - self._mean) / self._std


def _uniform() -> float:
    return torch.rand(()).item()


def _pixel(image_size: int) -> int:
    return int(torch.randint(image_size, ()))


def _box(row: int, column: int, half: int, image_size: int) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(centre - half, 0), min(centre + half, image_size)) for centre in (row, column)
    )
    return rows, columns


def cutout(images: Tensor) -> Tensor:
    size = images.shape[-1]
    row, column = _pixel(size), _pixel(size)
    rows, columns = _box(row, column, size // 8, size)
    mask = torch.ones(size, size)
    mask[rows, columns] = 0
    return images * mask


def mixup(images: Tensor) -> Tensor:
    share = _uniform()
    return share * images + (1 - share) * images[torch.randperm(len(images))]


def cutmix(images: Tensor) -> Tensor:
    """A batch of one image has no other to mix with."""
    size, in_place = images.shape[-1], torch.arange(len(images))
    half = int(size * (1 - _uniform()) ** 0.5) // 2
    column, row = _pixel(size), _pixel(size)
    rows, columns = _box(row, column, half, size)
    permutation = torch.randperm(len(images))
    while len(images) > 1 and bool((permutation == in_place).any()):
        permutation = torch.randperm(len(images))
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[permutation][:, :, rows, columns]
    return mixed


def plain_schemes(image_size: int, colours: Colours) -> Mapping[str, PlainScheme]:
    """The seven schemes that pick nothing, by name."""

    def on_bytes(*transform: torch.nn.Module) -> PlainScheme:
        whole = torch.nn.Sequential(*transform)
        return lambda images: colours.to_floats(whole(colours.to_bytes(images)))

    crop = transforms.RandomCrop(image_size, padding=image_size // 8)
    policies = transforms.AutoAugmentPolicy
    policy = policies.CIFAR10 if image_size <= 32 else policies.IMAGENET
    return {
        "identity": lambda images: images,
        "flip": on_bytes(transforms.RandomHorizontalFlip()),
        "crop+flip": on_bytes(crop, transforms.RandomHorizontalFlip()),
        "cutout": cutout,
        "autoaugment": on_bytes(transforms.AutoAugment(policy)),
        "mixup": mixup,
        "cutmix": cutmix,
    }
