"""A disk that fills up under a real run: nothing that was kept is lost, and it goes on once there is space."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, start, trial_workers, wait_until
from tests.orchestrator.driver.test_faults import students
from tests.orchestrator.results import assert_same_results, is_clean
from tests.trainer.test_disk import MIB, mounted
from trainer.checkpoint import CheckpointFolder
from trainer.files import process_is_alive

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    yield from mounted(tmp_path, 48 * MIB)


def fill(disk: Path, spared: int = 0) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * min(MIB, max(1, shutil.disk_usage(disk).free - spared)))
                if shutil.disk_usage(disk).free <= spared:
                    return ballast
        except OSError:
            return ballast


def test_a_run_on_a_disk_that_fills_up(
    home: Path, sweep: Path, disk: Path, undisturbed: Store
) -> None:
    store = Store(disk / "store")
    process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
    wait_until(lambda: students(store))
    begun = [store.checkpoint_folder(sign.fingerprint) for sign in students(store)]
    workers = trial_workers(process.pid)
    ballast = fill(disk)
    wait_until(lambda: not any(map(process_is_alive, workers)))
    wait_until(lambda: trial_workers(process.pid))
    ballast.unlink()
    assert all(CheckpointFolder(folder).latest() for folder in begun)
    code, output = finish(process)
    assert code == 0, output
    assert "No space left on device" in output
    assert "not recorded: " in output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
