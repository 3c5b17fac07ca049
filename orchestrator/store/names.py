"""Names that become paths, checked before they do; and the digests that stand in some."""

import hashlib
import re
from pathlib import Path

from trainer.problems import PlacedError

DIGITS = 16
"""Of the SHA-256 of a file's bytes, where its name carries it."""

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def short_digest(content: bytes) -> str:
    """What a file's name carries of the SHA-256 of its bytes."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def is_fingerprint(text: str) -> bool:
    return _FINGERPRINT.fullmatch(text) is not None


def checked_fingerprint(fingerprint: str) -> str:
    """A fingerprint, fit to become a file's name.

    Raises:
        PlacedError: it is none.
    """
    if not is_fingerprint(fingerprint):
        raise PlacedError(repr(fingerprint), "a fingerprint is 64 hexadecimal digits")
    return fingerprint


def refuse_link(path: Path) -> None:
    """What is written or removed behind a link may belong to somebody else.

    Raises:
        PlacedError: the path is one.
    """
    if path.is_symlink():
        raise PlacedError(path, "a link; kdsweep neither writes nor removes behind one")
