"""Where a trial's data are on this node: in a folder that it sees, or fetched from an object store into its cache.

The trainer reads local paths only. What is decoded already needs no fetching, and no question to the store.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from orchestrator.store.addresses import is_remote
from orchestrator.store.fetched import fetched, folder_for, listed, listed_images
from orchestrator.store.object_folder import Version
from trainer.datasets.cache import is_cached
from trainer.datasets.errors import DataError
from trainer.datasets.official import ARCHIVES, FASHION_FOLDERS
from trainer.datasets.source import EMBEDDED
from trainer.trial import Data


def here(data: Data, place: str) -> tuple[Data, Path]:
    """Data as the trainer finds them on this node, and the data folder.

    Args:
        data: what a trial names; images of one's own may be at an address.
        place: the data folder, or its address.

    Raises:
        DataError: they cannot be fetched, or are not the official ones.
    """
    data_folder = folder_of(place)
    is_here = data.name == EMBEDDED or is_cached(data.checksum)
    if data.path is not None and is_remote(data.path):
        if not is_here:
            fetched(data.path, listed_images(data.path), is_all=True)
        data = data.model_copy(update={"path": str(folder_for(data.path))})
    elif data.path is None and is_remote(place) and not is_here:
        fetched(place, _official(data.name, place), is_all=False)
        _verify(data.name, data_folder, place)
    return data, data_folder


def folder_of(place: str) -> Path:
    """The data folder as the trainer sees it on this node; of an address, it may have to be fetched before."""
    return folder_for(place) if is_remote(place) else Path(place)


def announced(all_data: Iterable[Data], place: str) -> list[str]:
    """A line for each data set that a node without it will fetch, with its size.

    Raises:
        DataError: there is none at the address, or it cannot be asked.
    """
    lines = []
    for data in dict.fromkeys(all_data):
        if data.path is not None and is_remote(data.path):
            where, versions = data.path, listed_images(data.path)
        elif data.path is None and data.name != EMBEDDED and is_remote(place):
            where, versions = place, _official(data.name, place)
        else:
            continue
        size = sum(version.size for version in versions.values())
        files = "1 file" if len(versions) == 1 else f"{len(versions):,} files"
        lines.append(
            f"{data.name}: each node without it fetches {files}, {size / 1e6:,.1f} MB, "
            f"from {where.partition('?')[0]}"
        )
    return lines


def _official(name: str, place: str) -> dict[str, Version]:
    """The files of an official data set at an address: its archive, else those that would be in it."""
    tried = _looked_for(name)
    for candidate in tried:
        if found := listed(place, candidate):
            return found
    raise DataError(f"{place.partition('?')[0]}: {name}: expected {' or '.join(tried)} there")


def _looked_for(name: str) -> tuple[str, ...]:
    """Names in the data folder. Of an unpacked tiny-imagenet-200 no checksums are known: it would be fetched for ever."""
    if name not in ARCHIVES:
        return FASHION_FOLDERS
    archive = ARCHIVES[name]
    return (archive.file, archive.folder) if archive.members else (archive.file,)


def _verify(name: str, folder: Path, place: str) -> None:
    """An archive that is not the official one is not kept, so that it is fetched again."""
    archive = ARCHIVES.get(name)
    if archive is None or not (folder / archive.file).is_file():
        return
    with (folder / archive.file).open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    if digest != archive.md5:
        (folder / archive.file).unlink()
        raise DataError(
            f"{place.partition('?')[0].rstrip('/')}/{archive.file}: damaged, or not the official file: its MD5 is "
            f"{digest}, expected {archive.md5}"
        )
