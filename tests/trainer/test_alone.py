"""`python -m trainer TRIAL.yaml`, as a researcher runs it."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from orchestrator.cli.trial import Execution
from orchestrator.cli.trial import trial as trial_command
from tests.trainer import data_files
from tests.trainer.guest_models import DROPS
from tests.trainer.keepers import assert_equal_results
from trainer.__main__ import _parser
from trainer.models import build_model
from trainer.trial import DEFAULT_EXECUTION, ExecutionMode
from trainer.trial_file import read_trial

TEACHER = """
kind: teacher
dataset: fashion_mini
train_images: 96
test_images: 50
teacher: resnet8
seed: 0
epochs: 2
batch_size: 16
"""
STUDENT = """
kind: student
dataset: fashion_mini
train_images: 96
test_images: 50
teacher_from: teacher.yaml
student: resnet8
augmentation: cutmixpick_s
seed: 0
epochs: 1
batch_size: 16
"""
STDDEV = """
kind: stddev
dataset: {name: fashion_mini, train_images: 96, test_images: 50}
student_from: student.yaml
augmentation: cutmixpick_s
seed: 0
epochs: 2
batch_size: 16
"""


def trainer(folder: Path, *arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "trainer", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, a student and a stddev trial, run one after the other."""
    folder = tmp_path_factory.mktemp("alone")
    for name, content in (("teacher", TEACHER), ("student", STUDENT), ("stddev", STDDEV)):
        (folder / f"{name}.yaml").write_text(content)
    code, _, error = trainer(folder, "student.yaml", "--output", "runs")
    assert code == 2
    assert "student.yaml: needs the weights of trial" in error
    assert "run that trial first" in error
    for name in ("teacher", "student", "stddev"):
        code, output, error = trainer(folder, f"{name}.yaml", "--output", "runs")
        assert code == 0, error
        assert json.loads((folder / output.strip()).read_text())["metrics"]
    return folder


def test_short_trials_have_the_paper_s_defaults(folder: Path) -> None:
    teacher, student, stddev = (
        read_trial(folder / f"{name}.yaml") for name in ("teacher", "student", "stddev")
    )
    assert student.kind == "student"
    assert student.learning_rate == 0.05
    assert student.depends_on == (teacher.fingerprint,)
    assert stddev.depends_on == (teacher.fingerprint, student.fingerprint)


def test_progress_is_logged_epoch_by_epoch(folder: Path) -> None:
    trial = read_trial(folder / "teacher.yaml")
    lines = (folder / "runs" / trial.fingerprint / "log.txt").read_text().splitlines()
    assert f"teacher {trial.fingerprint}" in lines[0]
    assert "to repeat: kdsweep trial " in lines[1]
    assert ["epoch 1  train_loss" in line for line in lines].count(True) == 1
    assert ["epoch 2  train_loss" in line for line in lines].count(True) == 1


@pytest.mark.parametrize("name", ["teacher", "student", "stddev"])
def test_the_logged_command_repeats_the_trial_bit_for_bit(name: str, folder: Path) -> None:
    trial = read_trial(folder / f"{name}.yaml")
    log = (folder / "runs" / trial.fingerprint / "log.txt").read_text()
    command = log.split("to repeat: kdsweep trial ")[1].splitlines()[0].split()
    code, _, error = trainer(folder, *command)
    assert code == 0, error
    assert_equal_results(folder / "runs", folder / "repeated", trial)


def test_a_finished_trial_is_not_run_again(folder: Path) -> None:
    trial = read_trial(folder / "teacher.yaml")
    before = (folder / "runs" / trial.fingerprint / "log.txt").read_text()
    code, output, _ = trainer(folder, "teacher.yaml", "--output", "runs")
    assert code == 0
    assert output.strip().endswith("result.json")
    assert (folder / "runs" / trial.fingerprint / "log.txt").read_text() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEACHER.replace("fashion_mini", "fashion_min"), ":3:1: dataset: unknown data set"),
        (TEACHER + "warmup: 3\n", ":10:1: warmup: unknown key"),
        (
            TEACHER.replace("resnet8", "resnet9"),
            ":6:1: teacher: unknown model 'resnet9'; did you mean 'resnet8'?",
        ),
        (TEACHER.replace("kind: teacher", "kind: pupil"), "kind"),
        ("[1, 2]", ":1:1: expected the keys of a trial"),
        (STUDENT.replace("teacher.yaml", "none.yaml"), "none.yaml: cannot be read"),
        (STUDENT.replace("cutmixpick_s", "cutmax"), "unknown augmentation 'cutmax'"),
        (TEACHER.replace("kind: teacher", "kind: [teacher]"), "kind"),
        (TEACHER.replace("fashion_mini", "[x]"), "unknown data set ['x']"),
        (TEACHER.replace("fashion_mini", "{name: x}"), "unknown data set 'x'"),
        (
            TEACHER.replace("fashion_mini", "{name: x, path: y}"),
            ":3:1: dataset: images of one's own have both",
        ),
        (
            TEACHER.replace("fashion_mini", "{name: x, fromat: y}"),
            "dataset.fromat: unknown key; did you mean 'format'?",
        ),
        (
            TEACHER.replace("fashion_mini", "{name: fashion_mini, image_size: x}"),
            "expected a number, not 'x'",
        ),
        (TEACHER + "epoch: 3\n", "epoch: unknown key; did you mean 'epochs'?"),
        (
            STUDENT.replace("teacher_from: teacher.yaml", "teacher: resnet8"),
            "teacher_from: FILE names",
        ),
        (TEACHER.replace("epochs: 2", "epochs: yes"), "expected a number, not 'yes'"),
        (TEACHER + "checkpoint: none.pth\n", "none.pth: no such file"),
        (STUDENT + "scheme: none.py\n", "none.py: cannot be read"),
        (TEACHER + "model: none.py\n", ":10:1: model: none.py: cannot be read"),
        (
            TEACHER.replace("resnet8", "torchvision:resnet19"),
            ":6:1: teacher: torchvision:resnet19 is unknown to torchvision; did you mean 'resnet18'?",
        ),
        ("kind: &a [*a]", "nested at most 50 deep"),
    ],
)
def test_mistakes_are_one_line_each(content: str, message: str, folder: Path) -> None:
    path = folder / "wrong.yaml"
    path.write_text(content)
    code, output, error = trainer(folder, path, "--output", "wrong")
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert output == ""


