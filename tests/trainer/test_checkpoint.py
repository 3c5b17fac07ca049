import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trainer.checkpoint import Checkpoint, CheckpointError, CheckpointFolder
from trainer.files import LocalFolder, write_atomically
from trainer.positions import Position, newest_position


def checkpoint(epoch: int, step: int) -> Checkpoint:
    tensors = {"w": torch.full((3,), float(step)), "n": torch.tensor(step)}
    return Checkpoint(Position(epoch, step), tensors, {"curve": [{"loss": 0.1}], "seconds": 2.5})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    assert folder.latest() is None
    assert newest_position(LocalFolder(tmp_path)) is None
    folder.save(checkpoint(2, 7))
    latest = folder.latest()
    assert latest is not None
    assert latest.position == newest_position(LocalFolder(tmp_path)) == Position(2, 7)
    assert latest.record == {"curve": [{"loss": 0.1}], "seconds": 2.5}
    assert torch.equal(latest.tensors["w"], torch.full((3,), 7.0))
    assert latest.tensors["n"].item() == 7


def test_tensors_that_share_memory_come_back_each(tmp_path: Path) -> None:
    """As tied weights of a model do, and what a predictor keeps."""
    whole = torch.arange(4.0)
    shared = {"w": whole, "tied": whole, "end": whole[2:], "apart": torch.ones(2)}
    folder = CheckpointFolder(tmp_path)
    folder.save(Checkpoint(Position(1, 1), shared, {}))
    latest = folder.latest()
    assert latest is not None
    assert latest.tensors.keys() == shared.keys()
    assert all(torch.equal(latest.tensors[name], value) for name, value in shared.items())
    folder.keep(shared)
    assert torch.equal(folder.weights()["tied"], whole)


def test_the_last_checkpoint_and_the_one_before_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (1, 5, 10, 10):
        folder.save(checkpoint(1, step))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-000001-00000005.safetensors", "step-000001-00000010.safetensors"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    damage: str, tmp_path: Path
) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(1, 5))
    good = next(tmp_path.iterdir())
    content = bytearray(good.read_bytes())
    match damage:
        case "truncated":
            content = content[: len(content) // 2]
        case "flipped":
            content[-1] ^= 1
        case "empty":
            content = bytearray()
        case "foreign":
            content = bytearray(b"\x80\x04cos\nsystem\n")
    good.with_name("step-000001-00000009.safetensors").write_bytes(content)
    latest = folder.latest()
    assert latest is not None
    assert latest.position == Position(1, 5)


def test_final_weights(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "trial")
    with pytest.raises(CheckpointError, match="no final weights"):
        folder.weights()
    folder.save(checkpoint(1, 5))
    folder.keep({"w": torch.ones(2)})
    folder.drop_checkpoints()
    assert torch.equal(folder.weights()["w"], torch.ones(2))
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["final.safetensors"]
    path = tmp_path / "trial" / "final.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        folder.weights()


def test_a_trial_without_weights_leaves_no_folder(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "trial")
    folder.save(checkpoint(1, 5))
    folder.keep(None)
    folder.drop_checkpoints()
    assert not (tmp_path / "trial").exists()


def test_a_failed_write_leaves_the_old_content_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


SAVES = """
import sys
from pathlib import Path
import torch
from trainer.checkpoint import Checkpoint, CheckpointFolder
from trainer.positions import Position
names = ["fc.weight", "fc.bias", "conv1.weight", "bn.running_mean", "n"]
tensors = {name: torch.arange(4.0) + len(name) for name in names} | {"n": torch.tensor(3)}
folder = CheckpointFolder(Path(sys.argv[1]), "a" * 64)
folder.save(Checkpoint(Position(1, 5), tensors, {"curve": [{"loss": 0.1}], "seconds": 2.5}))
folder.keep(tensors)
"""


def test_equal_weights_are_equal_bytes_whichever_process_writes_them(tmp_path: Path) -> None:
    """So checksums of two stores can be compared."""
    written: list[dict[str, bytes]] = []
    for run in range(3):
        folder = tmp_path / str(run)
        environment = {**os.environ, "PYTHONHASHSEED": str(run)}
        subprocess.run([sys.executable, "-c", SAVES, str(folder)], env=environment, check=True)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(written[0]) == 2
    assert written[0] == written[1] == written[2]
