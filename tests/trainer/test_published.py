"""Published checkpoints: what is read, and what is refused by name."""

import argparse
import fractions
import hashlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from orchestrator.worker.preparation import prepare
from tests.trainer.keepers import final_weights
from trainer.checkpoint import CheckpointError
from trainer.datasets.dataset import Dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.problems import UserError
from trainer.published import read_published
from trainer.trial import Data, PublishedCheckpoint, TeacherTrial


def weights(name: str = "resnet8", classes: int = 10) -> dict[str, Tensor]:
    return build_model(name, classes, 16, np.random.default_rng(0)).state_dict()


def wrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": value for name, value in tensors.items()}


def authors(tensors: dict[str, Tensor], **more: Any) -> dict[str, Any]:
    """As the authors' files are."""
    return {"epoch": 240, "model": tensors, "accuracy": torch.tensor(72.3), **more}


FILES: dict[str, Callable[[Path], object]] = {
    "authors.pth": lambda p: torch.save(authors(weights()), p),
    "with_optimizer.pth": lambda p: torch.save(
        authors(weights(), optimizer={"state": {}, "param_groups": [{"lr": 0.05}]}), p
    ),
    "with_numpy.pth": lambda p: torch.save(authors(weights(), best_acc=np.float64(70.1)), p),
    "wrapped.pth": lambda p: torch.save(authors(wrapped(weights())), p),
    "plain.pth": lambda p: torch.save(weights(), p),
    "state_dict.pt": lambda p: torch.save({"state_dict": weights()}, p),
    "tensors.safetensors": lambda p: save_file(weights(), p),
    "without_counters.pth": lambda p: torch.save(
        {k: v for k, v in weights().items() if not k.endswith("num_batches_tracked")}, p
    ),
}


def options() -> argparse.Namespace:
    """As RepDistiller's `{model}_last.pth` has them under `opt`."""
    return argparse.Namespace(
        model="resnet8", lr=0.05, milestones=[150, 180], save=Path("save"), seed=np.int64(3)
    )


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in weights().items()}


def with_integers(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "state_dict": tensors,
        "epoch": np.int32(7),
        "best": np.bool_(True),
        "confusion": np.arange(9).reshape(3, 3),
        "losses": np.array([0.5, 0.25], dtype=np.float32),
        "names": np.array(["a", "b"]),
    }


FOUND: dict[str, Callable[[], object]] = {
    "resnet8_last.pth": lambda: {"opt": options(), "model": weights()},
    "compiled": lambda: prefixed("_orig_mod."),
    "compiled_parallel": lambda: {"model": prefixed("module._orig_mod.")},
    "lightning": lambda: {"state_dict": prefixed("model."), "hyper_parameters": vars(options())},
    "backbone": lambda: {"model_state_dict": prefixed("model.backbone.")},
    "nested": lambda: {"teacher": {"net": {"state_dict": prefixed("module.net.")}}},
    "ema_alone": lambda: {"ema": {"module": weights()}, "epoch": 3},
    "ema_beside": lambda: {"ema": {"x": torch.zeros(1)}, "model": weights()},
    "with_integers": lambda: with_integers(weights()),
    "half": lambda: {k: v.half() if v.is_floating_point() else v for k, v in weights().items()},
    "parameters": lambda: {k: torch.nn.Parameter(v, requires_grad=False) for k, v in weights().items()},
    "beside_numbers": lambda: {**weights(), "epoch": 240, "note": "best"},
}  # fmt: skip


