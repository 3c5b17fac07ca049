"""The comparison is fair, and runs to its end."""

import io
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.side_by_side.__main__ import (
    PRELOADED,
    PROCESSES,
    in_fresh_process,
    read_options,
    run,
)
from benchmarks.side_by_side.comparisons import compare_steps, compare_sweeps
from benchmarks.side_by_side.convolutions import group_gflop
from benchmarks.side_by_side.pillow_images import train_batches
from benchmarks.side_by_side.plain_loop import PlainStddev, PlainStudent
from benchmarks.side_by_side.plain_schemes import Colours, plain_schemes
from benchmarks.side_by_side.plan import alternating, step_runs
from benchmarks.side_by_side.record import Record, StepCost
from benchmarks.side_by_side.steps import PLAIN_SIDES, Cost, Run, measure
from benchmarks.side_by_side.tables import tables
from benchmarks.side_by_side.workloads import (
    SCHEMES,
    Pair,
    Scale,
    keep_weights,
    stddev_trial,
    student_trial,
)
from trainer.augmentations import Batch, Palette
from trainer.augmentations.schemes import CropFlip, CutMix, Cutout, Mixup
from trainer.losses import student_loss
from trainer.models import build_model
from trainer.stddev import MeanProbabilityStddev

PAIR = Pair("resnet8", "resnet8")
TINY = Scale("fashion_mini", batch_size=8, warmup=1, steps=1)


class Spy(nn.Module):
    """A model that remembers what it was shown and what it said."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        self.seen.append((images.detach(), logits.detach()))
        return logits


def models() -> tuple[Spy, Spy]:
    torch.manual_seed(0)
    teacher, student = (Spy(build_model("resnet8", 10, 16)) for _ in PAIR)
    return teacher, student


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_plain_loop_s_first_loss_is_kdsweep_s(scheme: str) -> None:
    teacher, student = models()
    trial, dataset, log = student_trial(PAIR, scheme, TINY), TINY.dataset(), io.StringIO()
    loop = PlainStudent(trial, teacher, student, dataset, log)
    images, labels = next(iter(train_batches(dataset, TINY.batch_size, num_workers=0)))
    loop.begin_epoch(trial.learning_rate)
    loop.step(images, labels)
    (x, original), (m, mixed) = student.seen[0], student.seen[-1]
    (same_x, targets), (same_m, mixed_targets) = teacher.seen[0], teacher.seen[-1]
    assert torch.equal(x, same_x)
    assert torch.equal(m, same_m)
    expected = student_loss(original, targets, labels, (mixed, mixed_targets), trial.temperature)
    assert float(log.getvalue().split()[1]) == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("scheme", "teacher_passes", "student_passes"),
    [("identity", 2, 2), ("cutmix", 2, 2), ("cutmixpick_t", 3, 2), ("cutmixpick_s", 2, 3)],
)
def test_each_model_is_called_anew_for_each_view(
    scheme: str, teacher_passes: int, student_passes: int
) -> None:
    teacher, student = models()
    trial, dataset = student_trial(PAIR, scheme, TINY), TINY.dataset()
    loop = PlainStudent(trial, teacher, student, dataset, io.StringIO())
    loop.step(*next(iter(train_batches(dataset, TINY.batch_size, num_workers=0))))
    assert (len(teacher.seen), len(student.seen)) == (teacher_passes, student_passes)
    assert len(student.seen[-1][0]) == TINY.batch_size


def test_the_plain_loop_s_t_stddev_is_kdsweep_s() -> None:
    teacher, _ = models()
    trial, dataset = stddev_trial(PAIR, "mixup", TINY), TINY.dataset()
    loop = PlainStddev(trial, teacher, None, None, dataset, io.StringIO())
    meter = MeanProbabilityStddev(trial.batches_per_window)
    batches = train_batches(dataset, 4, num_workers=0)
    for images, labels in batches:
        loop.step(images, labels)
        (_, original), (_, mixed) = teacher.seen[-2:]
        meter.update(original.softmax(1), mixed.softmax(1))
    assert meter.num_windows >= 2
    assert loop.value() == pytest.approx(meter.value(), rel=1e-4)


def test_the_standard_augmentation_pads_with_black_and_normalises() -> None:
    dataset = TINY.dataset()
    images, _ = next(iter(train_batches(dataset, len(dataset.train.labels), num_workers=0)))
    palette = Palette(dataset.mean, dataset.std, torch.device("cpu"))
    levels = palette.normalise(torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256))
    assert torch.isclose(images.unique()[:, None], levels.unique(), atol=1e-5).any(1).all()


def test_the_plain_schemes_are_kdsweep_s() -> None:
    """Whatever a plain scheme decides, some decision of kdsweep's scheme gives the same images."""
    dataset = TINY.dataset()
    palette = Palette(dataset.mean, dataset.std, torch.device("cpu"))
    batch = Batch(dataset.train.images[:2], dataset.train.labels[:2], palette)
    schemes = plain_schemes(dataset.image_size, Colours(dataset.mean, dataset.std))
    pixels = range(dataset.image_size)
    swapped = (1, 0)
    possible = {
        "identity": [batch.images],
        "crop+flip": [
            CropFlip(row, column, mirrored).apply(batch)
            for row in range(5)
            for column in range(5)
            for mirrored in (False, True)
        ],
        "cutout": [Cutout(y, x).apply(batch) for y in pixels for x in pixels],
        "cutmix": [
            CutMix(1 - (side / 16) ** 2, x, y, swapped).apply(batch)
            for side in range(0, 17, 2)
            for y in pixels
            for x in pixels
        ],
    }
    possible["flip"] = [CropFlip(2, 2, mirrored).apply(batch) for mirrored in (False, True)]
    for seed in range(10):
        torch.manual_seed(seed)
        for name, images in possible.items():
            made = schemes[name](batch.images)
            assert any(torch.allclose(made, image, atol=1e-5) for image in images), name
        torch.manual_seed(seed)
        share = torch.rand(()).item()
        torch.manual_seed(seed)
        made = schemes["mixup"](batch.images)
        mixes = [Mixup(share, order).apply(batch) for order in ((0, 1), swapped)]
        assert any(torch.allclose(made, mix, atol=1e-5) for mix in mixes)


