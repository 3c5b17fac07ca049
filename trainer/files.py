"""Folders of files that appear whole or not at all.

Everything durable is written through a `Folder` or by `write_atomically`: a crash at any moment
leaves a file's old content, or the new, never half of it. `LocalFolder` keeps this promise on a
file system; the orchestrator brings another for object stores. A name never holds a path.
"""

import errno
import functools
import hashlib
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

ABANDONED_AFTER_S = 30 * 24 * 3600
"""So old is what a dead writer of another host has left: clocks of hosts may differ by days."""
VANISHES = 100
"""A folder that is removed so often between its making and the first file in it is not tidied up, but lost."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[^.]*)\.(?P<pid>\d+)\.\d+\.tmp")


class Folder(Protocol):
    """A place for files by name, and for folders; nothing is made before something is written."""

    @property
    def address(self) -> str:
        """A path or URI by which another process finds it."""

    @property
    def path(self) -> Path | None:
        """Where it is in the file system of this machine; None: in none."""

    def names(self) -> list[str]:
        """The names of its whole files, sorted; none where the folder does not exist."""

    def folders(self) -> list[str]:
        """The names of the folders in it, sorted."""

    def folder(self, name: str) -> "Folder": ...

    def read(self, name: str) -> bytes:
        """A file's content. Raises `FileNotFoundError`."""

    def size(self, name: str) -> int:
        """A file's length in bytes. Raises `FileNotFoundError`."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, atomically. Raises `OSError` where that is impossible, and changes nothing."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def tidy(self) -> None:
        """Remove what writers that died have left behind, and the folder itself where it is empty."""

    def free_bytes(self) -> int | None:
        """How much can still be written; None where there is no limit to know of."""


class LocalFolder:
    """A folder of a file system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def address(self) -> str:
        return str(self.path)

    def _entries(self, wanted: Callable[["os.DirEntry[str]"], bool]) -> list[str]:
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for entry in entries if wanted(entry)]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.startswith("."))

    def names(self) -> list[str]:
        return self._entries(lambda entry: not entry.is_dir())

    def folders(self) -> list[str]:
        """Without links, which may lead anywhere."""
        return self._entries(lambda entry: entry.is_dir(follow_symlinks=False))

    def folder(self, name: str) -> "LocalFolder":
        return LocalFolder(self.path / name)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def write(self, name: str, content: bytes) -> None:
        write_atomically(self.path / name, content)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        # Another process may tidy the folder away meanwhile.
        with suppress(FileNotFoundError):
            for path in self.path.glob(".*.tmp"):
                if _is_abandoned(path):
                    path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def free_bytes(self) -> int:
        existing = self.path
        while not existing.exists():
            existing = existing.parent
        return shutil.disk_usage(existing).free


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either absent, as it was, or complete and flushed; folders are made."""
    unique = f"{_host()}.{os.getpid()}.{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{unique}.tmp")
    opened = _opened_in_its_folder(temporary)
    try:
        with opened as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    # Whoever has removed the file already, and tidied its folder away, needs nothing flushed.
    with suppress(FileNotFoundError):
        _flush_folder(path.parent)


def _opened_in_its_folder(path: Path) -> BinaryIO:
    """A new file in a folder that is made; made again where another process has tidied it away, empty as it was."""
    for _ in range(VANISHES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("wb")
        except FileNotFoundError:
            continue
        except FileExistsError:
            # So says `mkdir` also of a folder that has vanished since, and may be there again by now.
            if path.parent.is_file():
                raise
    raise OSError(errno.ESTALE, "its folder vanishes again and again", str(path))


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_abandoned(temporary: Path) -> bool:
    """Its writer is dead: surely on this host, or, on another, by its age."""
    match = _TEMPORARY.fullmatch(temporary.name)
    if match and match["host"] == _host():
        return not process_is_alive(int(match["pid"]))
    try:
        return time.time() - temporary.stat().st_mtime > ABANDONED_AFTER_S
    except FileNotFoundError:
        return False


def _host() -> str:
    """Where numbers of processes count, as a part of a file's name: containers may share a host's name."""
    where = hashlib.sha256(process_space().encode()).hexdigest()[:8]
    return f"{socket.gethostname().replace('.', '-')}-{where}"


@functools.cache
def process_space() -> str:
    """Where this process's number counts: one boot of one machine, and of that one namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def process_is_alive(pid: int) -> bool:
    """Whether a process of this host, not yet a zombie, has this number."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self").exists() and _answers(pid)
    return state != "Z"


def _answers(pid: int) -> bool:
    """The same where there is no /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
