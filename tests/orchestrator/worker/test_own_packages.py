"""Whose code runs: kdsweep's own, whatever lies where a user stands, or a refusal that names both places."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.provenance import PACKAGES, TOP, trainer_digest
from orchestrator.store.store import Store
from orchestrator.worker.own_packages import installed_at, pin
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep

STRANGERS = ("trainer", "yaml", "types", "json", "torch", "pydantic")


def leave_strangers(folder: Path) -> None:
    """Files of somebody's own, with the names of modules that kdsweep imports."""
    for name in STRANGERS:
        (folder / f"{name}.py").write_text("raise SystemExit('a stranger was imported')\n")
    (folder / "analysis").mkdir()
    (folder / "analysis" / "__init__.py").write_text("raise SystemExit('a stranger')\n")


def leave_other_checkout(folder: Path) -> None:
    """A kdsweep that computes otherwise."""
    for name in PACKAGES:
        shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "trainer" / "learners.py").open("a") as file:
        file.write("\n\nraise SystemExit('the other checkout was imported')\n")


def test_commands_are_ours_among_strangers(tmp_path: Path) -> None:
    leave_strangers(tmp_path)
    for arguments in (("--version",), ("plan", "smoke"), ("models",)):
        code, output = run(tmp_path, *arguments)
        assert code == 0, output


def test_one_trial_among_strangers(tmp_path: Path) -> None:
    leave_strangers(tmp_path)
    (tmp_path / "teacher.yaml").write_text(
        "kind: teacher\ndataset: {name: fashion_mini, train_images: 100, test_images: 20}\n"
        "teacher: resnet8\nseed: 0\nepochs: 1\n"
    )
    code, output = run(tmp_path, "trial", "teacher.yaml", "--output", "runs")
    assert code == 0, output
    assert output.strip().endswith("result.json")


def test_strangers_on_the_path_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text("raise SystemExit('a stranger was imported')\n")
    code, output = run(tmp_path, "plan", "smoke", environment={"PYTHONPATH": str(tmp_path)})
    assert code == 0, output


def test_another_checkout_on_the_path_is_refused_with_both_paths(tmp_path: Path) -> None:
    leave_other_checkout(tmp_path)
    code, output = run(tmp_path, "plan", "smoke", environment={"PYTHONPATH": str(tmp_path)})
    assert (code, output.count("\n")) == (2, 1), output
    assert f"the command kdsweep belongs to {installed_at()}" in output
    assert f"finds the code of {tmp_path} first" in output


def test_what_is_imported_already_is_refused_with_both_paths(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text("")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import trainer\n"
        f"sys.path[0] = {str(TOP)!r}\n"
        "import orchestrator.cli.main"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"trainer is {tmp_path / 'trainer.py'} here; "
        f"kdsweep's own is {TOP / 'trainer' / '__init__.py'}\n"
    )


def test_to_pin_twice_is_to_pin_once() -> None:
    before = len(sys.meta_path)
    for _ in range(3):
        pin(str(TOP), PACKAGES)
    assert len(sys.meta_path) <= before + 1


@pytest.mark.slow
@pytest.mark.parametrize("leave", [leave_strangers, leave_other_checkout])
def test_workers_run_the_driver_s_code(leave: object, tmp_path: Path) -> None:
    """Ray would put the folder where its driver stands first on the path of every worker."""
    assert callable(leave)
    leave(tmp_path)
    sweep = write_sweep(tmp_path, augmentations=["identity", "cutmix"])
    code, output = run(tmp_path, "run", sweep.name, "--store", "store")
    assert code == 0, output
    rows = Store(tmp_path / "store").results().to_pylist()
    assert {row["trainer_sha256"] for row in rows} == {trainer_digest()}


@pytest.mark.slow
def test_a_reserved_gpu_that_is_not_there_is_the_machine_s_failure(tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    sweep = write_sweep(tmp_path, augmentations=["identity"], measure=["t_stddev"])
    code, output = run(tmp_path, "run", sweep, "--store", "store", "--gpus", 1, "--cpus", 2)
    assert code == 1, output
    assert "a GPU is reserved, but torch" in output
    store = Store(tmp_path / "store")
    assert store.finished() == frozenset()
    failures = store.failures().to_pylist()
    assert {(f["cause"], f["by_machine"]) for f in failures} == {("no gpu", True)}
    assert os.uname().nodename in failures[0]["error"]
    pretended = {"KDSWEEP_PRETEND_GPUS": "1"}
    code, output = run(
        tmp_path, "run", sweep, "--store", "store", "--gpus", 1, "--cpus", 2, environment=pretended
    )
    assert code == 0, output
    assert {row["device"] for row in store.results().to_pylist()} == {"cpu"}
