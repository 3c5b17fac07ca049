"""What a trial sees in a step: shared runs, picks of any scheme, schemes of one's own."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainer.test_augmentations import random_batch
from trainer.augmentations.picking import divergence, entropy
from trainer.catalog import BASE_SCHEMES
from trainer.frozen import FrozenModel
from trainer.randomness import addressed_generator
from trainer.trial import Data, OwnFile, StudentTrial
from trainer.views import StepViews

DATA = Data.official("fashion_mini")


def trial(augmentation: str, **changes: Any) -> StudentTrial:
    return StudentTrial(
        data=DATA,
        teacher="resnet8",
        teacher_fingerprint="0" * 64,
        student="resnet8",
        augmentation=augmentation,
        seed=0,
        learning_rate=0.05,
        **changes,
    )


def scorer(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))


def stream(scheme: str) -> np.random.Generator:
    return addressed_generator(7, "scheme", scheme)


@pytest.fixture
def views() -> StepViews:
    return StepViews(random_batch(16, 6), FrozenModel(scorer(0)), stream)


@pytest.mark.parametrize("base", BASE_SCHEMES)
@pytest.mark.parametrize("runs", [1, 2, 3])
def test_a_pick_keeps_the_highest_of_a_pool_of_any_scheme(
    base: str, runs: int, views: StepViews
) -> None:
    name = f"{base}pick{'' if runs == 2 else runs}_t"
    kept = views.mixed(trial(name, pick_size=5))
    alone = views.mixed(trial(base))
    pool = torch.cat([alone.images, *(_further_runs(base, runs))])
    scores = entropy(scorer(0)(pool))
    best = torch.sort(scores, stable=True).indices[-5:]
    torch.testing.assert_close(kept.images, pool[best], rtol=0, atol=0)
    assert kept.images.shape == (5, 3, 16, 16)


def _further_runs(base: str, runs: int) -> list[Tensor]:
    fresh = StepViews(random_batch(16, 6), FrozenModel(scorer(0)), stream)
    return [view.images for view in fresh.runs(fresh_base(base), runs)[1:]]


def fresh_base(base: str) -> Any:
    from trainer.views import BaseScheme

    return BaseScheme(base)


@pytest.mark.parametrize("criterion", ["s", "k"])
def test_a_student_scores_in_the_mode_it_is_in(criterion: str, views: StepViews) -> None:
    student = scorer(1)
    kept = views.mixed(trial(f"mixuppick_{criterion}", pick_size=4, temperature=2.0), student)
    pool = torch.cat([view.images for view in views.runs(fresh_base("mixup"), 2)])
    scores = (
        entropy(student(pool))
        if criterion == "s"
        else divergence(student(pool), scorer(0)(pool), 2.0)
    )
    assert torch.equal(kept.images, pool[torch.sort(scores, stable=True).indices[-4:]])
    with pytest.raises(ValueError, match=f"mixuppick_{criterion} needs a student"):
        views.mixed(trial(f"mixuppick_{criterion}"))


def test_run_0_of_a_pool_is_the_scheme_itself_whoever_asks_first() -> None:
    made = []
    for order in (("cutmix", "cutmixpick3_t"), ("cutmixpick3_t", "cutmix")):
        views = StepViews(random_batch(16, 6), FrozenModel(scorer(0)), stream)
        made.append({name: views.mixed(trial(name)).images for name in order})
    for name in ("cutmix", "cutmixpick3_t"):
        assert torch.equal(made[0][name], made[1][name])


def test_the_teacher_sees_a_run_once() -> None:
    teacher = FrozenModel(scorer(0))
    views = StepViews(random_batch(16, 6), teacher, stream)
    for name in ("cutmixpick3_t", "cutmix", "cutmixpick_t", "identity", "identitypick_t"):
        views.mixed(trial(name))
    assert teacher.num_passes == 3 + 2


def test_both_kinds_of_randomness_in_one_group() -> None:
    views = StepViews(random_batch(16, 6), FrozenModel(scorer(0)), stream)
    batch = views.mixed(trial("cutout")).images
    sample = views.mixed(trial("cutout", randomness="sample")).images
    assert not torch.equal(batch, sample)
    assert torch.equal(views.mixed(trial("cutout", randomness="batch")).images, batch)
    assert views.mixed(trial("identity", randomness="sample")) is views.original


SOURCE = """
from trainer.augmentations.own import register

@register("shift")
def shift(images, rng):
    return images + rng.random()

@register("wrong")
def wrong(images, rng):
    return images[:, :1]

@register("nothing")
def nothing(images, rng):
    pass
"""


def own(name: str) -> StudentTrial:
    return trial(name, own_scheme=OwnFile(path="mine.py", source=SOURCE))


def test_a_scheme_of_one_s_own(views: StepViews) -> None:
    shifted = views.mixed(own("shift")).images
    expected = views.batch.images + stream("shift").random()
    assert torch.equal(shifted, expected)
    picked = views.mixed(own("shiftpick_t"))
    assert len(picked.images) == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", r"mine.py: wrong must return torch.float32 \[B', 3, 16, 16\], not .*\[6, 1,"),
        ("nothing", "nothing must return .* not NoneType"),
        ("other", r"mine.py registers no scheme 'other', but \['shift', 'wrong', 'nothing'\]"),
    ],
)
def test_a_scheme_of_one_s_own_that_is_wrong(name: str, message: str, views: StepViews) -> None:
    with pytest.raises(ValueError, match=message):
        views.mixed(own(name))
