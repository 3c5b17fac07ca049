"""Every scheme: exact for given decisions, and right in distribution for drawn ones."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy
from torchvision.transforms import functional as vision

from tests.conftest import golden
from trainer.augmentations import NAMES, SCHEMES, Batch, CropsAndFlips, Palette
from trainer.augmentations.schemes import CropFlip, CutMix, Cutout, Flip, Mixup, PolicyDecision
from trainer.randomness import addressed_generator

GOLDEN = golden("augment_golden")
CPU = torch.device("cpu")
STATISTICS = {
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "tinyimagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
SIZES = {"cifar100": 32, "tinyimagenet": 64}
PALETTE = Palette(*STATISTICS["cifar100"], CPU)
MANY = 4000


def random_batch(size: int = 32, count: int = 6) -> Batch:
    rng = np.random.default_rng(3)
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8))
    return Batch(images, torch.zeros(count, dtype=torch.int64), PALETTE)


def draws(scheme: type, batch: int = 8, size: int = 32) -> list:
    return [scheme.draw(addressed_generator(0, "test", i), batch, size) for i in range(MANY)]


def is_uniform(counts: Counter, values: int) -> bool:
    observed = [counts[value] for value in range(values)]
    return len(counts) <= values and stats.chisquare(observed).pvalue > 1e-4


def is_fair(hits: int, tries: int = MANY) -> bool:
    return stats.binomtest(hits, tries, 0.5).pvalue > 1e-4


def test_the_names_are_the_papers_in_its_order() -> None:
    assert (
        *("identity", "flip", "crop+flip", "cutout", "autoaugment"),
        *("mixup", "cutmix", "cutmixpick_s", "cutmixpick_t"),
    ) == NAMES


# The palette


@pytest.mark.parametrize("name", STATISTICS)
def test_the_round_trip_changes_exactly_the_golden_bytes(name: str) -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    back = Palette(*STATISTICS[name], CPU).round_trip(images).view(3, 256).int()
    for channel, letter in enumerate("RGB"):
        changed = (back[channel] != torch.arange(256)).nonzero().flatten().tolist()
        assert changed == GOLDEN["uint8_roundtrip"][name][letter]["changed_values"]
        assert (torch.arange(256) - back[channel]).unique().tolist() == [0, 1]


def test_normalised_pixels_are_the_formulas_float32() -> None:
    batch = random_batch()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in STATISTICS["cifar100"])
    assert torch.equal(batch.images, (batch.bytes / 255 - mean) / std)


# The standard augmentation


def test_crops_and_flips_for_given_decisions() -> None:
    batch = random_batch(count=3)
    crops = CropsAndFlips(
        4, np.array([0, 4, 8]), np.array([8, 4, 1]), np.array([False, True, False])
    )
    images = crops.apply(batch.bytes)
    for i, (row, column, flipped) in enumerate([(0, 8, False), (4, 4, True), (8, 1, False)]):
        padded = vision.pad(batch.bytes[i], 4)
        expected = padded[:, row : row + 32, column : column + 32]
        assert torch.equal(images[i], vision.hflip(expected) if flipped else expected)


def test_crops_and_flips_are_drawn_per_image() -> None:
    crops = CropsAndFlips.draw(addressed_generator(0, "test"), MANY, 32)
    assert crops.pad == 4
    assert is_uniform(Counter(crops.rows.tolist()), 9)
    assert is_uniform(Counter(crops.columns.tolist()), 9)
    assert is_fair(int(crops.flipped.sum()))


# The schemes, for given decisions


def test_flip() -> None:
    batch = random_batch()
    back = batch.palette.round_trip(batch.bytes)
    assert torch.equal(Flip(True).apply(batch), PALETTE.normalise(back.flip(3)))
    assert torch.equal(Flip(False).apply(batch), PALETTE.normalise(back))
    assert not torch.equal(Flip(False).apply(batch), batch.images)


@pytest.mark.parametrize("mirrored", [True, False])
def test_crop_flip(mirrored: bool) -> None:
    batch = random_batch()
    padded = vision.pad(PALETTE.round_trip(batch.bytes), 4)
    expected = padded[:, :, 1:33, 7:39]
    expected = vision.hflip(expected) if mirrored else expected
    assert torch.equal(CropFlip(1, 7, mirrored).apply(batch), PALETTE.normalise(expected))


@pytest.mark.parametrize("name", SIZES)
def test_cutout_holes(name: str) -> None:
    size = SIZES[name]
    for case in GOLDEN["cutout_tables"][name]:
        rows, columns = Cutout(case["y"], case["x"]).hole(size)
        assert [rows.start, min(rows.stop, size)] == case["rows"]
        assert [columns.start, min(columns.stop, size)] == case["cols"]


def test_cutout_fills_with_the_mean_colour_and_changes_nothing_else() -> None:
    batch = random_batch()
    images = Cutout(10, 30).apply(batch)
    assert not images[:, :, 6:14, 26:32].any()
    images[:, :, 6:14, 26:32] = batch.images[:, :, 6:14, 26:32]
    assert torch.equal(images, batch.images)


def test_mixup() -> None:
    batch = random_batch(count=3)
    mixed = Mixup(0.25, (2, 1, 0)).apply(batch)
    x = batch.images.double()
    torch.testing.assert_close(mixed.double(), 0.25 * x + 0.75 * x.flip(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SIZES)
def test_cutmix_boxes(name: str) -> None:
    for share, column, row, left, top, right, bottom, _ in GOLDEN["cutmix_box_table"][name]:
        rows, columns = CutMix(share, column, row, ()).box(SIZES[name])
        assert (columns.start, rows.start) == (left, top)
        assert (columns.stop, rows.stop) == (right, bottom)


def test_cutmix() -> None:
    batch = random_batch(count=3)
    cutmix = CutMix(0.75, 20, 10, (1, 2, 0))
    mixed = cutmix.apply(batch)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[2:18, 12:28] = True
    expected = torch.where(inside, batch.images[torch.tensor([1, 2, 0])], batch.images)
    assert torch.equal(mixed, expected)


def test_cutmix_of_one_image_leaves_it() -> None:
    batch = random_batch(count=1)
    cutmix = CutMix.draw(addressed_generator(0, "test"), 1, 32)
    assert torch.equal(cutmix.apply(batch), batch.images)


@pytest.mark.parametrize(("size", "policy"), [(32, "CIFAR10"), (64, "IMAGENET")])
@pytest.mark.parametrize("index", [0, 3, 8, 24])
@pytest.mark.parametrize("signs", [(0, 1), (1, 0)])
def test_autoaugment_applies_torchvisions_operations(
    size: int, policy: str, index: int, signs: tuple[int, int]
) -> None:
    """Against torchvision's own draw, for the seed of its generator that draws this very decision."""
    batch = random_batch(size)
    augment = AutoAugment(AutoAugmentPolicy[policy])
    for seed in range(5000):
        torch.manual_seed(seed)
        drawn, chances, drawn_signs = augment.get_params(len(augment.policies))
        if drawn == index and tuple(drawn_signs.tolist()) == signs:
            break
    decision = PolicyDecision(index, tuple(chances.tolist()), signs)
    torch.manual_seed(seed)
    expected = PALETTE.normalise(augment(PALETTE.round_trip(batch.bytes)))
    assert torch.equal(decision.apply(batch), expected)


