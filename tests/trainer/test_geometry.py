"""Geometric operations by moved pixels beside torchvision's, at every magnitude that AutoAugment has."""

import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode
from torchvision.transforms.autoaugment import _apply_op

from trainer.augmentations.geometry import GEOMETRIC, move_pixels
from trainer.augmentations.schemes import NUM_LEVELS


@pytest.mark.parametrize("size", [8, 17, 32, 64])
@pytest.mark.parametrize("name", sorted(GEOMETRIC))
def test_the_bytes_of_torchvision(name: str, size: int) -> None:
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    augment = AutoAugment(AutoAugmentPolicy.CIFAR10)
    levels, is_signed = augment._augmentation_space(NUM_LEVELS, (size, size))[name]
    assert is_signed
    for magnitude in (*levels.tolist(), *(-levels).tolist()):
        theirs = _apply_op(images, name, magnitude, InterpolationMode.NEAREST, None)
        assert torch.equal(move_pixels(images, name, magnitude), theirs), magnitude


def test_each_of_torchvision_s_operations_is_known() -> None:
    """A new one that moves pixels would let the host wait again."""
    known = {
        *GEOMETRIC,
        *("Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize"),
        *("AutoContrast", "Equalize", "Invert"),
    }
    for policy in AutoAugmentPolicy:
        augment = AutoAugment(policy)
        used = {name for pair in augment.policies for name, _, _ in pair}
        assert used <= known
