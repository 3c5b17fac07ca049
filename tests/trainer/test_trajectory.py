"""Several whole steps of distillation in float64, against the authors' code."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import golden
from tests.trainer.recipes import fill_by_name, normal
from trainer import learners
from trainer.augmentations import Batch, Palette
from trainer.datasets.dataset import Dataset, Part
from trainer.frozen import FrozenModel
from trainer.learners import Place, StudentMember
from trainer.models import build_model
from trainer.replay import Eager
from trainer.trial import Data, StudentTrial
from trainer.views import BaseScheme, StepViews

CASES = golden("train_trajectory_golden")["cases"]


class GivenImages(Batch):
    """A batch whose normalised images are given, in float64."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__(images, labels, Palette((0.5,) * 3, (0.5,) * 3, torch.device("cpu")))
        self.__dict__["images"] = images


class GivenViews(StepViews):
    """Views by the recipe of train_trajectory_golden.json instead of drawn ones."""

    def __init__(self, batch: Batch, teacher: FrozenModel) -> None:
        super().__init__(batch, teacher, lambda scheme: np.random.default_rng())

    def _apply(self, base: BaseScheme) -> Tensor:
        images = self.batch.images
        if base.name == "mixup":
            return 0.3 * images + 0.7 * images.flip(0)
        if base.name == "cutmix":
            run = len(self._made[base])
            rows, columns = ((slice(4, 20), slice(8, 24)), (slice(0, 10), slice(0, 30)))[run]
            mixed = images.clone()
            other = torch.roll(torch.arange(len(images)), run + 1)
            mixed[:, :, rows, columns] = images[other][:, :, rows, columns]
            return mixed
        return super()._apply(base)


SCHEMES = {"identity": "identity", "fixed": "mixup", "cutmix_pick": "cutmixpick_s"}


def golden_batch(step: int, batch: int, size: int, classes: int) -> tuple[Tensor, Tensor]:
    rng = np.random.Generator(np.random.PCG64(5000 + step))
    images = rng.standard_normal((batch, 3, size, size)).astype(np.float32)
    labels = rng.integers(0, classes, batch)
    return torch.from_numpy(images).double(), torch.from_numpy(labels)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['student']}-{case['mode']}")
def test_several_steps(case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    classes, size, batch = case["C"], case["S"], case["B"]
    images, labels = golden_batch(0, batch, size, classes)
    part = Part(torch.zeros(1, 3, size, size, dtype=torch.uint8), labels[:1])
    names = tuple(str(c) for c in range(classes))
    dataset = Dataset("given", names, part, part, (0.5,) * 3, (0.5,) * 3)
    trial = StudentTrial(
        data=Data(
            name="given",
            checksum="sha256:" + "0" * 64,
            num_classes=classes,
            image_size=size,
            train_images=1,
            test_images=1,
            format="imagefolder",
            path="given",
        ),
        teacher=case["teacher"],
        teacher_fingerprint="0" * 64,
        student=case["student"],
        augmentation=SCHEMES[case["mode"]],
        seed=0,
        learning_rate=case["options"]["lr"],
        pick_size=case["options"].get("n_pick", 64),
    )
    teacher = FrozenModel(fill_by_name(build_model(case["teacher"], classes, size)))
    palette = Palette(dataset.mean, dataset.std, torch.device("cpu"))
    model = fill_by_name(build_model(case["student"], classes, size))
    monkeypatch.setattr(learners, "fresh_model", lambda *_: model)
    member = StudentMember(trial, Place(dataset, palette, torch.device("cpu"), Eager()))
    for step in case["steps"]:
        images, labels = golden_batch(step["step"], batch, size, classes)
        member.begin_epoch(step["epoch"])
        assert member._train.optimiser.rate == pytest.approx(step["lr"], rel=1e-12)
        before = member._train.loss_sum.item()
        member.step(GivenViews(GivenImages(images, labels), teacher))
        loss = (member._train.loss_sum.item() - before) / batch
        assert loss == pytest.approx(step["total_loss"], rel=1e-9)

    final, state = case["final"], model.state_dict()
    assert (
        sorted({int(v) for k, v in state.items() if k.endswith("num_batches_tracked")})
        == (final["num_batches_tracked"])
    )
    norm = torch.cat([p.detach().flatten() for p in model.parameters()]).norm().item()
    assert norm == pytest.approx(final["params_l2"], rel=1e-9)
    for kind in ("running_mean", "running_var"):
        total = sum(v.sum().item() for k, v in state.items() if k.endswith(kind))
        assert total == pytest.approx(final[f"{kind}_sum"], rel=1e-9)
    for name, expected in final["selected"].items():
        np.testing.assert_allclose(state[name].flatten()[:3], expected["first3"], rtol=1e-8)
    model.eval()
    with torch.no_grad():
        logits = model(normal(5099, (4, 3, size, size)))
    np.testing.assert_allclose(
        logits[0, :5], final["eval_logits_batch99"]["sample0_first5"], rtol=1e-7
    )