def with_old_numpy(path: Path) -> None:
    """As numpy 1 wrote its numbers: `numpy.core`, which numpy 2 calls `numpy._core`."""
    torch.save(authors(weights(), best_acc=np.float64(70.1)), path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(
                name, content.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
            )


FILES["with_old_numpy.pth"] = with_old_numpy


def written(name: str, folder: Path) -> tuple[Path, str]:
    path = folder / name
    FILES[name](path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_loads_strictly(name: str, tmp_path: Path) -> None:
    path, sha256 = written(name, tmp_path)
    read = read_published(path, sha256, "resnet8", 10)
    model = build_model("resnet8", 10, 16)
    model.load_state_dict(read, strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights()[key]), key


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("name", FOUND)
def test_checkpoints_as_they_are_found(name: str, is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.pth"
    torch.save(FOUND[name](), path, _use_new_zipfile_serialization=is_zip)
    read = read_published(path, hashlib.sha256(path.read_bytes()).hexdigest(), "resnet8", 10)
    assert read.keys() == weights().keys()
    for key, value in read.items():
        other = weights()[key]
        assert torch.equal(value, other.to(value.dtype)), key
        assert value.dtype == (torch.half if name == "half" and "num" not in key else other.dtype)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_before_anything_is_trained(
    value: float, tmp_path: Path, tiny_data: Data
) -> None:
    path, tensors = tmp_path / "teacher.pth", weights()
    tensors["fc.bias"][3] = value
    torch.save(tensors, path)
    checkpoint = PublishedCheckpoint.of(path)
    teacher = TeacherTrial(
        data=tiny_data, teacher="resnet8", seed=0, learning_rate=0.05, checkpoint=checkpoint
    )
    with pytest.raises(UserError, match=r"fc.bias has values that are not finite"):
        prepare([teacher], str(tmp_path))


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp/kdsweep-was-here"),)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: torch.save(authors(weights("resnet14")), p), "not the weights of resnet8: it"),
        (lambda p: torch.save(weights("resnet8x4"), p), "not the weights of resnet8"),
        (lambda p: torch.save(weights(classes=100), p), "made for 100 classes, not 10"),
        (lambda p: torch.save(authors({}), p), "no state_dict in it"),
        (lambda p: torch.save({"a": 1}, p), "no state_dict in it; expected one, plain or under"),
        (lambda p: torch.save([1, 2], p), "no state_dict in it"),
        (
            lambda p: torch.save(build_model("resnet8", 10, 16), p),
            r".*\(it holds a trainer.models.resnet.ResNet\); load it where",
        ),
        (
            lambda p: torch.save({"model": weights(), "when": fractions.Fraction(1, 2)}, p),
            r".*\(it holds a fractions.Fraction\)",
        ),
        (
            lambda p: torch.save(
                {"fc.weight": torch.zeros(10, 64), "conv9.weight": torch.zeros(1)}, p
            ),
            r".*it lacks 'bn1.bias' \(\d+ in all\) and it has 'conv9.weight' \(1 in all\); expected the state_dict",
        ),
        (
            lambda p: torch.save(weights() | prefixed("module."), p),
            r".*stands there twice, the second time as",
        ),
        (
            lambda p: torch.save({**weights(), "fc.bias": torch.zeros(10, dtype=torch.int8)}, p),
            "fc.bias is of torch.int8",
        ),
        (
            lambda p: torch.save({**weights(), "fc.bias": torch.zeros(10).to_sparse()}, p),
            "fc.bias is no plain tensor",
        ),
        (lambda p: p.write_bytes(b"rubbish"), "not a checkpoint of tensors"),
        (lambda p: p.write_bytes(b""), "not a checkpoint of tensors"),
        (lambda p: p.write_bytes(pickle.dumps({"model": Bomb()})), "not a checkpoint of tensors"),
        (lambda p: torch.save({"model": Bomb()}, p), "not a checkpoint of tensors"),
    ],
)
def test_what_is_refused(write: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "teacher.pth"
    write(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(CheckpointError, match=f"teacher.pth: {message}"):
        read_published(path, sha256, "resnet8", 10)
    assert not Path("/tmp/kdsweep-was-here").exists()


def test_a_truncated_changed_or_missing_file(tmp_path: Path) -> None:
    path, sha256 = written("authors.pth", tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=f"its SHA-256 is .*; {sha256} was planned"):
        read_published(path, sha256, "resnet8", 10)
    truncated = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(CheckpointError, match="not a checkpoint of tensors"):
        read_published(path, truncated, "resnet8", 10)
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_published(path, sha256, "resnet8", 10)


def test_a_safetensors_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_published(path, hashlib.sha256(b"rubbish").hexdigest(), "resnet8", 10)


def test_a_published_teacher_is_evaluated_and_kept(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    path, _ = written("authors.pth", tmp_path)
    trial = TeacherTrial(
        data=tiny_data,
        teacher="resnet8",
        seed=0,
        learning_rate=0.05,
        checkpoint=PublishedCheckpoint.of(path),
    )
    keeper = FolderKeeper(tmp_path)
    run_group([trial], keeper, tiny_dataset, torch.device("cpu"))
    metrics = keeper.result(trial)["metrics"]
    assert metrics["test_loss"] > 0
    assert 0 <= metrics["test_accuracy"] <= 1
    for name, value in final_weights(tmp_path, trial).items():
        assert torch.equal(value, weights()[name])