def test_autoaugment_leaves_deterministic_mode_as_it_was() -> None:
    """Equalize needs it off on CUDA; that it is off elsewhere would be silent."""
    torch.use_deterministic_algorithms(True)
    try:
        PolicyDecision(0, (0.0, 0.0), (0, 0)).apply(random_batch())
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


# The schemes, in distribution


def test_flip_is_fair() -> None:
    assert is_fair(sum(flip.mirrored for flip in draws(Flip)))


def test_crop_flip_is_uniform() -> None:
    drawn = draws(CropFlip)
    assert is_uniform(Counter(d.row for d in drawn), 9)
    assert is_uniform(Counter(d.column for d in drawn), 9)
    assert is_fair(sum(d.mirrored for d in drawn))


def test_cutout_is_uniform_over_pixels() -> None:
    drawn = draws(Cutout)
    assert is_uniform(Counter(d.y for d in drawn), 32)
    assert is_uniform(Counter(d.x for d in drawn), 32)


@pytest.mark.parametrize("scheme", [Mixup, CutMix])
def test_shares_are_uniform(scheme: type) -> None:
    shares = [d.share for d in draws(scheme)]
    assert stats.kstest(shares, "uniform").pvalue > 1e-4


def test_mixups_permutations_are_uniform_and_may_have_fixed_points() -> None:
    counts = Counter(d.permutation for d in draws(Mixup, batch=3))
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_cutmix_permutations_are_uniform_without_fixed_points() -> None:
    counts = Counter(d.permutation for d in draws(CutMix, batch=4))
    assert len(counts) == 9
    assert all(p[i] != i for p in counts for i in range(4))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_cutmix_boxes_have_the_expected_area() -> None:
    """Before clipping the area's share is 1 - share; after it, what remains of uniform centres."""
    drawn = draws(CutMix)
    assert is_uniform(Counter(d.row for d in drawn), 32)
    assert is_uniform(Counter(d.column for d in drawn), 32)
    areas = []
    for decision in drawn:
        rows, columns = decision.box(32)
        areas.append((rows.stop - rows.start) * (columns.stop - columns.start) / 32**2)
    rng = np.random.default_rng(0)
    share, row, column = rng.random(200_000), *rng.integers(0, 32, (2, 200_000))
    half = (32 * np.sqrt(1 - share)).astype(int) // 2
    sides = [np.minimum(c + half, 32) - np.maximum(c - half, 0) for c in (row, column)]
    expected = sides[0] * sides[1] / 32**2
    assert stats.ks_2samp(areas, expected).pvalue > 1e-4
    empty = np.mean([area == 0 for area in areas])
    assert empty == pytest.approx(0.004, abs=0.004)


def test_autoaugment_draws_policies_chances_and_signs_uniformly() -> None:
    drawn = draws(PolicyDecision)
    assert is_uniform(Counter(d.policy for d in drawn), 25)
    assert stats.kstest([d.chances[0] for d in drawn], "uniform").pvalue > 1e-4
    assert is_fair(sum(d.signs[1] for d in drawn))


# All schemes


@pytest.mark.parametrize("name", SCHEMES)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([16, 20, 32, 64]), count=st.integers(1, 5))
def test_every_scheme_keeps_shape_and_range(name: str, seed: int, size: int, count: int) -> None:
    batch = random_batch(size, count)
    decision = SCHEMES[name].draw(addressed_generator(seed, "test"), count, size)
    images: Tensor = decision.apply(batch)
    assert images.shape == batch.images.shape
    assert images.dtype == torch.float32
    assert math.isfinite(images.abs().max().item())
    assert images.min() >= PALETTE.normalise(torch.zeros_like(batch.bytes)).min() - 1e-5
    assert images.max() <= PALETTE.normalise(torch.full_like(batch.bytes, 255)).max() + 1e-5
