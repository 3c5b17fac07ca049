"""A trial's numbers are the same bits alone, in any group, and resumed after any step."""

import gc
import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainer.keepers import (
    LenientKeeper,
    StoppingKeeper,
    assert_equal_results,
    final_weights,
)
from tests.trainer.tape import TapeLanes, on_tape
from tests.trainer.test_trial import INERT
from trainer import learners
from trainer.catalog import AUGMENTATIONS
from trainer.datasets.dataset import Dataset
from trainer.keeper import FolderKeeper
from trainer.learners import StudentMember
from trainer.lockstep import run_group
from trainer.members import DivergedError
from trainer.positions import Position
from trainer.replay import Eager, Execution, Replaying
from trainer.trial import Data, OwnFile, StddevTrial, StudentTrial, TeacherTrial, Trial

CPU = torch.device("cpu")
STEPS_PER_EPOCH = 10
"""150 images in batches of 16: nine whole ones and a last one of six."""


def teacher_trial(data: Data, **changes: Any) -> TeacherTrial:
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05}
    return TeacherTrial(data=data, teacher="resnet8", seed=0, **(settings | changes))


def student_trial(data: Data, augmentation: str, **changes: Any) -> StudentTrial:
    settings: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.05,
        "milestones": (1,),
        "pick_size": 16,
        "seed": 1,
    }
    return StudentTrial(
        data=data,
        teacher="resnet8",
        teacher_fingerprint=teacher_trial(data).fingerprint,
        student="resnet8",
        augmentation=augmentation,
        **(settings | changes),
    )


def stddev_trial(data: Data, augmentation: str) -> StddevTrial:
    student = student_trial(data, "cutmixpick_s")
    needed: dict[str, Any] = {
        "student": student.student,
        "student_fingerprint": student.fingerprint,
        "student_cell": student.cell,
    }
    return StddevTrial(
        data=data,
        teacher="resnet8",
        teacher_fingerprint=teacher_trial(data).fingerprint,
        augmentation=augmentation,
        seed=1,
        epochs=2,
        batch_size=16,
        pick_size=16,
        **(needed if augmentation == "cutmixpick_s" else {}),
    )


@pytest.fixture(scope="module")
def students(tiny_data: Data) -> list[StudentTrial]:
    return [student_trial(tiny_data, name) for name in AUGMENTATIONS]


