"""What a command imports: a table comes up without torch and Ray, and a driver never needs torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from tests.orchestrator.commands import fresh_environment
from tests.orchestrator.sweeps import write_sweep


def imported_by(home: Path, *arguments: object) -> set[str]:
    """The top-level packages that the process of a command has imported when it ends."""
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", *map(str, arguments)],
        env=fresh_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", answer.stderr, re.M)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return fill(Store(tmp_path / "store"), paper_trials(["vgg13/vgg8"], ["cifar100"]))


@pytest.mark.parametrize("command", ["--help", "table", "status", "plan"])
def test_a_command_that_reads_imports_neither_ray_nor_torch(
    command: str, store: Store, tmp_path: Path
) -> None:
    given = {
        "--help": (),
        "table": (store.root,),
        "status": ("paper_cifar100", "--store", store.root),
        "plan": ("paper_cifar100", "--store", store.root),
    }
    packages = imported_by(tmp_path, command, *given[command])
    assert "orchestrator" in packages
    assert not packages & {"ray", "torch", "torchvision"}


@pytest.mark.slow
def test_a_driver_imports_ray_and_never_torch(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, augmentations=["identity"], measure=["s_test_loss"])
    packages = imported_by(tmp_path, "run", sweep, "--cpus", 2)
    assert "ray" in packages
    assert not packages & {"torch", "torchvision"}
