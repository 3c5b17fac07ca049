"""Equalize of a whole batch beside torchvision's, which loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.functional import equalize as of_torchvision

from trainer.augmentations.equalize import equalize


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 2, 8, 16, 17, 32]),
    levels=st.sampled_from([1, 2, 3, 17, 256]),
    peaked=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_bytes_of_torchvision(seed: int, size: int, levels: int, *, peaked: bool) -> None:
    rng = np.random.default_rng(seed)
    known = rng.choice(256, size=levels, replace=False)
    share = rng.dirichlet(np.full(levels, 0.05 if peaked else 5.0))
    images = torch.from_numpy(rng.choice(known, (3, 3, size, size), p=share).astype(np.uint8))
    assert torch.equal(equalize(images), of_torchvision(images))


@pytest.mark.parametrize("level", [0, 7, 255])
def test_an_image_of_one_level_stays(level: int) -> None:
    images = torch.full((1, 3, 8, 8), level, dtype=torch.uint8)
    assert torch.equal(equalize(images), images)
