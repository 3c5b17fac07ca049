"""`randomness: sample`: one decision per image, in the distributions of the paper's."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.trainer.test_augmentations import PALETTE, is_fair, is_uniform, random_batch
from trainer.augmentations import PER_IMAGE_SCHEMES, SCHEMES, Batch
from trainer.augmentations.per_image import (
    CropFlipEach,
    CutMixEach,
    CutoutEach,
    FlipEach,
    MixupEach,
    PolicyEach,
)
from trainer.augmentations.schemes import (
    CropFlip,
    CutMix,
    Cutout,
    Flip,
    Mixup,
    PolicyDecision,
    Scheme,
)
from trainer.augmentations.standard import CropsAndFlips
from trainer.randomness import addressed_generator

MANY = 4000


def image(batch: Batch, index: int) -> Batch:
    return Batch(batch.bytes[index : index + 1], batch.labels[index : index + 1], PALETTE)


def assert_each(made: torch.Tensor, batch: Batch, decisions: list[Scheme]) -> None:
    """Every image is what its own decision makes of it alone."""
    for index, decision in enumerate(decisions):
        alone = decision.apply(image(batch, index))
        assert torch.equal(made[index : index + 1], alone), index


def test_given_decisions_act_on_their_image_alone() -> None:
    batch = random_batch(count=3)
    turned = np.array([True, False, True])
    assert_each(FlipEach(turned).apply(batch), batch, [Flip(bool(m)) for m in turned])
    crops = CropsAndFlips(4, np.array([0, 8, 3]), np.array([5, 1, 4]), turned)
    alone = [CropFlip(0, 5, True), CropFlip(8, 1, False), CropFlip(3, 4, True)]
    assert_each(CropFlipEach(crops).apply(batch), batch, list(alone))
    holes = (Cutout(0, 0), Cutout(16, 31), Cutout(9, 9))
    assert_each(CutoutEach(holes).apply(batch), batch, list(holes))
    policies = tuple(PolicyDecision(i, (0.1, 0.2), (0, 1)) for i in (0, 7, 24))
    assert_each(PolicyEach(policies).apply(batch), batch, list(policies))


def test_given_shares_and_boxes_mix_image_by_image() -> None:
    batch = random_batch(count=3)
    x = batch.images
    mixed = MixupEach(np.array([0.25, 0.5, 1.0]), (2, 1, 0)).apply(batch)
    assert torch.equal(mixed[2], x[2])
    assert torch.equal(mixed[1], x[1])
    torch.testing.assert_close(mixed[0], 0.25 * x[0] + 0.75 * x[2])
    boxes = (CutMix(0.75, 20, 10, ()), CutMix(0.999999, 5, 5, ()), CutMix(0.0, 16, 16, ()))
    cut = CutMixEach(boxes, (1, 2, 0)).apply(batch)
    assert torch.equal(cut[0, :, 2:18, 12:28], x[1, :, 2:18, 12:28])
    assert torch.equal(cut[0, :, :2], x[0, :, :2])
    assert torch.equal(cut[1], x[1])
    assert torch.equal(cut[2], x[0])


def drawn(scheme: type, size: int = 32) -> Scheme:
    decision: Scheme = scheme.draw(addressed_generator(0, "test"), MANY, size)
    return decision


def test_decisions_are_drawn_for_every_image() -> None:
    flips = drawn(FlipEach)
    assert isinstance(flips, FlipEach)
    assert is_fair(int(flips.mirrored.sum()))
    crops = drawn(CropFlipEach)
    assert isinstance(crops, CropFlipEach)
    assert is_uniform(Counter(crops.decisions.rows.tolist()), 9)
    holes = drawn(CutoutEach)
    assert isinstance(holes, CutoutEach)
    assert is_uniform(Counter(hole.x for hole in holes.holes), 32)
    policies = drawn(PolicyEach)
    assert isinstance(policies, PolicyEach)
    assert is_uniform(Counter(p.policy for p in policies.decisions), 25)
    assert is_fair(sum(p.signs[0] for p in policies.decisions))
    shares = drawn(MixupEach)
    assert isinstance(shares, MixupEach)
    assert stats.kstest(shares.shares, "uniform").pvalue > 1e-4
    assert sorted(shares.permutation) == list(range(MANY))
    boxes = drawn(CutMixEach)
    assert isinstance(boxes, CutMixEach)
    assert stats.kstest([box.share for box in boxes.boxes], "uniform").pvalue > 1e-4
    assert is_uniform(Counter(box.row for box in boxes.boxes), 32)
    assert all(source != target for target, source in enumerate(boxes.permutation))


def test_every_scheme_but_identity_has_a_version_per_image() -> None:
    assert set(PER_IMAGE_SCHEMES) == set(SCHEMES) - {"identity"}
    assert Mixup.draw is not MixupEach.draw


@pytest.mark.parametrize("name", PER_IMAGE_SCHEMES)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([16, 20, 32, 64]), count=st.integers(1, 5))
def test_shape_and_range(name: str, seed: int, size: int, count: int) -> None:
    batch = random_batch(size, count)
    decision = PER_IMAGE_SCHEMES[name].draw(addressed_generator(seed, "test"), count, size)
    images = decision.apply(batch)
    assert images.shape == batch.images.shape
    assert images.dtype == torch.float32
    assert images.min() >= PALETTE.normalise(torch.zeros_like(batch.bytes)).min() - 1e-5
    assert images.max() <= PALETTE.normalise(torch.full_like(batch.bytes, 255)).max() + 1e-5
