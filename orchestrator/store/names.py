"""Names that become paths, checked before they do."""

import re
from pathlib import Path

from trainer.problems import PlacedError

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


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
