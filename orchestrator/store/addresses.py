"""Where a store is: from what the user writes to a folder that can be written to.

    open_folder("kdsweep-store")                 a folder of the file system, also a shared one (NFS)
    open_folder("file:///mnt/shared/store")      the same
    open_folder("s3://bucket/store")             an object store
    open_folder("memory://name/store")           this process's memory, for tests of the store

An object appears whole or not at all when its upload is completed, so one upload is one atomic write.
Credentials come from the environment, never from the address: addresses are printed and kept.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from trainer.files import Folder, LocalFolder
from trainer.problems import UserError, did_you_mean

OBJECT_STORES = ("s3", "gs", "abfs")
SCHEMES = ("file", "memory", *OBJECT_STORES)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_folder(address: str) -> Folder:
    """The folder at a path or address.

    Raises:
        UserError: it is a file, the kind of address is unknown, or there are credentials in it.
    """
    scheme = _ADDRESS.match(address)
    if scheme is None:
        return _local(Path(address))
    if scheme[1] not in SCHEMES:
        raise UserError(f"{address}: unknown kind of address{did_you_mean(scheme[1], SCHEMES)}")
    parts = urlsplit(address)
    if scheme[1] == "file":
        return _local(Path(unquote(parts.path)))
    if not parts.netloc:
        raise UserError(f"{address}: expected a bucket, as in {scheme[1]}://bucket/store")
    if parts.username or parts.password:
        raise UserError(
            f"{scheme[1]}://***@{parts.hostname}{parts.path}: no credentials in an address; "
            "they belong into the environment (AWS_ACCESS_KEY_ID, ...)"
        )
    return _object_store(scheme[1], address)


def is_memory(address: str) -> bool:
    """Whether no other process can see what is written there."""
    return address.startswith("memory://")


def _local(path: Path) -> LocalFolder:
    absolute = path.expanduser().absolute()
    if absolute.exists() and not absolute.is_dir():
        raise UserError(f"{path}: a file; a store is a folder")
    return LocalFolder(absolute)


def _object_store(scheme: str, address: str) -> "ObjectFolder":
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    if scheme == "memory":
        import fsspec

        system = PyFileSystem(FSSpecHandler(fsspec.filesystem("memory")))
        return ObjectFolder(system, address.removeprefix("memory://").rstrip("/"), address)
    try:
        system, path = FileSystem.from_uri(address)
    except (ArrowException, OSError, ValueError) as error:
        raise UserError(f"{address}: {error}") from error
    return ObjectFolder(system, path.rstrip("/"), address)


class ObjectFolder:
    """A folder of an object store, through pyarrow."""

    def __init__(self, system: Any, path: str, address: str) -> None:
        self._system = system
        self._path = path
        self.address = address

    def _entries(self, *, folders: bool) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        wanted = FileType.Directory if folders else FileType.File
        selector = FileSelector(self._path, allow_not_found=True)
        infos = self._system.get_file_info(selector)
        return sorted(i.base_name for i in infos if i.type == wanted and i.base_name)

    def names(self) -> list[str]:
        return self._entries(folders=False)

    def folders(self) -> list[str]:
        return self._entries(folders=True)

    def folder(self, name: str) -> "ObjectFolder":
        base, query, options = self.address.partition("?")
        address = f"{base.rstrip('/')}/{name}{query}{options}"
        return ObjectFolder(self._system, f"{self._path}/{name}", address)

    def read(self, name: str) -> bytes:
        with self._system.open_input_stream(f"{self._path}/{name}") as stream:
            return bytes(stream.read())

    def size(self, name: str) -> int:
        from pyarrow.fs import FileType

        info = self._system.get_file_info(f"{self._path}/{name}")
        if info.type != FileType.File:
            raise FileNotFoundError(f"{self.address}/{name}")
        return int(info.size)

    def write(self, name: str, content: bytes) -> None:
        with self._system.open_output_stream(f"{self._path}/{name}") as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        try:
            self._system.delete_file(f"{self._path}/{name}")
        except FileNotFoundError:
            return

    def tidy(self) -> None:
        """Nothing: an upload that was cut off is no object, and there are no empty folders."""

    def free_bytes(self) -> None:
        return None