@pytest.fixture(scope="module")
def reference(
    tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Dataset, tiny_data: Data
) -> Path:
    """The teacher, all nine students in one group, and all nine stddev trials in one group."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("reference")
    keeper = FolderKeeper(folder)
    for group in (
        [teacher_trial(tiny_data)],
        [student_trial(tiny_data, name) for name in AUGMENTATIONS],
        [stddev_trial(tiny_data, name) for name in AUGMENTATIONS],
    ):
        run_group(group, keeper, tiny_dataset, CPU)
    return folder


def run_fresh(
    folder: Path,
    reference: Path,
    group: Sequence[Trial],
    dataset: Dataset,
    execution: Execution | None = None,
) -> FolderKeeper:
    """Run a group in a new folder that has the finished trials that it depends on."""
    for dependency in {fp for trial in group for fp in trial.depends_on}:
        shutil.copytree(reference / dependency, folder / dependency, dirs_exist_ok=True)
    keeper = FolderKeeper(folder)
    run_group(group, keeper, dataset, CPU, execution)
    return keeper


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_alone_and_in_a_group_of_nine(
    name: str, tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    for trial in (student_trial(tiny_data, name), stddev_trial(tiny_data, name)):
        run_fresh(tmp_path, reference, [trial], tiny_dataset)
        assert_equal_results(reference, tmp_path, trial)


@pytest.mark.parametrize(
    "names",
    [
        ("cutmixpick_s", "cutmix", "identity"),
        ("cutmixpick_t", "mixup", "cutmixpick_s"),
        ("autoaugment", "flip", "crop+flip"),
    ],
)
def test_in_groups_of_three(
    names: tuple[str, ...],
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
) -> None:
    group = [student_trial(tiny_data, name) for name in names]
    run_fresh(tmp_path, reference, group, tiny_dataset)
    for trial in group:
        assert_equal_results(reference, tmp_path, trial)


@pytest.mark.parametrize(("one", "other"), INERT)
def test_trials_of_one_fingerprint_are_trained_to_the_same_bits(
    one: dict[str, Any],
    other: dict[str, Any],
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
) -> None:
    trials = [
        student_trial(tiny_data, **{"augmentation": "flip", "milestones": (), **changes})
        for changes in (one, other)
    ]
    assert trials[0].fingerprint == trials[1].fingerprint
    for name, trial in zip(("one", "other"), trials, strict=True):
        (tmp_path / name).mkdir()
        run_fresh(tmp_path / name, reference, [trial], tiny_dataset)
    assert_equal_results(tmp_path / "one", tmp_path / "other", trials[0])


def test_the_order_within_a_group_does_not_matter(
    tmp_path: Path, reference: Path, students: list[StudentTrial], tiny_dataset: Dataset
) -> None:
    run_fresh(tmp_path, reference, students[::-1], tiny_dataset)
    for trial in students:
        assert_equal_results(reference, tmp_path, trial)


@pytest.mark.parametrize("stops", [(1,), (10,), (7, 4), (13, 1, 2)])
def test_stopped_after_any_step_and_resumed(
    stops: tuple[int, ...],
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
) -> None:
    for fingerprint in (d.name for d in reference.iterdir()):
        (tmp_path / fingerprint).mkdir()
    teacher = teacher_trial(tiny_data)
    names = ("cutmixpick_s", "crop+flip", "cutmix")
    for group in (
        [teacher],
        [student_trial(tiny_data, name) for name in names],
        [stddev_trial(tiny_data, name) for name in names],
    ):
        for steps in stops:
            keeper = StoppingKeeper(tmp_path, steps)
            run_group(group, keeper, tiny_dataset, CPU)
            assert keeper.has_stopped
        run_group(group, FolderKeeper(tmp_path), tiny_dataset, CPU)
        for trial in group:
            assert_equal_results(reference, tmp_path, trial)
            left = {path.name for path in (tmp_path / trial.fingerprint).iterdir()}
            assert left <= {"result.json", "final.safetensors"}


def test_replayed_alone_in_a_group_and_stopped_the_bits_are_those_of_eager_steps(
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
    students: list[StudentTrial],
) -> None:
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    stddevs = [stddev_trial(tiny_data, name) for name in AUGMENTATIONS]
    for folder in (alone, stopped):
        shutil.copytree(reference, folder, ignore=lambda *_: ["result.json"])
    for group in ([teacher_trial(tiny_data)], students, stddevs):
        run_fresh(tmp_path, reference, group, tiny_dataset, on_tape())
        for trial in group:
            assert_equal_results(reference, tmp_path, trial)
    for trial in (students[7], stddevs[-1]):
        run_group([trial], FolderKeeper(alone), tiny_dataset, CPU, on_tape())
        assert_equal_results(reference, alone, trial)
    for group in ([teacher_trial(tiny_data)], students[6:], stddevs[7:]):
        # 10 whole steps end with a short batch, which the second part of the run begins with.
        for steps in (9, 1, 4):
            run_group(group, StoppingKeeper(stopped, steps), tiny_dataset, CPU, on_tape())
        run_group(group, FolderKeeper(stopped), tiny_dataset, CPU, on_tape())
        for trial in group:
            assert_equal_results(reference, stopped, trial)


def test_an_epoch_of_whole_batches_ends_with_what_was_only_begun(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    group = [student_trial(tiny_data, name, batch_size=15) for name in ("cutmix", "cutmixpick_t")]
    eager, late = tmp_path / "eager", tmp_path / "late"
    for folder, execution in ((eager, Eager()), (late, on_tape())):
        folder.mkdir()
        run_fresh(folder, reference, group, tiny_dataset, execution)
    for trial in group:
        assert_equal_results(eager, late, trial)


def test_a_schedule_asks_for_no_new_capture(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    lanes = TapeLanes()
    run_fresh(
        tmp_path,
        reference,
        [student_trial(tiny_data, name) for name in ("mixup", "cutmix")],
        tiny_dataset,
        Replaying(lanes),
    )
    # Each student once, and the teacher for each view of a step.
    assert sum(lane.num_captured for lane in lanes.made) == 2 + 3


@pytest.mark.parametrize("where", ["step", "end_epoch", "metrics"])
def test_when_the_device_itself_fails_no_member_is_blamed(
    where: str,
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(StudentMember, where, fail)
    group = [student_trial(tiny_data, name, epochs=1) for name in ("mixup", "cutmix")]
    shutil.copytree(
        reference / group[0].teacher_fingerprint, tmp_path / group[0].teacher_fingerprint
    )
    keeper = LenientKeeper(tmp_path)
    with pytest.raises(torch.AcceleratorError):
        run_group(group, keeper, tiny_dataset, CPU)
    assert not keeper.failures


def test_bf16_is_another_trial_and_repeats_its_bits(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """Alone, in a group, and on the tape; its numbers lie near those of fp32, and are not the same."""
    near = student_trial(tiny_data, "cutmixpick_s")
    group = [student_trial(tiny_data, name, precision="bf16") for name in ("cutmixpick_s", "mixup")]
    assert group[0].fingerprint != near.fingerprint
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    run_fresh(one, reference, group, tiny_dataset)
    run_fresh(other, reference, group[:1], tiny_dataset, on_tape())
    assert_equal_results(one, other, group[0])
    assert {w.dtype for w in final_weights(one, group[0]).values()} == {torch.float32, torch.int64}
    losses = [
        FolderKeeper(folder).result(trial)["metrics"]["test_loss"]
        for folder, trial in ((one, group[0]), (reference, near))
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_members_that_were_cut_off_at_different_steps(
    tmp_path: Path, reference: Path, students: list[StudentTrial], tiny_dataset: Dataset
) -> None:
    shutil.copytree(
        reference / students[0].teacher_fingerprint, tmp_path / students[0].teacher_fingerprint
    )
    run_group(students[:2], StoppingKeeper(tmp_path, 3), tiny_dataset, CPU)
    run_group(students[2:4], StoppingKeeper(tmp_path, 12), tiny_dataset, CPU)
    run_group(students[:5], FolderKeeper(tmp_path), tiny_dataset, CPU)
    for trial in students[:5]:
        assert_equal_results(reference, tmp_path, trial)


def test_a_checkpoint_is_kept_on_command_and_replaced(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    trial = teacher_trial(tiny_data)
    keeper = StoppingKeeper(tmp_path, stop_after=8, save_at=frozenset({6, 3}))
    run_group([trial], keeper, tiny_dataset, CPU)
    checkpoint = keeper.checkpoint(trial)
    assert checkpoint is not None
    assert checkpoint.position == Position(1, 8)
    assert len(list((tmp_path / trial.fingerprint).iterdir())) == 2


@pytest.mark.parametrize(
    ("names", "views"),
    [
        (AUGMENTATIONS, 8),  # x, five schemes, two CutMix runs
        (("identity",), 1),
        (("cutmix",), 2),
        (("cutmixpick_s",), 3),
        (("cutmix", "cutmixpick_s", "cutmixpick_t"), 3),
    ],
)
def test_the_teacher_sees_each_view_once(
    names: tuple[str, ...],
    views: int,
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
) -> None:
    class CountingKeeper(FolderKeeper):
        passes = 0

        def finish(self, trial: Trial, result: Any) -> None:
            self.passes = result.num_teacher_passes

    group = [student_trial(tiny_data, name, epochs=1) for name in names]
    shutil.copytree(
        reference / group[0].teacher_fingerprint, tmp_path / group[0].teacher_fingerprint
    )
    keeper = CountingKeeper(tmp_path)
    run_group(group, keeper, tiny_dataset, CPU)
    assert keeper.passes == views * STEPS_PER_EPOCH


def test_a_member_that_diverges_leaves_and_the_others_go_on(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    good = student_trial(tiny_data, "cutmix")
    bad = student_trial(tiny_data, "mixup", learning_rate=1e30)
    shutil.copytree(reference / good.teacher_fingerprint, tmp_path / good.teacher_fingerprint)
    keeper = LenientKeeper(tmp_path)
    run_group([bad, good], keeper, tiny_dataset, CPU)
    assert list(keeper.failures) == [bad.fingerprint]
    assert isinstance(keeper.failures[bad.fingerprint], DivergedError)
    assert_equal_results(reference, tmp_path, good)


def test_trials_of_different_lengths_share_a_group(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    short = student_trial(tiny_data, "flip", epochs=1)
    long = student_trial(tiny_data, "flip")
    run_fresh(tmp_path, reference, [short, long], tiny_dataset)
    assert_equal_results(reference, tmp_path, long)
    alone = tmp_path / "alone"
    alone.mkdir()
    run_fresh(alone, reference, [short], tiny_dataset)
    assert_equal_results(alone, tmp_path, short)


def test_trials_that_do_not_belong_together_are_refused(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    strangers = [student_trial(tiny_data, "flip", seed=1), student_trial(tiny_data, "flip", seed=2)]
    with pytest.raises(ValueError, match="lockstep keys differ"):
        run_group(strangers, FolderKeeper(tmp_path), tiny_dataset, CPU)


def test_students_of_one_seed_start_from_the_same_weights(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """With a vanishing learning rate, what is trained is what was drawn."""
    still = {"learning_rate": 1e-30, "weight_decay": 0.0, "epochs": 1}
    group = [student_trial(tiny_data, name, **still) for name in ("flip", "mixup")]
    other = student_trial(tiny_data, "flip", seed=2, **still)
    run_fresh(tmp_path, reference, group, tiny_dataset)
    run_fresh(tmp_path, reference, [other], tiny_dataset)
    first, second, third = (final_weights(tmp_path, t)["fc.weight"] for t in (*group, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


IN_PLACE = """
from trainer.augmentations.own import register

