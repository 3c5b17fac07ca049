"""Models of one's own, from `kdsweep run` to the table."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.conftest import SETTINGS
from tests.orchestrator.driver.test_run import students_saved_behind_an_epoch
from tests.orchestrator.driver.test_science import EXAMPLES, sweep_to_table
from tests.orchestrator.results import comparable, is_clean, written
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.guest_models import DROPS
from trainer.checkpoint import CheckpointFolder
from trainer.datasets.dataset import load_dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def assert_same_alone(store: Store, sweep: Path, folder: Path) -> None:
    """Each trial of a sweep, run by itself in this process, has the bits of its row and weights."""
    keeper, rows = FolderKeeper(folder), comparable(store)
    for trial in expand(load_sweep(sweep)):
        run_group([trial], keeper, load_dataset(trial.data), torch.device("cpu"))
        metrics = keeper.result(trial)["metrics"]
        assert written(metrics, set()).items() <= rows[trial.fingerprint].items()
        if trial.kind != "stddev":
            stored = CheckpointFolder(store.checkpoint_folder(trial.fingerprint)).weights()
            for name, tensor in keeper.weights(trial.fingerprint).items():
                assert torch.equal(tensor, stored[name])


@pytest.mark.slow
def test_the_example_of_one_s_own_models(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented example, as it stands."""
    shutil.copytree(EXAMPLES, home / "examples")
    monkeypatch.chdir(home)
    sweep, store = Path("examples/own_model.yaml"), Store(tmp_path / "store")
    (panel,) = sweep_to_table(home, sweep, store.root)
    assert (panel["teacher"], panel["student"]) == ("patches", "tiny_net")
    names = [point["augmentation"] for point in panel["points"]]
    assert names == ["identity", "cutmix", "cutmixpick_s"]
    rows = store.results().to_pylist()
    assert {row["model_libraries"] for row in rows} == {None}
    assert is_clean(store)
    assert (store.root / "plots" / "own-model.png").exists()
    assert_same_alone(store, sweep, tmp_path / "alone")

    code, output = run(home, "table", store.root, "--filter", "student=tiny_net", "--json")
    assert (code, len(json.loads(output)["panels"])) == (0, 1), output
    code, output = run(home, "status", sweep, "--store", store.root, "--json")
    assert (code, json.loads(output)["counts"]["student"]["done"]) == (0, 3)
    code, output = run(home, "report", store.root, "-o", tmp_path / "report.html")
    assert code == 0, output
    assert "patches" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_killed_with_9_and_resumed_the_bits_are_those_of_trials_alone(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(DROPS)
    changes = {"models": [str(tmp_path / "mine.py")], "pairs": ["drops/drops"]}
    sweep = write_sweep(tmp_path, **{**SETTINGS, **changes})
    store = Store(tmp_path / "store")
    process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
    wait_until(lambda: students_saved_behind_an_epoch(store))
    os.killpg(process.pid, signal.SIGKILL)
    code, _ = finish(process)
    assert code == -signal.SIGKILL
    assert store.results().num_rows < 7
    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 0, output
    rows = store.results().to_pylist()
    assert len(rows) == 7
    assert max(row["num_attempts"] for row in rows) > 1
    assert_same_alone(store, sweep, tmp_path / "alone")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_model_that_cannot_take_the_images_starts_nothing(
    command: str, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(DROPS.replace("32, num_classes", "31, num_classes"))
    sweep = write_sweep(tmp_path, models=str(tmp_path / "mine.py"), pairs=["resnet8/drops"])
    code, output = run(home, command, sweep, "--store", tmp_path / "store")
    assert (code, len(output.strip().splitlines())) == (2, 1), output
    assert "mine.py: drops cannot take images of 3x16x16: RuntimeError: mat1 and mat2" in output
    assert not (tmp_path / "store").exists()
