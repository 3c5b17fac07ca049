"""Checkpoints and final weights on disk: safetensors files, written atomically, verified when read.

A trial's folder holds `step-EEEEEE-SSSSSSSS.safetensors` while it runs and only `final.safetensors` once it
is finished. A file appears under its name only when it is complete and flushed, and the one before is
removed only after that: a crash at any moment leaves a good one. Nothing is pickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from trainer.files import write_atomically

FINAL = "final.safetensors"


@dataclass(frozen=True, order=True)
class Position:
    """The next step to run: epochs count from 1, steps from 0."""

    epoch: int = 1
    step: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """Where a trial stands. `record` is JSON-like (the learning curve); generators need no saving."""

    position: Position
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]


class CheckpointError(Exception):
    """A file that is not, or is no longer, what was written."""


def _checksum(tensors: Mapping[str, Tensor], record: str) -> str:
    content = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()


def _write(path: Path, tensors: Mapping[str, Tensor], record: str) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"record": record, "sha256": _checksum(plain, record)}
    write_atomically(path, save(plain, metadata))


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error
    record = metadata.get("record", "")
    if metadata.get("sha256") != _checksum(tensors, record):
        raise CheckpointError(f"{path}: damaged: its content does not match its checksum")
    return tensors, record


class CheckpointFolder:
    """The checkpoints and final weights of one trial."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _checkpoints(self) -> list[Path]:
        """From the oldest to the newest."""
        return sorted(self._path.glob("step-*.safetensors"))

    def save(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` the last good one, and drop the ones before."""
        position = checkpoint.position
        before = self._checkpoints()
        path = self._path / f"step-{position.epoch:06d}-{position.step:08d}.safetensors"
        record = {"epoch": position.epoch, "step": position.step, **checkpoint.record}
        _write(path, checkpoint.tensors, json.dumps(record))
        for old in before:
            if old != path:
                old.unlink(missing_ok=True)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is undamaged."""
        for path in reversed(self._checkpoints()):
            try:
                tensors, text = _read(path)
            except CheckpointError:
                continue
            record = json.loads(text)
            position = Position(record.pop("epoch"), record.pop("step"))
            return Checkpoint(position, tensors, record)
        return None

    def position(self) -> Position | None:
        """Where the newest checkpoint claims to stand, from its name alone."""
        paths = self._checkpoints()
        if not paths:
            return None
        _, epoch, step = paths[-1].stem.split("-")
        return Position(int(epoch), int(step))

    def keep(self, weights: Mapping[str, Tensor] | None) -> None:
        """Keep final weights, where there are any."""
        if weights is not None:
            _write(self._path / FINAL, weights, "")

    def drop_checkpoints(self) -> None:
        """Remove all but the final weights."""
        for path in self._checkpoints():
            path.unlink(missing_ok=True)
        if self._path.exists() and not any(self._path.iterdir()):
            self._path.rmdir()

    def has_weights(self) -> bool:
        return (self._path / FINAL).exists()

    def weights(self) -> dict[str, Tensor]:
        """The final weights, on the CPU.

        Raises:
            CheckpointError: they are missing or damaged.
        """
        path = self._path / FINAL
        if not self.has_weights():
            raise CheckpointError(f"{path}: no final weights there")
        return _read(path)[0]
