"""An undisturbed run of one small sweep, with which all disturbed runs are compared."""

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import run
from tests.orchestrator.raylets import WITH_TOKEN
from tests.orchestrator.sweeps import write_sweep

# A process that has used Ray without a token never shows one: all tests of one process show the same.
os.environ.update(WITH_TOKEN)

SETTINGS: dict[str, Any] = {
    "student": {"epochs": 8, "batch_size": 16, "pick_size": 16, "milestones": [3]},
    "checkpoint_every_minutes": 0.005,
}
"""Long enough to be interrupted: 80 steps, with a checkpoint three times a second."""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def sweep(home: Path) -> Path:
    return write_sweep(home, **SETTINGS)


@pytest.fixture(scope="session")
def undisturbed(home: Path, sweep: Path) -> Store:
    code, output = run(home, "run", sweep, "--store", home / "undisturbed", "--cpus", 2)
    assert code == 0, output
    assert "7 finished" in output
    assert "Pearson" in output
    assert "Traceback" not in output
    assert "Warning" not in output
    return Store(home / "undisturbed")
