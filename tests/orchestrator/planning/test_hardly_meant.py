"""What a plan tells of settings that do nothing, and what it refuses because it can only fail."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.hardly_meant import hardly_meant
from orchestrator.planning.last_batch import batch_of_one
from orchestrator.planning.plan import expand
from orchestrator.planning.words import describe, span
from tests.orchestrator.sweeps import write_sweep
from trainer.catalog import ARCHITECTURES, stage_sizes
from trainer.problems import FileError, UserError
from trainer.trial import Data, StudentTrial, TeacherTrial

SMALL = {"name": "fashion_mini", "train_images": 65, "test_images": 50}
STDDEV = {"epochs": 10}


def sweep(**changes: Any) -> Sweep:
    content = {"name": "x", "dataset": SMALL, "pairs": ["resnet20/resnet8"], "seeds": [0]}
    return Sweep.model_validate(content | {"stddev": STDDEV} | changes)


def told(**changes: Any) -> tuple[str, ...]:
    asked = sweep(augmentations=["flip"], **changes)
    return hardly_meant(asked, expand(asked))


def test_milestones_that_no_epoch_passes() -> None:
    assert told(student={"epochs": 5, "milestones": [3, 5, 9]}) == (
        "student.milestones: 5, 9: training ends with epoch 5, so the learning rate does not change there",
    )
    assert told(teachers={"epochs": 5}, grid={"teachers.milestones": [[4], [6]]}) == (
        "teachers.milestones: 6: training ends with epoch 5, so the learning rate does not change there",
    )


def test_milestones_out_of_order() -> None:
    assert told(student={"milestones": [180, 150]}) == (
        "student.milestones: 180, 150: out of order, taken as 150, 180",
    )


def test_nothing_is_said_of_what_nobody_has_said() -> None:
    assert told(student={"epochs": 5}) == ()
    assert told(student={"epochs": 5, "milestones": [9], "decay": 1}) == ()
    for path in sorted((Path(__file__).parents[3] / "sweeps").glob("*.yaml")):
        shipped = load_sweep(path)
        assert hardly_meant(shipped, expand(shipped)) == ()


def test_how_teachers_are_trained_where_none_is(tmp_path: Path) -> None:
    checkpoint = str(tmp_path / "weights.pth")
    given = {"checkpoint": checkpoint, "epochs": 9, "precision": "fp32"}
    assert told(teachers=given, grid={"teachers.learning_rate": [0.1, 0.2]}) == (
        "teachers.epochs, teachers.learning_rate: of no effect, as teachers.checkpoint names teachers that "
        "are trained already",
    )
    assert told(teachers={"checkpoint": checkpoint}) == ()


def test_a_checkpoint_that_is_a_folder_is_refused_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^teachers\.checkpoint: .*: a folder; expected the file"):
        expand(sweep(teachers={"checkpoint": str(tmp_path)}))


def teacher(name: str, **changes: Any) -> TeacherTrial:
    given = {"learning_rate": 0.05, "seed": 0, **changes}
    return TeacherTrial(data=Data.official("fashion_mini", 65, 50), teacher=name, **given)


@pytest.mark.parametrize("name", ["MobileNetV2", "ShuffleV1", "resnet8", "vgg8"])
def test_a_batch_of_one_is_foretold_where_torch_would_refuse_it(name: str) -> None:
    import numpy as np
    import torch

    from trainer.models import build_model

    model = build_model(name, 10, 16, np.random.default_rng(0)).train()
    try:
        model(torch.zeros(1, 3, 16, 16))
        fails = False
    except ValueError:
        fails = True
    assert fails == (stage_sizes(name, 16)[-1] == 1)
    assert (batch_of_one(teacher(name)) is not None) == fails
    assert (batch_of_one(teacher(name, batch_size=1)) is not None) == fails
    assert batch_of_one(teacher(name, batch_size=63)) is None
    assert batch_of_one(teacher(name, batch_size=128)) is None


def test_which_models_end_in_one_pixel() -> None:
    of_16 = {name for name in ARCHITECTURES if stage_sizes(name, 16)[-1] == 1}
    assert "MobileNetV2" in of_16
    assert len(of_16) == 2
    assert not [name for name in ARCHITECTURES if stage_sizes(name, 32)[-1] == 1]


def test_a_plan_refuses_a_batch_of_one() -> None:
    expected = (
        "x: student: the last batch of an epoch is one image (65 at batch_size 64), and the last feature "
        "maps of MobileNetV2 at 16 pixels are 1x1: batch normalisation needs two values; change batch_size "
        "or train_images"
    )
    with pytest.raises(UserError) as caught:
        expand(sweep(pairs=["resnet8/MobileNetV2"]))
    assert str(caught.value) == expected
    assert expand(
        sweep(pairs=["resnet8/MobileNetV2"], measure=["t_stddev"], augmentations=["flip"])
    )


def test_a_pick_of_one_image_is_a_batch_of_one() -> None:
    given = {"pairs": ["resnet8/MobileNetV2"], "augmentations": ["cutmixpick_t"]}
    with pytest.raises(UserError, match=r"one image is picked of each batch.*change pick_size$"):
        expand(sweep(student={"batch_size": 63, "pick_size": 1}, **given))
    assert expand(sweep(student={"batch_size": 63, "pick_size": 2}, **given))


def test_a_huge_grid_is_refused_with_its_number(tmp_path: Path) -> None:
    grid = {
        "student.temperature": [i + 1 for i in range(3000)],
        "student.label_weight": [i / 1000 for i in range(300)],
    }
    with pytest.raises(FileError) as caught:
        load_sweep(write_sweep(tmp_path, grid=grid))
    (problem,) = caught.value.problems
    assert problem.key == "grid"
    assert problem.message == (
        "2,700,000 points (300 student.label_weight x 3,000 student.temperature x 3 augmentations); "
        "most_points allows 100000: raise it where so many are meant"
    )
    assert load_sweep(write_sweep(tmp_path, grid=grid, most_points=2_700_000)).most_points


def test_jobs_that_differ_in_an_axis_have_names_of_their_own() -> None:
    asked = sweep(augmentations=["flip"], grid={"student.precision": ["fp32", "bf16"]})
    students = [t for t in expand(asked) if isinstance(t, StudentTrial)]
    names = [describe([t], asked.varied) for t in students]
    assert names == [
        "student flip resnet20/resnet8 on fashion_mini, seed 0, precision=fp32",
        "student flip resnet20/resnet8 on fashion_mini, seed 0, precision=bf16",
    ]
    assert describe(students, asked.varied) == "2 students resnet20/resnet8 on fashion_mini, seed 0"


def test_a_short_time_is_no_nothing() -> None:
    assert span(0.4 / 3.6e6) == "0.4 ms"
    assert span(0.5 / 3600) == "0.5 s"
    assert span(0) == "0.0 s"
