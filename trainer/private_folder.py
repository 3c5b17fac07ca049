"""A folder of this user's own where everybody may write: what lies in it was put there by nobody else.

    private_folder("stacks")     # $TMPDIR/kdsweep-UID/stacks

Anybody can make a folder of our name in a shared temporary folder before we do, with links in it that lead to our
own files. So whether it is ours is asked each time: made by us, no link, open to nobody else.
"""

import os
import stat
import tempfile
from pathlib import Path

from trainer.problems import PlacedError

ANOTHER = "TMPDIR says where temporary files go instead"
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NotOursError(PlacedError):
    """A folder that is not this user's alone, or that cannot be made."""


def private_folder(*names: str) -> Path:
    """A folder, made if it is not there, below the one that is this user's alone.

    Raises:
        NotOursError: somebody else has made it, or might have put something there; or it cannot be made.
    """
    path = Path(tempfile.gettempdir()) / f"kdsweep-{os.geteuid()}"
    _make_sure(path)
    for name in names:
        path /= name
        _make_sure(path)
    return path


def _make_sure(path: Path) -> None:
    try:
        path.mkdir(mode=stat.S_IRWXU)
    except FileExistsError:
        pass
    except OSError as error:
        raise NotOursError(path, f"cannot be made: {error.strerror}; {ANOTHER}") from error
    if problem := _why_not_ours(path.lstat()):
        raise NotOursError(path, f"{problem}; it is not used. {ANOTHER}")


def _why_not_ours(status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "a link"
    if not stat.S_ISDIR(status.st_mode):
        return "not a folder"
    if status.st_uid != os.geteuid():
        return f"made by another user (uid {status.st_uid})"
    if status.st_mode & OPEN_TO_OTHERS:
        return f"open to other users (mode {stat.S_IMODE(status.st_mode):o})"
    return None