@register("black_rows")
def black_rows(images, rng):
    images[:, :, :4] = 0
    return images
"""


def test_a_scheme_that_changes_its_images_in_place_changes_nobody_else_s(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    own = OwnFile(path="own.py", source=IN_PLACE)
    group = [
        student_trial(tiny_data, "identity"),
        student_trial(tiny_data, "black_rows", own_scheme=own),
        student_trial(tiny_data, "cutmix"),
    ]
    run_fresh(tmp_path, reference, group, tiny_dataset)
    for trial in (group[0], group[2]):
        assert_equal_results(reference, tmp_path, trial)
    alone = tmp_path / "alone"
    alone.mkdir()
    run_fresh(alone, reference, [group[1]], tiny_dataset)
    assert_equal_results(alone, tmp_path, group[1])


OF_ANY_LENGTH = """
from trainer.augmentations.own import register

@register("some")
def some(images, rng):
    return images[: rng.integers(1, len(images) + 1)]

@register("first_or_all")
def first_or_all(images, rng):
    return images if rng.random() < 0.5 else images[:1]
"""


def test_schemes_that_keep_some_of_the_images_give_the_bits_of_eager_steps(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """A step is replayed only if all that it looks at is as long as a whole batch."""
    own = OwnFile(path="own.py", source=OF_ANY_LENGTH)
    names = ("some", "first_or_all", "somepick_t")
    group = [student_trial(tiny_data, name, own_scheme=own) for name in names]
    eager, replayed = tmp_path / "eager", tmp_path / "replayed"
    for folder, execution in ((eager, Eager()), (replayed, on_tape())):
        folder.mkdir()
        run_fresh(folder, reference, group, tiny_dataset, execution)
    for trial in group:
        assert_equal_results(eager, replayed, trial)


@pytest.mark.parametrize("execution", [Eager(), on_tape()], ids=["eager", "replayed"])
def test_a_member_is_gone_when_its_group_lets_go_of_it(
    execution: Execution,
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its graph holds memory that the next one needs: no cycle may keep it until Python collects."""
    models: list[weakref.ref[nn.Module]] = []
    build = learners.fresh_model

    def watched(*args: Any) -> nn.Module:
        model = build(*args)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(learners, "fresh_model", watched)
    gc.collect()
    gc.disable()
    try:
        trial = student_trial(tiny_data, "cutmixpick_s", epochs=1)
        run_fresh(tmp_path, reference, [trial], tiny_dataset, execution)
        assert [model() for model in models] == [None]
    finally:
        gc.enable()


