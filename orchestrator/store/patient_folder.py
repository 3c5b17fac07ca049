"""A store's folder as processes use it that must outlive moments in which the store cannot be used.

    PatientFolder(open_folder("/mnt/shared/store"), Waits(180))

Every operation is tried again as `orchestrator.store.patience` says. Where it is known that the store has been
made (`home`, a folder in it that nobody removes), it is also told apart from one whose mount is gone: there,
nothing counts as absent or removed, and nothing is written into the empty place below the mount.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from orchestrator.store.patience import Patience
from trainer.files import Folder

T = TypeVar("T")


class Waits:
    """The patience with one store, for reading and for changing it.

    Args:
        longest_s: so long it may refuse either in a row.
        must_leave: whether this process has been asked to; then it waits briefly.
    """

    def __init__(self, longest_s: float, must_leave: Callable[[], bool] = lambda: False) -> None:
        self.read = Patience(longest_s, must_leave)
        self.change = Patience(longest_s, must_leave)


class PatientFolder:
    """A folder, and all folders in it.

    Args:
        folder: what is tried.
        waits: how long.
        home: is there as long as the store is; None: the store may still have to be made.
    """

    def __init__(self, folder: Folder, waits: Waits, home: Path | None = None) -> None:
        self._folder = folder
        self._waits = waits
        self._home = home

    @property
    def address(self) -> str:
        return self._folder.address

    @property
    def path(self) -> Path | None:
        return self._folder.path

    def names(self) -> list[str]:
        return self._waits.read(lambda: self._listed(self._folder.names))

    def folders(self) -> list[str]:
        return self._waits.read(lambda: self._listed(self._folder.folders))

    def folder(self, name: str) -> "PatientFolder":
        return PatientFolder(self._folder.folder(name), self._waits, self._home)

    def read(self, name: str) -> bytes:
        return self._waits.read(lambda: self._found(lambda: self._folder.read(name)))

    def size(self, name: str) -> int:
        return self._waits.read(lambda: self._found(lambda: self._folder.size(name)))

    def write(self, name: str, content: bytes) -> None:
        self._change(lambda: self._folder.write(name, content))

    def remove(self, name: str) -> None:
        self._change(lambda: self._folder.remove(name))

    def tidy(self) -> None:
        self._change(self._folder.tidy)

    def free_bytes(self) -> int | None:
        return self._waits.read(self._folder.free_bytes)

    def _listed(self, entries: Callable[[], list[str]]) -> list[str]:
        listed = entries()
        if not listed:
            self.check_home()
        return listed

    def _found(self, look: Callable[[], T]) -> T:
        try:
            return look()
        except FileNotFoundError:
            self.check_home()
            raise

    def _change(self, act: Callable[[], None]) -> None:
        def at_home() -> None:
            self.check_home()
            act()

        self._waits.change(at_home)

    def patiently(self, act: Callable[[], None]) -> None:
        """Change something in this folder in another way, tried again as all else is."""
        self._change(act)

    def check_home(self) -> None:
        """Raises `OSError` where the store is known to have been made, and is not there now."""
        if self._home is not None and not self._home.is_dir():
            raise OSError(
                errno.ESTALE, f"{os.strerror(errno.ENOENT)}; is it mounted?", str(self._home)
            )
