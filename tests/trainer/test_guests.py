"""Trials of models that are not kdsweep's: what makes two the same, and that their bits are those of any run."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.trainer.guest_models import BEGIN, DROPS, guest
from tests.trainer.keepers import LenientKeeper, StoppingKeeper, assert_equal_results, final_weights
from tests.trainer.tape import on_tape
from tests.trainer.test_lockstep import CPU, student_trial, teacher_trial
from trainer.augmentations import Palette
from trainer.checkpoint import CheckpointError
from trainer.datasets.dataset import Dataset
from trainer.describe import describe
from trainer.descriptions import Wanted
from trainer.keeper import FolderKeeper
from trainer.learners import Place, fresh_model
from trainer.lockstep import run_group
from trainer.models.guests import build_guest
from trainer.replay import Eager
from trainer.trial import (
    TRIAL,
    Data,
    GuestModel,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
    guests_of,
)

NAMES = ("cutmixpick_s", "mixup", "cutmixpick_t")


@pytest.fixture(scope="module")
def drops(tiny_data: Data) -> GuestModel:
    return guest(tiny_data)


def own_teacher(data: Data, model: GuestModel, **changes: Any) -> TeacherTrial:
    return teacher_trial(data).model_copy(
        update={"teacher": "drops", "teacher_model": model, **changes}
    )


def own_student(data: Data, model: GuestModel, augmentation: str, **changes: Any) -> StudentTrial:
    """Of a teacher of one's own."""
    own: dict[str, Any] = {
        "teacher": "drops",
        "teacher_model": model,
        "teacher_fingerprint": own_teacher(data, model).fingerprint,
        "student": "drops",
        "student_model": model,
    }
    return student_trial(data, augmentation).model_copy(update=own | changes)


def own_stddev(student: StudentTrial) -> StddevTrial:
    return StddevTrial(
        data=student.data,
        teacher_model=student.teacher_model,
        teacher=student.teacher,
        teacher_fingerprint=student.teacher_fingerprint,
        student_model=student.student_model,
        student=student.student,
        student_fingerprint=student.fingerprint,
        student_cell=student.cell,
        augmentation=student.augmentation,
        seed=1,
        epochs=2,
        batch_size=16,
        pick_size=16,
    )


