"""Where a store is: from what the user writes to a folder that can be written to.

open_folder("kdsweep-store")                 a folder of the file system, also a shared one (NFS)
open_folder("file:///mnt/shared/store")      the same
open_folder("s3://bucket/store")             an object store (`orchestrator.store.s3`)
open_folder("gs://bucket/store")             the same (`orchestrator.store.gcs`)
open_folder("abfss://container@account.dfs.core.windows.net/store")     (`orchestrator.store.azure`)
open_folder("memory://name/store")           this process's memory, for tests of the store
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from orchestrator.store.azure import open_azure
from orchestrator.store.buckets import BucketAddress
from orchestrator.store.gcs import open_gcs
from orchestrator.store.object_folder import ObjectFolder
from orchestrator.store.requests import THOROUGH, Effort
from orchestrator.store.s3 import open_s3
from trainer.files import Folder, LocalFolder
from trainer.problems import UserError, did_you_mean

if TYPE_CHECKING:
    from obstore.store import MemoryStore

SCHEMES = ("file", "memory", "s3", "gs", "abfs", "abfss")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

_MEMORY: dict[str, "MemoryStore"] = {}
"""By name, as long as this process lives."""


def open_folder(address: str, effort: Effort = THOROUGH) -> Folder:
    """The folder at a path or address; of an object store nothing is asked yet.

    Args:
        address: as a user writes it.
        effort: how often an object store is tried, and how long its silence is borne.

    Raises:
        UserError: it is a file, the kind of address is unknown, there are credentials in it, or an option that
            this kind does not have.
    """
    scheme = _ADDRESS.match(address)
    if scheme is None:
        return _local(Path(address))
    match scheme[1]:
        case "file":
            return _local(Path(unquote(urlsplit(address).path)))
        case "memory":
            return _in_memory(BucketAddress.parse(address))
        case "s3":
            return open_s3(BucketAddress.parse(address), effort)
        case "gs":
            return open_gcs(BucketAddress.parse(address), effort)
        case "abfs" | "abfss":
            return open_azure(BucketAddress.parse(address), effort)
        case other:
            raise UserError(f"{address}: unknown kind of address{did_you_mean(other, SCHEMES)}")


def is_remote(place: str) -> bool:
    """Whether a place is in an object store, and no path of a file system."""
    scheme = _ADDRESS.match(place)
    return scheme is not None and scheme[1] not in ("file", "memory")


def open_bucket_folder(address: str) -> ObjectFolder:
    """The folder at an address of an object store; nothing is asked yet.

    Raises:
        UserError: as `open_folder`, or it is in no object store.
    """
    folder = open_folder(address)
    if not isinstance(folder, ObjectFolder):
        raise UserError(f"{address}: expected an address such as s3://bucket/folder")
    return folder


def is_memory(address: str) -> bool:
    """Whether no other process can see what is written there."""
    return address.startswith("memory://")


def _local(path: Path) -> LocalFolder:
    absolute = path.expanduser().absolute()
    if absolute.exists() and not absolute.is_dir():
        raise UserError(f"{path}: a file; a store is a folder")
    return LocalFolder(absolute)


def _in_memory(address: BucketAddress) -> ObjectFolder:
    from obstore.store import MemoryStore

    store = _MEMORY.setdefault(address.bucket, MemoryStore())
    return ObjectFolder(store, address.path, address.text, "nothing")
