"""A full disk and torn writes, on a real small file system: nothing that was kept is lost."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.trainer.keepers import StoppingKeeper, assert_equal_results
from tests.trainer.test_lockstep import teacher_trial
from trainer.checkpoint import SPARED_BYTES, Checkpoint, CheckpointFolder
from trainer.datasets.dataset import Dataset
from trainer.files import LocalFolder, write_atomically
from trainer.keeper import Command, FolderKeeper, Progress
from trainer.lockstep import run_group
from trainer.positions import Position
from trainer.trial import Data

CPU = torch.device("cpu")
MIB = 1 << 20


def mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def mounted(where: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes."""
    folder = where / "disk"
    folder.mkdir()
    if not mount(folder, f"size={size}"):
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path, 8 * MIB)


def checkpoint(step: int, num_bytes: int = 1000) -> Checkpoint:
    tensors = {"w": torch.full((num_bytes // 4,), float(step))}
    return Checkpoint(Position(1, step), tensors, {"curve": []})


def test_a_write_to_a_full_disk_leaves_the_old_content(small_disk: Path) -> None:
    path = small_disk / "file"
    write_atomically(path, b"old" * 1000)
    (small_disk / "ballast").write_bytes(b"x" * (8 * MIB - 100_000))
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old" * 1000
    assert sorted(p.name for p in small_disk.iterdir()) == ["ballast", "file"]


def test_space_is_checked_before_a_checkpoint_is_written(small_disk: Path) -> None:
    folder = CheckpointFolder(small_disk)
    folder.save(checkpoint(1, MIB))
    with pytest.raises(OSError, match="no space for step-000001-00000002") as caught:
        folder.save(checkpoint(2, 4 * MIB))
    assert caught.value.errno == errno.ENOSPC
    latest = folder.latest()
    assert latest is not None
    assert latest.position == Position(1, 1)
    free = LocalFolder(small_disk).free_bytes()
    assert SPARED_BYTES < free < 8 * MIB


def test_a_trial_whose_disk_is_full_goes_on_once_there_is_space(
    small_disk: Path, tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    trial = teacher_trial(tiny_data)
    run_group([trial], FolderKeeper(tmp_path / "reference"), tiny_dataset, CPU)
    run_group([trial], StoppingKeeper(small_disk, stop_after=7), tiny_dataset, CPU)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (LocalFolder(small_disk).free_bytes() - SPARED_BYTES))

    class SavesAlways(FolderKeeper):
        def after_step(self, progress: Progress) -> Command:
            return Command.SAVE

    with pytest.raises(OSError, match="no space for"):
        run_group([trial], SavesAlways(small_disk), tiny_dataset, CPU)
    latest = CheckpointFolder(small_disk / trial.fingerprint).latest()
    assert latest is not None
    assert latest.position == Position(1, 7)
    ballast.unlink()
    run_group([trial], SavesAlways(small_disk), tiny_dataset, CPU)
    assert_equal_results(tmp_path / "reference", small_disk, trial)


def test_what_dead_writers_left_is_cleared_away(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"x")
    folder = LocalFolder(tmp_path)
    script = f"""
import os, signal
from pathlib import Path
from trainer import files
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path({str(tmp_path)!r}) / "other.safetensors", b"half")
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    assert folder.names() == ["file"]
    folder.tidy()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
