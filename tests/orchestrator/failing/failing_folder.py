"""A store's folder in which every call site fails once: whoever asks the same again is answered.

A call site is what is asked and the lines of ours that lead there. Which have failed is noted in files, so that
the driver and all its workers know it of each other. This module stands alone: `sitecustomize` beside it brings
it into every Python process of a run.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from trainer.files import Folder, LocalFolder

DEPTH = 4
"""So many lines tell two call sites apart."""

OURS = ("orchestrator", "trainer")
BETWEEN = ("patience.py", "patient_folder.py", "failing_folder.py")

T = TypeVar("T")


def call_site(operation: str) -> str:
    """`write signs.py:116 set_running < keeper.py:250 _show < ...`."""
    frame, lines = sys._getframe(), []
    while frame is not None and len(lines) < DEPTH:
        path = Path(frame.f_code.co_filename)
        is_ours = not {path.parent.name, path.parent.parent.name}.isdisjoint(OURS)
        if is_ours and path.name not in BETWEEN:
            lines.append(f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return f"{operation} {' < '.join(lines)}"


class FailingFolder(LocalFolder):
    """A folder of the file system that fails once wherever it is used.

    Args:
        path: as of `LocalFolder`.
        number: the error's; 0: an object store's, which has none.
        noted: the folder in which call sites are noted; while there is none, nothing fails.
    """

    def __init__(self, path: Path, number: int, noted: Path) -> None:
        super().__init__(path)
        self._number = number
        self._noted = noted

    def folder(self, name: str) -> "FailingFolder":
        return FailingFolder(self.path / name, self._number, self._noted)

    def names(self) -> list[str]:
        return self._once("names", super().names)

    def folders(self) -> list[str]:
        return self._once("folders", super().folders)

    def read(self, name: str) -> bytes:
        return self._once("read", lambda: super(FailingFolder, self).read(name))

    def size(self, name: str) -> int:
        return self._once("size", lambda: super(FailingFolder, self).size(name))

    def write(self, name: str, content: bytes) -> None:
        self._once("write", lambda: super(FailingFolder, self).write(name, content))

    def remove(self, name: str) -> None:
        self._once("remove", lambda: super(FailingFolder, self).remove(name))

    def tidy(self) -> None:
        self._once("tidy", super().tidy)

    def free_bytes(self) -> int:
        return self._once("free_bytes", super().free_bytes)

    def _once(self, operation: str, act: Callable[[], T]) -> T:
        fail_once(operation, self._number, self._noted)
        return act()


def failing(
    opened: Callable[[str], Folder], number: int, noted: Path
) -> Callable[[str], FailingFolder]:
    """What opens failing folders, in place of what opens sound ones."""

    def open_folder(address: str) -> FailingFolder:
        fail_once("open", number, noted)
        return FailingFolder(Path(opened(address).address), number, noted)

    return open_folder


def fail_once(operation: str, number: int, noted: Path) -> None:
    """Raises where this call site has not failed yet."""
    site = call_site(operation)
    note = noted / hashlib.sha256(site.encode()).hexdigest()
    try:
        with note.open("x") as file:
            file.write(f"{os.getpid()} {site}")
    except (FileExistsError, FileNotFoundError):
        return
    if number:
        raise OSError(number, os.strerror(number))
    raise OSError("When reading information for key: AWS Error INTERNAL_FAILURE, HTTP 500")


def sites(noted: Path) -> dict[str, str]:
    """The call sites that have failed, with the process in which they did."""
    told = (note.read_text().partition(" ") for note in noted.iterdir())
    return {site: process for process, _, site in told}
