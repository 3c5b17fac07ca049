"""Small JSON files by name, in one folder of a store: signs of life, marks, resolved sweeps."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from trainer.files import Folder
from trainer.problems import UserError

ENDING = ".json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

T = TypeVar("T")


def to_json(content: Mapping[str, Any]) -> bytes:
    """As all files of a store are written."""
    return json.dumps(content, indent=1).encode()


class JsonFiles:
    """The JSON files of a folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """The names of all files, without their ending."""
        return [n.removesuffix(ENDING) for n in self._folder.names() if n.endswith(ENDING)]

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file, atomically.

        Raises:
            UserError: this cannot be the name of one.
        """
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r}: not a name for a file of a store")
        self._folder.write(name + ENDING, to_json(content))

    def text(self, name: str) -> bytes:
        """A file's content as it is. Raises `FileNotFoundError`."""
        return self._folder.read(name + ENDING)

    def read(self, name: str, kind: type[T]) -> T | None:
        """A file's content as a `kind`; None where there is no such file, or not a whole one.

        Raises:
            OSError: it cannot be read now: nothing is known of it.
        """
        try:
            return TypeAdapter(kind).validate_json(self.text(name))
        except (FileNotFoundError, ValueError):
            return None

    def exists(self, name: str) -> bool:
        try:
            self.text(name)
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._folder.remove(name + ENDING)

    def tidy(self) -> None:
        """As `Folder.tidy`."""
        self._folder.tidy()