def test_what_is_compared_follows_each_other_and_alternates() -> None:
    units = list(step_runs(["steps", "group", "stddev"], "resnet8/resnet8"))
    first, second = list(alternating(units, 1)), list(alternating(units, 2))
    assert set(first) == set(second)
    assert len(set(first)) == len(first)
    plain, own = (
        Run(side, "student", "resnet8/resnet8", ("flip",)) for side in ("plain", "kdsweep")
    )
    assert first.index(own) == first.index(plain) + 1
    assert second.index(plain) == second.index(own) + 1


def test_a_group_beside_nine_plain_trials_is_the_sum_of_them(tmp_path: Path) -> None:
    record = Record(tmp_path / "bench.json", TINY)
    for number, seconds in enumerate((1.0, 2.0, 4.0), start=1):
        for scheme in ("flip", "mixup"):
            run_ = Run("plain", "student", "vgg13/vgg8", (scheme,))
            record.steps.append(StepCost(number, run_, Cost(2.0, 4.0, 64)))
        group = Run("kdsweep", "student", "vgg13/vgg8", ("flip", "mixup"))
        record.steps.append(StepCost(number, group, Cost(seconds, seconds, 64)))
    (comparison,) = compare_steps(record)
    assert (comparison.cpu.low, comparison.cpu.middle, comparison.cpu.high) == (0.25, 0.5, 1.0)
    assert comparison.wall.middle == 0.25
    assert comparison.cpu.n == 3
    group = Run("kdsweep", "student", "vgg13/vgg8", ("flip",))
    record.steps.append(StepCost(1, group, Cost(1.0, 1.0, 32)))
    with pytest.raises(ValueError, match="another number of images"):
        compare_steps(record)


def test_the_arithmetic_of_a_group_is_that_of_its_passes() -> None:
    scale = Scale()
    alone = group_gflop("student", Pair("wrn_40_2", "wrn_16_2"), ("cutmix",), scale)
    nine = group_gflop("student", Pair("wrn_40_2", "wrn_16_2"), SCHEMES, scale)
    watched = group_gflop("stddev", Pair("wrn_40_2", "wrn_16_2"), ("identity",), scale)
    assert alone == pytest.approx(161, rel=0.02)
    assert nine == pytest.approx(1059, rel=0.02)
    assert watched == pytest.approx(2 * 64 * 0.3277, rel=0.02)


def test_a_tiny_benchmark_of_steps_runs_to_its_end(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    asked = "--only group rate --pairs resnet8/resnet8 --rounds 1 --steps 1"
    small = f"--images fashion_mini --batch-size 4 --output {output}"
    record = run(read_options([*asked.split(), *small.split()]))
    assert {c.images for c in (m.cost for m in record.steps)} == {4}
    text = tables(record)
    for precision in ("fp32", "bf16"):
        assert f"student, 9 in lockstep, {precision}, beside plain" in text
    content = json.loads(output.read_text())
    assert len(content["steps"]) == len(record.steps)
    assert content["scale"]["batch_size"] == 4
    assert content["about"]["libraries"]["torch"]


def test_t_stddev_is_measured_on_all_sides(tmp_path: Path) -> None:
    PROCESSES.set_forkserver_preload(PRELOADED)
    in_fresh_process(keep_weights, PAIR, TINY, tmp_path)
    for side in (*PLAIN_SIDES, "kdsweep"):
        asked = Run(side, "stddev", "resnet8/resnet8", ("cutmixpick_s",))
        cost = in_fresh_process(measure, asked, TINY, tmp_path)
        assert cost.images == TINY.batch_size
        assert cost.wall_s > 0


@pytest.mark.slow
def test_a_tiny_sweep_runs_to_its_end_on_both_sides(tmp_path: Path) -> None:
    asked = f"--only sweep --sweep tiny --rounds 1 --output {tmp_path / 'bench.json'}"
    record = run(read_options(asked.split()))
    plain, own = (measured.cost for measured in record.sweeps)
    assert (plain.train_images, plain.test_images) == (own.train_images, own.test_images)
    assert min(plain.cpu_s, own.cpu_s) > 1
    assert compare_sweeps(record.sweeps) is not None
