"""What lies in an object store, as files of this node: fetched once, by one process at a time, resumed where broken.

    CACHE/fetched/KEY/files/...        as they lie below the address
    CACHE/fetched/KEY/fetched.jsonl    of which version each file is, a line each; the last one counts
    CACHE/fetched/KEY/parts/           what has come so far of files that are on their way

A file appears when it is whole. What is there of the version that the store has now is not asked for again; another
version is noticed by its length and tag.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path, PurePosixPath

from orchestrator.store.addresses import open_bucket_folder
from orchestrator.store.arriving import Arriving
from orchestrator.store.object_folder import ObjectFolder, Version
from trainer.datasets.cache import (
    alone,
    cache_is_writable,
    cache_root,
    make_shared,
    mode_of_files,
)
from trainer.datasets.errors import DataError

PART_BYTES = 16 << 20
"""So much is asked for at once; what has come of a file is kept in whole parts."""

AT_ONCE = 16
"""So many files: most are small, and the way is long."""

FILES, PARTS, JOURNAL = "files", "parts", "fetched.jsonl"


def listed(address: str, name: str = "") -> dict[str, Version]:
    """A file of a folder in an object store, or all files below `name`, by their paths below the address.

    Raises:
        DataError: it cannot be asked, or holds what cannot be a file here.
        UserError: the address is wrong.
    """
    try:
        versions = open_bucket_folder(address).versions(name)
    except OSError as error:
        raise DataError(str(error)) from error
    for path in versions:
        if {"", ".", ".."} & set(path.split("/")) or "\0" in path:
            raise DataError(f"{address}: {path!r} is no name that a file can have")
    return versions


def listed_images(address: str) -> dict[str, Version]:
    """All files of a folder of images.

    Raises:
        DataError: as `listed`, or there are none.
    """
    if not (found := listed(address)):
        raise DataError(f"{address.partition('?')[0]}: there is nothing")
    return found


def folder_for(address: str) -> Path:
    """Where the files of a folder in an object store lie on this node, once they are fetched."""
    return cache_root() / "fetched" / hashlib.sha256(address.encode()).hexdigest()[:32] / FILES


def fetched(address: str, wanted: Mapping[str, Version], *, is_all: bool) -> Path:
    """The folder on this node that holds some files of an object store.

    Args:
        address: of the folder that they are in.
        wanted: their versions, by their paths below it.
        is_all: other files of it that were fetched once are gone there, and go here.

    Raises:
        DataError: they cannot be fetched, or not be written.
    """
    place = folder_for(address).parent
    with cache_is_writable(place):
        make_shared(place.parent)
    with alone(place):
        with cache_is_writable(place):
            for folder in (place, place / FILES, place / PARTS):
                make_shared(folder)
        here = _here(place)
        missing = {path: version for path, version in wanted.items() if here.get(path) != version}
        arriving = Arriving(address, [version.size for version in missing.values()])
        _fetch(open_bucket_folder(address), missing, place, arriving)
        if is_all:
            for path in here.keys() - wanted.keys():
                _remove(place / FILES, path)
    return place / FILES


def _remove(top: Path, path: str) -> None:
    """A file, and the folders that are empty without it."""
    (top / path).unlink()
    with suppress(OSError):
        for folder in (top / path).relative_to(top).parents[:-1]:
            (top / folder).rmdir()


def _here(place: Path) -> dict[str, Version]:
    """What has been fetched, as far as it lies there in its length."""
    try:
        lines = (place / JOURNAL).read_text().splitlines()
    except FileNotFoundError:
        return {}
    noted: dict[str, Version] = {}
    for line in lines:
        # The last line of a process that was killed may be half a one.
        with suppress(ValueError, TypeError):
            path, size, etag = json.loads(line)
            noted[path] = Version(size, etag)
    return {path: v for path, v in noted.items() if _size(place / FILES / path) == v.size}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _fetch(
    remote: ObjectFolder, missing: Mapping[str, Version], place: Path, arriving: Arriving
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        on_the_way = {
            pool.submit(_fetch_one, remote, path, version, place, arriving): (path, version)
            for path, version in missing.items()
        }
        try:
            for done in as_completed(on_the_way):
                done.result()
                path, version = on_the_way[done]
                with cache_is_writable(place), (place / JOURNAL).open("a") as journal:
                    # The line break first: the line before may have been cut off.
                    journal.write("\n" + json.dumps([path, *astuple(version)]))
        except BaseException:
            arriving.give_up()
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(
    remote: ObjectFolder, path: str, version: Version, place: Path, arriving: Arriving
) -> None:
    """Fetch one file; what came of the same version before, and was cut off, is gone on with."""
    key = hashlib.sha256(json.dumps([path, *astuple(version)]).encode()).hexdigest()[:32]
    part, whole = place / PARTS / key, place / FILES / PurePosixPath(path)
    with cache_is_writable(part):
        for folder in reversed(whole.relative_to(place / FILES).parents):
            make_shared(place / FILES / folder)
        part.touch()
        part.chmod(mode_of_files(place))
    arriving.came(part.stat().st_size)
    while (start := part.stat().st_size) < version.size:
        if arriving.is_given_up:
            return
        end = min(start + PART_BYTES, version.size)
        try:
            content = remote.part(path, start, end, version)
        except OSError as error:
            raise DataError(str(error)) from error
        with cache_is_writable(part), part.open("ab") as file:
            file.write(content)
        arriving.came(len(content))
    with cache_is_writable(whole):
        part.replace(whole)
