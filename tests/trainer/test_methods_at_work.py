"""Students of other methods, optimisers and schedules: the same bits alone, in a group, and resumed anywhere."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.keepers import LenientKeeper, StoppingKeeper, assert_equal_results, final_weights
from tests.trainer.tape import on_tape
from tests.trainer.test_lockstep import CPU, student_trial, teacher_trial
from tests.trainer.test_methods import mine
from trainer.checkpoint import CheckpointError
from trainer.datasets.dataset import Dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.trial import Data, PublishedCheckpoint, StudentTrial, TeacherTrial

EVERYTHING: dict[str, Any] = {
    "method": "dkd",
    "method_options": {"beta": 2.0},
    "method_warmup_epochs": 4,
    "optimiser": "adamw",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "clip_norm": 0.5,
    "label_smoothing": 0.1,
}

KINDS: list[dict[str, Any]] = [
    {},
    EVERYTHING,
    {"method": "dkd", "clip_norm": 0.5, "label_smoothing": 0.1, "schedule": "cosine"},
    {"method": "dist", "temperature": 1.0, "method_warmup_epochs": 3},
    {
        "method": "mine",
        "own_method": mine("return (s - t).abs().pow(2.5 if s.sum() > 0 else 2).mean()"),
    },
]
"""Of students that share a group; the last one's method has the host read, so it cannot be captured."""


def students(data: Data) -> list[StudentTrial]:
    return [student_trial(data, "cutmix", **changes) for changes in KINDS]


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Data, tiny_dataset: Dataset
) -> Path:
    """The teacher, and students of all kinds in one group."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("together")
    run_group([teacher_trial(tiny_data)], FolderKeeper(folder), tiny_dataset, CPU)
    run_group(students(tiny_data), FolderKeeper(folder), tiny_dataset, CPU)
    return folder


def with_teacher(folder: Path, together: Path, data: Data) -> Path:
    teacher = teacher_trial(data).fingerprint
    shutil.copytree(together / teacher, folder / teacher)
    return folder


def test_each_kind_learns_something_else(together: Path, tiny_data: Data) -> None:
    keeper = FolderKeeper(together)
    losses = [keeper.result(trial)["metrics"]["test_loss"] for trial in students(tiny_data)]
    assert len(set(losses)) == len(KINDS)


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_students_of_different_methods_share_a_group(
    number: int, tmp_path: Path, together: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    trial = students(tiny_data)[number]
    folder = with_teacher(tmp_path, together, tiny_data)
    run_group([trial], FolderKeeper(folder), tiny_dataset, CPU)
    assert_equal_results(together, folder, trial)


@pytest.mark.parametrize("stops", [(1,), (7, 6)])
def test_everything_at_once_resumed_after_any_step(
    stops: tuple[int, ...],
    tmp_path: Path,
    together: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
) -> None:
    trial = students(tiny_data)[1]
    folder = with_teacher(tmp_path, together, tiny_data)
    for steps in stops:
        keeper = StoppingKeeper(folder, steps)
        run_group([trial], keeper, tiny_dataset, CPU)
        assert keeper.has_stopped
    run_group([trial], FolderKeeper(folder), tiny_dataset, CPU)
    assert_equal_results(together, folder, trial)


def test_replayed_and_resumed_the_bits_are_those_of_eager_steps(
    tmp_path: Path, together: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """But for AdamW: on a CPU torch's reads its count of steps, which no tape can hold. `make gpu-check` has it."""
    group = [trial for trial in students(tiny_data) if trial.optimiser == "sgd"]
    folder = with_teacher(tmp_path, together, tiny_data)
    run_group(group, StoppingKeeper(folder, 7), tiny_dataset, CPU, on_tape())
    run_group(group, FolderKeeper(folder), tiny_dataset, CPU, on_tape())
    for trial in group:
        assert_equal_results(together, folder, trial)