@pytest.fixture(scope="module")
def reference(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_dataset: Dataset,
    tiny_data: Data,
    drops: GuestModel,
) -> Path:
    """The teacher, three students in one group, and a measurement that asks one of them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("reference")
    for group in groups(tiny_data, drops):
        run_group(group, FolderKeeper(folder), tiny_dataset, CPU)
    return folder


def groups(data: Data, model: GuestModel) -> list[list[Trial]]:
    students: list[Trial] = [own_student(data, model, name) for name in NAMES]
    return [
        [own_teacher(data, model)],
        students,
        [own_stddev(own_student(data, model, "cutmixpick_s"))],
    ]


def place(dataset: Dataset) -> Place:
    return Place(dataset, Palette(dataset.mean, dataset.std, CPU), CPU, Eager())


# --- identity ---


def test_the_file_is_hashed_where_its_model_learns(tiny_data: Data, drops: GuestModel) -> None:
    other = guest(tiny_data, f"{DROPS}# changed\n")
    teacher, student = own_teacher(tiny_data, drops), own_student(tiny_data, drops, "cutmixpick_s")
    assert teacher.identity["teacher_model"] == drops.identity
    assert drops.file is not None
    assert drops.identity == drops.file.sha256 != other.identity
    assert own_teacher(tiny_data, other).fingerprint != teacher.fingerprint
    assert (
        own_student(tiny_data, drops, "flip", student_model=other).cell
        != own_student(tiny_data, drops, "flip").cell
    )
    # A student has its teacher's fingerprint, and a measurement those of both.
    assert "teacher_model" not in student.identity
    assert not {"teacher_model", "student_model"} & own_stddev(student).identity.keys()


def test_neither_path_nor_description_are_hashed(tiny_data: Data, drops: GuestModel) -> None:
    assert drops.file is not None
    moved = drops.model_copy(
        update={
            "file": drops.file.model_copy(update={"path": "elsewhere.py"}),
            "description": drops.description.model_copy(update={"multiply_adds": 1}),
        }
    )
    for make in (own_teacher, lambda data, model: own_student(data, model, "mixup")):
        assert make(tiny_data, moved).fingerprint == make(tiny_data, drops).fingerprint


def test_of_a_library_names_and_shapes_are_hashed(tiny_data: Data, drops: GuestModel) -> None:
    model = GuestModel(description=drops.description)
    trial = own_teacher(tiny_data, model, teacher="timm:resnet18")
    assert trial.identity["teacher_model"] == drops.description.shapes


def test_of_a_published_guest_too(tiny_data: Data, drops: GuestModel) -> None:
    given = PublishedCheckpoint(path="x.pth", sha256="0" * 64)
    trial = own_teacher(tiny_data, drops, checkpoint=given)
    assert trial.identity["teacher_model"] == drops.identity
    assert "epochs" not in trial.identity


def test_models_of_kdsweep_s_have_the_identity_that_they_had(tiny_data: Data) -> None:
    for trial in (teacher_trial(tiny_data), student_trial(tiny_data, "mixup")):
        assert not {"teacher_model", "student_model"} & trial.identity.keys()
        assert not guests_of(trial)
        without = trial.model_dump(mode="json", exclude={"teacher_model", "student_model"})
        assert TRIAL.validate_python(without) == trial


def test_a_trial_goes_through_json(tiny_data: Data, drops: GuestModel) -> None:
    for group in groups(tiny_data, drops):
        for trial in group:
            again = TRIAL.validate_json(trial.model_dump_json())
            assert (again, again.fingerprint) == (trial, trial.fingerprint)
            assert guests_of(again) == {"drops": drops}


@pytest.mark.parametrize(
    ("name", "has_file", "told"),
    [
        ("resnet8", True, "resnet8 is an architecture of kdsweep's own"),
        ("timm:resnet18", True, "is not the name of a model of its file or library"),
        ("drops", False, "is not the name of a model of its file or library"),
        ("../drops", True, "should match pattern"),
    ],
)
def test_a_guest_s_name_fits_to_where_it_is_from(
    name: str, has_file: bool, told: str, tiny_data: Data, drops: GuestModel
) -> None:
    model = drops if has_file else GuestModel(description=drops.description)
    with pytest.raises(ValidationError, match=told):
        TeacherTrial(data=tiny_data, teacher=name, teacher_model=model, seed=0, learning_rate=0.1)


def test_a_name_that_nobody_knows_is_told_with_the_nearest(tiny_data: Data) -> None:
    with pytest.raises(ValidationError, match=r"unknown model 'resnt8'; did you mean 'resnet8'"):
        TeacherTrial(data=tiny_data, teacher="resnt8", seed=0, learning_rate=0.1)


# --- weights ---


def test_initial_weights_depend_on_seed_role_and_name_alone(
    tiny_data: Data, tiny_dataset: Dataset
) -> None:
    twice = f"{DROPS}\nregister('falls')(drops)\n"
    model = guest(tiny_data, twice)
    where = place(tiny_dataset)

    def weights(role: str, name: str, seed: int) -> torch.Tensor:
        made = fresh_model(role, name, model, seed, where)
        return torch.cat([parameter.flatten() for parameter in made.parameters()])

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = weights("student", "drops", 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(weights("student", "drops", 1), first)
    for other in (("student", "drops", 2), ("teacher", "drops", 1), ("student", "falls", 1)):
        assert not torch.equal(weights(*other), first)


def test_a_model_that_is_not_the_planned_one_is_refused(drops: GuestModel) -> None:
    planned = drops.description.model_copy(update={"shapes": "0" * 64})
    model = drops.model_copy(update={"description": planned})
    with pytest.raises(ValueError, match=r"of mine.py has other parameters than the one that was"):
        build_guest("drops", model, 10, 16, np.random.default_rng(0))


# --- bits ---


def test_dropout_drops_something(
    tiny_data: Data, tiny_dataset: Dataset, tmp_path: Path, reference: Path
) -> None:
    """So the tests of equal bits are about draws."""
    model = guest(tiny_data, DROPS.replace("0.3", "0.0"))
    trial = own_teacher(tiny_data, model)
    run_group([trial], FolderKeeper(tmp_path), tiny_dataset, CPU)
    ours, theirs = (
        FolderKeeper(folder).result(made)["metrics"]["train_loss"]
        for folder, made in (
            (tmp_path, trial),
            (reference, groups(tiny_data, guest(tiny_data))[0][0]),
        )
    )
    assert ours < theirs


@pytest.mark.parametrize("stops", [(1,), (7, 4), (13, 1, 2)])
def test_stopped_after_an_odd_step_and_resumed(
    stops: tuple[int, ...],
    tmp_path: Path,
    reference: Path,
    tiny_data: Data,
    drops: GuestModel,
    tiny_dataset: Dataset,
) -> None:
    for group in groups(tiny_data, drops):
        for steps in stops:
            torch.manual_seed(steps)
            keeper = StoppingKeeper(tmp_path, steps)
            run_group(group, keeper, tiny_dataset, CPU)
            assert keeper.has_stopped
        run_group(group, FolderKeeper(tmp_path), tiny_dataset, CPU)
        for trial in group:
            assert_equal_results(reference, tmp_path, trial)


def test_alone_beside_others_and_where_steps_are_replayed(
    tmp_path: Path, reference: Path, tiny_data: Data, drops: GuestModel, tiny_dataset: Dataset
) -> None:
    """In a group with a student of kdsweep's, whose steps are captured and whose teacher is a guest."""
    teacher = own_teacher(tiny_data, drops)
    shutil.copytree(reference / teacher.fingerprint, tmp_path / teacher.fingerprint)
    built_in = own_student(tiny_data, drops, "cutmix", student="resnet8", student_model=None)
    own = [own_student(tiny_data, drops, name) for name in NAMES]
    keeper = FolderKeeper(tmp_path)
    run_group(own[:1], keeper, tiny_dataset, CPU)
    run_group([own[2], built_in, own[1]], keeper, tiny_dataset, CPU, on_tape())
    run_group([own_stddev(own[0])], keeper, tiny_dataset, CPU, on_tape())
    for trial in (*own, own_stddev(own[0])):
        assert_equal_results(reference, tmp_path, trial)
    alone = tmp_path / "alone"
    shutil.copytree(reference / teacher.fingerprint, alone / teacher.fingerprint)
    run_group([built_in], FolderKeeper(alone), tiny_dataset, CPU)
    assert_equal_results(tmp_path, alone, built_in)