def test_a_trial_that_cannot_be_computed_is_exit_code_1(folder: Path) -> None:
    """It diverges; the traceback is in its log."""
    path = folder / "diverging.yaml"
    path.write_text(TEACHER + "learning_rate: 1.0e+30\n")
    code, _, error = trainer(folder, path, "--output", "diverged")
    assert code == 1
    assert "DivergedError: the loss is not finite after epoch 1" in error
    assert len(error.strip().splitlines()) == 1
    log = folder / "diverged" / read_trial(path).fingerprint / "log.txt"
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threads", "0"), "expected a number from 1"),
        (("--output", "teacher.yaml/x"), "Not a directory"),
        (("--device", "tpu"), "invalid choice"),
    ],
)
def test_wrong_options(options: tuple[str, ...], message: str, folder: Path) -> None:
    code, _, error = trainer(folder, "teacher.yaml", *options)
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_own_images_schemes_methods_and_weights_of_files_by_hand(folder: Path) -> None:
    images = data_files.write_image_folder(folder / "images")
    torch.save({"model": build_model("resnet8", 3, 16).state_dict()}, folder / "teacher.pth")
    data = f"{{name: mine, format: imagefolder, path: {images}, image_size: 16}}"
    (folder / "published.yaml").write_text(
        f"kind: teacher\ndataset: {data}\nteacher: resnet8\nseed: 0\ncheckpoint: teacher.pth\n"
    )
    (folder / "mine.py").write_text(
        "from trainer.augmentations.own import register\n"
        '@register("negative")\ndef negative(images, rng):\n    return -images\n'
    )
    (folder / "taught.py").write_text(
        "from trainer.methods import register\n"
        '@register("near")\ndef near(s, t, labels, temperature, *, power=2.0):\n'
        "    return (s - t).abs().pow(power).mean()\n"
    )
    (folder / "own.yaml").write_text(
        f"kind: student\ndataset: {data}\nteacher_from: published.yaml\nstudent: resnet8\n"
        "augmentation: negative\nscheme: mine.py\nseed: 0\nepochs: 1\nbatch_size: 8\n"
        "method: near\nmethod_file: taught.py\nmethod_options: {power: 3}\ncheckpoint: teacher.pth\n"
    )
    for name in ("published", "own"):
        code, output, error = trainer(folder, f"{name}.yaml", "--output", "runs")
        assert code == 0, error
    result = json.loads((folder / output.strip()).read_text())
    assert result["metrics"]["test_loss"] > 0
    assert result["trial"]["method_options"] == {"power": 3.0}
    assert result["trial"]["checkpoint"]["path"] == str(folder / "teacher.pth")


def test_a_model_of_one_s_own_by_hand_and_again_from_what_it_left(folder: Path) -> None:
    (folder / "mine.py").write_text(DROPS)
    (folder / "own.yaml").write_text(TEACHER.replace("resnet8", "drops") + "model: mine.py\n")
    code, output, error = trainer(folder, "own.yaml", "--output", "runs")
    assert code == 0, error
    first = folder / output.strip()
    (folder / "mine.py").unlink()
    left = first.with_name("trial.yaml")
    code, output, error = trainer(folder, left, "--output", "again")
    assert code == 0, error
    one, other = (json.loads((folder / path).read_text()) for path in (first, output.strip()))
    assert one["metrics"] == other["metrics"]
    (folder / "mine.py").write_text(DROPS.replace("32, num_classes", "31, num_classes"))
    code, _, error = trainer(folder, "own.yaml", "--output", "runs")
    assert code == 2
    assert "teacher: mine.py: drops cannot take images of 3x16x16" in error


def test_a_trial_by_hand_runs_as_in_a_sweep_unless_told_otherwise() -> None:
    """The commands name their default themselves, so that `--help` imports nothing."""
    assert _parser().parse_args(["trial.yaml"]).execution == DEFAULT_EXECUTION
    by_kdsweep = inspect.signature(trial_command).parameters["execution"].default
    assert by_kdsweep == DEFAULT_EXECUTION
    assert {mode.value for mode in Execution} == set(get_args(ExecutionMode))
