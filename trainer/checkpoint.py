"""Checkpoints and final weights: safetensors files, written atomically, verified when read.

A trial's folder holds `step-EEEEEE-SSSSSSSS.safetensors` while it runs, the last one and the one before, and
only `final.safetensors` once it is finished. A file appears under its name only when it is complete and
flushed, and older ones are removed only after that. So a crash at any moment leaves a good one, and where
the last one turns out damaged, the one before is used. Nothing is pickled.
"""

import errno
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from trainer.files import Folder, LocalFolder
from trainer.positions import FINAL, Position, checkpoints_in, name_of
from trainer.problems import PlacedError

NUM_KEPT = 2
"""Undamaged checkpoints of an unfinished trial: the last, and the one before."""

ABOUT = "kdsweep"
"""The key of a file's metadata, as JSON: owner, record, and the checksum of everything."""

SPARED_BYTES = 4 << 20
"""A checkpoint leaves so much of a disk free: rows and curves, a few kB each, still fit."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a trial stands. `record` is JSON-like (the learning curve); generators need no saving."""

    position: Position
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]


class CheckpointError(PlacedError):
    """A file that is not, or is no longer, what was written."""


def _checksum(tensors: Mapping[str, Tensor], record: str, owner: str | None = None) -> str:
    """Of everything in a file; files of the first form left their owner out."""
    content = hashlib.sha256(record.encode())
    if owner is not None:
        content.update(f"\0{owner}\0".encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same, where none lies in another's memory, as tied weights do: safetensors writes no such ones."""
    taken: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return apart


def _write(
    folder: Folder,
    name: str,
    tensors: Mapping[str, Tensor],
    record: Mapping[str, Any],
    owner: str,
) -> None:
    plain = _apart({n: tensor.detach().cpu().contiguous() for n, tensor in tensors.items()})
    text = json.dumps(record)
    about = {"owner": owner, "record": text, "sha256": _checksum(plain, text, owner)}
    # Under one key, as safetensors writes several in any order: equal content makes equal bytes.
    content = save(plain, {ABOUT: json.dumps(about)})
    free = folder.free_bytes()
    if free is not None and free < len(content) + SPARED_BYTES:
        what = f"no space for {name}: {len(content):,} bytes, and {free:,} are free"
        raise OSError(errno.ENOSPC, what, folder.address)
    folder.write(name, content)


def _read(folder: Folder, name: str, owner: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and record of a file. Raises `FileNotFoundError` and `CheckpointError`."""
    content = folder.read(name)
    where = f"{folder.address}/{name}"
    try:
        tensors = dict(sorted(load(content).items()))
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        about = json.loads(header[ABOUT]) if ABOUT in header else header
        text, others = about.get("record", ""), about.get("owner", "")
        told = _checksum(tensors, text, others if ABOUT in header else None)
        is_whole = about.get("sha256") == told
    except (SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(where, f"not a safetensors file: {error}") from error
    if not is_whole:
        raise CheckpointError(where, "damaged: its content does not match its checksum")
    if owner and others and others != owner:
        raise CheckpointError(where, f"it is of another trial, {others[:12]}")
    return tensors, json.loads(text or "{}")


class CheckpointFolder:
    """The checkpoints and final weights of one trial.

    Args:
        folder: where they are.
        owner: the trial's fingerprint, where that is known; what another has written is as good as damaged.
    """

    def __init__(self, folder: Folder | Path, owner: str = "") -> None:
        self._owner = owner
        self._folder: Folder = LocalFolder(folder) if isinstance(folder, Path) else folder

    def _checkpoints(self) -> dict[str, Position]:
        """Names of files and the positions they claim, from the oldest to the newest."""
        return checkpoints_in(self._folder)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write `checkpoint`; the newest ones are kept.

        One that is ahead of it was damaged when the trial went on, and goes; or another worker, which nobody saw
        beside this one, is further: that one's progress stays.

        Raises:
            OSError: there is no space for it; what was there before is still there.
        """
        position = checkpoint.position
        name = name_of(position)
        record = {"epoch": position.epoch, "step": position.step, **checkpoint.record}
        _write(self._folder, name, checkpoint.tensors, record, self._owner)
        # What cannot be tidied now is outdated the next time as well.
        with suppress(OSError):
            self._drop_outdated(name)

    def _drop_outdated(self, last: str) -> None:
        names = list(self._checkpoints())
        ahead = names[names.index(last) + 1 :] if last in names else []
        damaged = [other for other in ahead if self._is_damaged(other)]
        kept = [other for other in names if other not in damaged]
        for outdated in (*kept[:-NUM_KEPT], *damaged):
            self._folder.remove(outdated)

    def _is_damaged(self, name: str) -> bool:
        """Whether a file was read and is not what was written; one that cannot be read now may be sound."""
        try:
            _read(self._folder, name, self._owner)
        except CheckpointError:
            return True
        except OSError:
            return False
        return False

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is undamaged."""
        for name in reversed(self._checkpoints()):
            try:
                tensors, record = _read(self._folder, name, self._owner)
            except (CheckpointError, FileNotFoundError):
                continue
            if not {"epoch", "step"} <= record.keys():
                continue
            position = Position(record.pop("epoch"), record.pop("step"))
            return Checkpoint(position, tensors, record)
        return None

    def damaged(self) -> list[CheckpointError]:
        """What is wrong with each file that is not what was written."""
        wrong: list[CheckpointError] = []
        for name in [*self._checkpoints(), *({FINAL} & set(self._folder.names()))]:
            try:
                _read(self._folder, name, self._owner)
            except CheckpointError as error:
                wrong.append(error)
            except FileNotFoundError:
                continue
        return wrong

    def keep(self, weights: Mapping[str, Tensor] | None) -> None:
        """Keep final weights, where there are any. Raises `OSError` where there is no space."""
        if weights is not None:
            _write(self._folder, FINAL, weights, {}, self._owner)

    def drop_checkpoints(self) -> None:
        """Remove all but the final weights, also what writers that died have left."""
        for name in self._checkpoints():
            self._folder.remove(name)
        self._folder.tidy()

    def has_weights(self) -> bool:
        return FINAL in self._folder.names()

    def weights(self) -> dict[str, Tensor]:
        """The final weights, on the CPU.

        Raises:
            CheckpointError: they are missing or damaged.
        """
        try:
            return _read(self._folder, FINAL, self._owner)[0]
        except FileNotFoundError as error:
            where = f"{self._folder.address}/{FINAL}"
            raise CheckpointError(where, "no final weights there") from error