FAILS = f"""{BEGIN}
class Fails(nn.Linear):
    def forward(self, images):
        if len(images) == 6:
            raise ValueError("six")
        return super().forward(images.flatten(1))

@register("fails")
def fails(num_classes, image_size):
    return Fails(3 * image_size**2, num_classes)
"""
"""At the last batch of an epoch."""


def test_one_that_fails_leaves_its_group(
    tmp_path: Path, reference: Path, tiny_data: Data, drops: GuestModel, tiny_dataset: Dataset
) -> None:
    teacher = own_teacher(tiny_data, drops)
    shutil.copytree(reference / teacher.fingerprint, tmp_path / teacher.fingerprint)
    model = guest(tiny_data, FAILS, "fails")
    bad = own_student(tiny_data, drops, "identity", student="fails", student_model=model)
    good = own_student(tiny_data, drops, "mixup")
    keeper = LenientKeeper(tmp_path)
    run_group([bad, good], keeper, tiny_dataset, CPU)
    assert list(keeper.failures) == [bad.fingerprint]
    assert_equal_results(reference, tmp_path, good)


# --- published ---


def test_a_published_guest_is_evaluated(
    tmp_path: Path, reference: Path, tiny_data: Data, drops: GuestModel, tiny_dataset: Dataset
) -> None:
    """Also with weights that no layer has: their names have no point."""
    source = f"""{BEGIN}
class Shift(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(num_classes))

    def forward(self, images):
        return images.mean((1, 2, 3))[:, None] + self.shift

@register("shift")
def shift(num_classes, image_size):
    return Shift(num_classes)
"""
    trained = own_teacher(tiny_data, drops)
    weights = {
        "drops": (final_weights(reference, trained), drops),
        "shift": ({"shift": torch.arange(10.0)}, guest(tiny_data, source, "shift")),
    }
    for name, (state, model) in weights.items():
        path = tmp_path / f"{name}.pth"
        torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, path)
        given = PublishedCheckpoint.of(path)
        trial = own_teacher(tiny_data, model, teacher=name, checkpoint=given)
        run_group([trial], FolderKeeper(tmp_path), tiny_dataset, CPU)
        for key, tensor in final_weights(tmp_path, trial).items():
            assert torch.equal(tensor, state[key])
        if name == "drops":
            metrics = FolderKeeper(tmp_path).result(trial)["metrics"]
            before = FolderKeeper(reference).result(trained)["metrics"]
            assert metrics["test_loss"] == before["test_loss"]
    torch.save({"model": {"a.shift": torch.zeros(10)}}, tmp_path / "other.pth")
    given = PublishedCheckpoint.of(tmp_path / "other.pth")
    keeper = FolderKeeper(tmp_path)
    with pytest.raises(CheckpointError, match="not the weights of drops: it lacks"):
        run_group([own_teacher(tiny_data, drops, checkpoint=given)], keeper, tiny_dataset, CPU)


# --- libraries ---


@pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm, an extra, is not installed"
)
def test_a_student_of_timm_s_resumes_to_the_same_bits(
    tmp_path: Path, reference: Path, tiny_data: Data, drops: GuestModel, tiny_dataset: Dataset
) -> None:
    wanted = Wanted(
        name="timm:test_vit",
        num_classes=tiny_data.num_classes,
        image_size=tiny_data.image_size,
    )
    model = GuestModel(description=describe(wanted))
    trial = own_student(
        tiny_data, drops, "mixup", student="timm:test_vit", student_model=model, epochs=1
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        shutil.copytree(reference / trial.teacher_fingerprint, folder / trial.teacher_fingerprint)
    run_group([trial], FolderKeeper(whole), tiny_dataset, CPU)
    run_group([trial], StoppingKeeper(cut, 3), tiny_dataset, CPU)
    run_group([trial], FolderKeeper(cut), tiny_dataset, CPU)
    assert_equal_results(whole, cut, trial)
