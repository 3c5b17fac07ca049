"""The folder of one run in the temporary folder: its token, Ray's sessions and logs, Tune's scratch.

    /tmp/kdsweep-run-x7_k2q9a/    0700, and of a name that nobody can know before
        lock                      locked while the run lives; the kernel frees it, however the run ends
        messages.log              what Ray would say on the screen
        token                     what Ray's processes show each other, 0600
        ray/                      Ray makes it 0777: nobody else gets through the folder above
        torch/ tune-.../          what torch would compile, Tune's own experiment

A run without a failure takes its folder with it. Of the others, killed ones too, the last few stay for their logs.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.problems import UserError

PREFIX = "kdsweep-run-"
KEPT = 3
"""So many folders of runs that are over stay."""

RAY = "ray"
LOCK = "lock"
LONGEST_SOCKET = (
    f"{PREFIX}x7_k2q9a/{RAY}/session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store"
)
LONGEST_ADDRESS_BYTES = 107
"""Of a socket, with all its folders; Linux takes no more."""


class RunFolder:
    """The folder of a run that goes on. `is_wanted`: its logs may tell of a failure, so it stays afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_wanted = False

    @property
    def token(self) -> Path:
        """A file with a token that is this run's alone."""
        return self.path / "token"

    @property
    def messages(self) -> Path:
        """A file for what Ray would say on the screen."""
        return self.path / "messages.log"

    @property
    def torch(self) -> Path:
        """For what torch compiles."""
        return self.path / "torch"

    @property
    def ray(self) -> Path:
        """For Ray to make and to fill."""
        return self.path / RAY


@contextmanager
def run_folder() -> Iterator[RunFolder]:
    """A fresh folder; afterwards it is gone, unless it is wanted.

    Raises:
        UserError: no temporary folder can be written, or their paths are too long for Ray's sockets.
    """
    place = _place()
    _forget_old(place)
    folder = RunFolder(Path(tempfile.mkdtemp(prefix=PREFIX, dir=place)))
    try:
        lock = _locked(folder.path)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    try:
        _write_token(folder.token)
        yield folder
    finally:
        if folder.is_wanted:
            folder.token.unlink(missing_ok=True)
        else:
            shutil.rmtree(folder.path, ignore_errors=True)
        os.close(lock)


def _place() -> Path:
    """The first temporary folder that can be used: RAY_TMPDIR, TMPDIR, then the usual ones."""
    places = [os.environ["RAY_TMPDIR"]] if os.environ.get("RAY_TMPDIR") else []
    with suppress(FileNotFoundError):
        places.append(tempfile.gettempdir())
    places.append("/tmp")  # noqa: S108 - the folder that is made in it is private
    for place in places:
        # Without links: by its real path the kernel tells who has a file in it open.
        real = Path(place).resolve()
        if os.access(real, os.W_OK | os.X_OK) and _is_short(real):
            return real
    longest = LONGEST_ADDRESS_BYTES - len(LONGEST_SOCKET) - 1
    raise UserError(
        f"no temporary folder can be used ({', '.join(dict.fromkeys(places))}); set TMPDIR to one that "
        f"can be written, with a path of at most {longest} bytes"
    )


def _is_short(place: Path) -> bool:
    return len(os.fsencode(f"{place}/{LONGEST_SOCKET}")) <= LONGEST_ADDRESS_BYTES


def _locked(folder: Path) -> int:
    """A lock appears in a folder under its name once it is held: whoever sees a free one may remove the folder."""
    hidden = folder / f".{LOCK}"
    lock = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    hidden.rename(folder / LOCK)
    return lock


def _write_token(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))


def _forget_old(place: Path) -> None:
    """Remove our folders of runs that are over, all but the newest."""
    own = [path for path in place.glob(f"{PREFIX}*") if _is_own(path)]
    over = sorted((path for path in own if _is_over(path)), key=_locked_at, reverse=True)
    for path in over[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _locked_at(folder: Path) -> float:
    try:
        return (folder / LOCK).stat().st_mtime
    except OSError:
        return 0.0  # another run has removed it meanwhile


def _is_own(path: Path) -> bool:
    try:
        return not path.is_symlink() and path.stat().st_uid == os.getuid()
    except OSError:
        return False


def _is_over(path: Path) -> bool:
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