FAILS_LATER = """
from trainer.augmentations.own import register

calls = []

@register("tires")
def tires(images, rng):
    calls.append(len(images))
    if len(calls) > 3:
        raise ValueError("tired")
    return images
"""


def test_a_member_leaves_only_when_all_that_it_has_begun_is_done(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """Its memory would be given away while a graph still writes to it."""
    execution = on_tape()

    class WatchingKeeper(LenientKeeper):
        def fail(self, trial: Trial, error: Exception) -> None:
            super().fail(trial, error)
            assert not execution._begun

    tires = OwnFile(path="tires.py", source=FAILS_LATER)
    good, bad = (
        student_trial(tiny_data, "cutmix"),
        student_trial(tiny_data, "tires", own_scheme=tires),
    )
    shutil.copytree(reference / good.teacher_fingerprint, tmp_path / good.teacher_fingerprint)
    keeper = WatchingKeeper(tmp_path)
    run_group([bad, good], keeper, tiny_dataset, CPU, execution)
    assert list(keeper.failures) == [bad.fingerprint]
    assert_equal_results(reference, tmp_path, good)


def test_a_member_without_its_student_leaves_and_the_others_go_on(
    tmp_path: Path, reference: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    good, bad = stddev_trial(tiny_data, "cutmix"), stddev_trial(tiny_data, "cutmixpick_s")
    shutil.copytree(reference / good.teacher_fingerprint, tmp_path / good.teacher_fingerprint)
    keeper = LenientKeeper(tmp_path)
    run_group([bad, good], keeper, tiny_dataset, CPU)
    assert list(keeper.failures) == [bad.fingerprint]
    assert "no final weights there" in str(keeper.failures[bad.fingerprint])
    assert_equal_results(reference, tmp_path, good)


def test_trials_of_other_semantics_are_not_run(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    stranger = teacher_trial(tiny_data, semantics=99)
    assert stranger.fingerprint != teacher_trial(tiny_data).fingerprint
    with pytest.raises(ValueError, match="semantics 99 are computed by another version"):
        run_group([stranger], FolderKeeper(tmp_path), tiny_dataset, CPU)
