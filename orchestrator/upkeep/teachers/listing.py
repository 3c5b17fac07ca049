"""Which published teachers are on this machine, and what their files say of them."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.upkeep.teachers.archive import ENDINGS, architecture_in
from orchestrator.upkeep.teachers.fetching import ARCHIVES, fetched_folder
from trainer.catalog import DATASETS
from trainer.pins import DEEPEST, pinned_sha256, read_lock
from trainer.problems import PlacedError

Pinned = Literal["yes", "no", "differs"]


@dataclass(frozen=True)
class Teacher:
    """A checkpoint. `accuracy` is a share, as its file tells; None where it does not. `problem`: it cannot be used."""

    architecture: str
    num_classes: int | None
    image_size: int | None
    accuracy: float | None
    pinned: Pinned
    path: str
    problem: str | None = None


def listed_teachers(folder: Path | None) -> list[Teacher]:
    """The checkpoints below a folder, or, without one, all that were fetched into this machine's cache.

    Raises:
        PlacedError: there is no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise PlacedError(folder, "no such folder")
    folders = [folder] if folder else [fetched_folder(dataset) for dataset in ARCHIVES]
    return [teacher for one in folders for teacher in _teachers(one.absolute())]


def _teachers(folder: Path) -> Iterator[Teacher]:
    for path in sorted(_checkpoints(folder)):
        if architecture := architecture_in(path.relative_to(folder)):
            yield _teacher(path, architecture, _image_size(path))


def _checkpoints(folder: Path) -> Iterator[Path]:
    for top, names, files in os.walk(folder):
        if len(Path(top).relative_to(folder).parts) >= DEEPEST - 1:
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]
        yield from (Path(top) / f for f in files if f.endswith(ENDINGS) and not f.startswith("."))


def _image_size(path: Path) -> int | None:
    """Of the data set whose teachers were fetched into the folder; None where no lock says so."""
    locks = (read_lock(folder) for folder in list(path.parents)[:DEEPEST])
    named = next((lock.dataset for lock in locks if lock), "")
    return DATASETS[named].image_size if named in DATASETS else None


def _teacher(path: Path, architecture: str, image_size: int | None) -> Teacher:
    from trainer.checkpoint import CheckpointError
    from trainer.published import facts_of

    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    pin = pinned_sha256(path)
    pinned: Pinned = "no" if pin is None else "yes" if pin[1] == sha256 else "differs"
    try:
        facts = facts_of(path, architecture)
    except CheckpointError as error:
        return Teacher(architecture, None, image_size, None, pinned, str(path), error.problem)
    return Teacher(architecture, facts.num_classes, image_size, facts.accuracy, pinned, str(path))
