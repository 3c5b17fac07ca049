"""What a fetched file was at first: a lock file beside it holds its SHA-256.

    FOLDER/teachers.lock.json                        written when the archive was unpacked
    FOLDER/vgg13_vanilla/ckpt_epoch_240.pth          one of its `files`

Whoever publishes no checksum cannot be verified, but what changes after the first use can be told.
"""

from pathlib import Path

from pydantic import ValidationError

from trainer.problems import PlacedError
from trainer.trial import Fingerprint, Frozen

LOCK = "teachers.lock.json"
DEEPEST = 3
"""A lock stands at most so many folders above a file that it pins."""


class Lock(Frozen):
    """What was fetched from where: `files` has the SHA-256 of each, by its path below the lock's folder."""

    dataset: str
    source: str
    archive_sha256: Fingerprint
    files: dict[str, Fingerprint]


def read_lock(folder: Path) -> Lock | None:
    """The lock of a folder; None where there is none.

    Raises:
        PlacedError: it cannot be read.
    """
    path = folder / LOCK
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise PlacedError(
            path, "damaged; remove it, and the teachers beside it, and fetch them again"
        ) from error


def pinned_sha256(path: Path) -> tuple[Path, str] | None:
    """The lock file that pins a file, and the SHA-256 that it holds; None where no lock does."""
    for folder in list(path.parents)[:DEEPEST]:
        lock = read_lock(folder)
        if lock and (sha256 := lock.files.get(path.relative_to(folder).as_posix())):
            return folder / LOCK, sha256
    return None


def check_pin(path: Path, sha256: str) -> None:
    """Raises `PlacedError` where a file is not what it was when it was fetched."""
    pin = pinned_sha256(path)
    if pin is not None and pin[1] != sha256:
        raise PlacedError(
            path,
            f"its SHA-256 is {sha256}, but {pin[1]} when it was fetched ({pin[0]}); "
            "fetch it again, or remove it from there if it is meant to differ",
        )