def test_a_teacher_by_adamw_and_cosine_is_resumed_to_its_bits(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    of_training = {k: v for k, v in EVERYTHING.items() if not k.startswith("method")}
    trial = teacher_trial(tiny_data, **of_training)
    one, other = tmp_path / "one", tmp_path / "other"
    run_group([trial], FolderKeeper(one), tiny_dataset, CPU)
    run_group([trial], StoppingKeeper(other, 7), tiny_dataset, CPU)
    run_group([trial], FolderKeeper(other), tiny_dataset, CPU)
    assert_equal_results(one, other, trial)
    rates = [row["learning_rate"] for row in FolderKeeper(one).result(trial)["curve"]]
    assert rates == pytest.approx([0.01, 0.005])


IDLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"method_warmup_epochs": 1}, {}),
    ({"optimiser": "adamw", "momentum": 0.5}, {"optimiser": "adamw"}),
    ({"epochs": 1, "schedule": "cosine"}, {"epochs": 1}),
    ({"schedule": "cosine", "milestones": (1,), "decay": 0.5}, {"schedule": "cosine"}),
    ({"label_weight": 0, "label_smoothing": 0.3}, {"label_weight": 0}),
    (
        {"distillation_weight": 0, "method": "mine", "own_method": mine("raise SystemExit")},
        {"distillation_weight": 0},
    ),
    ({"distillation_weight": 0, "method_warmup_epochs": 5}, {"distillation_weight": 0}),
]
"""Pairs of settings of one identity (tests/trainer/test_trial.py)."""


@pytest.mark.parametrize(("one", "other"), IDLE)
def test_what_does_not_act_changes_no_bit(
    one: dict[str, Any],
    other: dict[str, Any],
    tmp_path: Path,
    together: Path,
    tiny_data: Data,
    tiny_dataset: Dataset,
) -> None:
    folders = tmp_path / "one", tmp_path / "other"
    trials = [student_trial(tiny_data, "flip", **changes) for changes in (one, other)]
    assert trials[0].fingerprint == trials[1].fingerprint
    for folder, trial in zip(folders, trials, strict=True):
        with_teacher(folder, together, tiny_data)
        run_group([trial], FolderKeeper(folder), tiny_dataset, CPU)
    assert_equal_results(*folders, trials[0])


def test_a_student_that_begins_with_the_weights_of_a_file(
    tmp_path: Path, together: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """By a rate too small to change them, it ends with them; its seed still shuffles the images."""
    path = tmp_path / "start.pth"
    torch.save({"model": build_model("resnet8", 10, 16).state_dict()}, path)
    trial = student_trial(
        tiny_data, "flip", checkpoint=PublishedCheckpoint.of(path), learning_rate=1e-30, epochs=1
    )
    folder = with_teacher(tmp_path / "here", together, tiny_data)
    run_group([trial], FolderKeeper(folder), tiny_dataset, CPU)
    start = torch.load(path, weights_only=True)["model"]
    for name, weights in final_weights(folder, trial).items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.allclose(weights, start[name], rtol=0, atol=1e-20), name
    assert trial.fingerprint != student_trial(tiny_data, "flip", learning_rate=1e-30).fingerprint
    path.write_bytes(b"other")
    keeper = LenientKeeper(folder)
    again = student_trial(tiny_data, "mixup", checkpoint=trial.checkpoint)
    run_group([again], keeper, tiny_dataset, CPU)
    assert isinstance(keeper.failures[again.fingerprint], CheckpointError)


def test_a_method_that_fails_takes_no_other_student_with_it(
    tmp_path: Path, together: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    """It is also unable to change what the others are shown."""
    own = mine("t.zero_(); labels is None or labels.zero_(); return (s * 0).sum(1)")
    failing = student_trial(tiny_data, "cutmix", method="mine", own_method=own)
    folder = with_teacher(tmp_path, together, tiny_data)
    keeper = LenientKeeper(folder)
    group = students(tiny_data)[2:4]
    run_group([failing, *group], keeper, tiny_dataset, CPU)
    (error,) = keeper.failures.values()
    assert "mine must return a scalar with a gradient" in str(error)
    for trial in group:
        assert_equal_results(together, folder, trial)


def test_a_teacher_has_no_method(tiny_data: Data) -> None:
    assert "method" not in TeacherTrial.model_fields
    assert "method" not in teacher_trial(tiny_data).settings
