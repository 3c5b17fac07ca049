"""A folder of an object store.

An object appears whole or not at all: a small file is one request, and a large one, sent in parts, is not there
before its last part is. A listing asks for what is directly below a folder and nothing deeper.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from orchestrator.store.requests import THOROUGH, Effort, ShortAnswerError, ask

if TYPE_CHECKING:
    from obstore import ListResult, ObjectMeta
    from obstore.store import ObjectStore

LARGE_BYTES = 64 << 20
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 4
"""A file larger than the first is sent in parts: each is tried again by itself."""

LOOKS, BETWEEN_LOOKS_S = 3, 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """What tells one content of an object from another: its length in bytes, and its tag where the store gives one."""

    size: int
    etag: str | None


class ChangedError(OSError):
    """An object is another one than it was a moment ago."""


class ObjectFolder:
    """A folder of an object store, through obstore.

    Args:
        store: obstore's, of one bucket.
        path: where the folder is in the bucket; empty: the bucket itself.
        address: by which any process finds it.
        settings: what a user may have to set for such a store; errors name it.
        effort: how often each request is tried.
    """

    path: None = None
    """In no file system."""

    def __init__(
        self,
        store: "ObjectStore",
        path: str,
        address: str,
        settings: str,
        effort: Effort = THOROUGH,
    ) -> None:
        self._store = store
        self._path = path
        self._settings = settings
        self._effort = effort
        self.address = address

    def names(self) -> list[str]:
        return self._below(found["path"] for found in self._listed()["objects"])

    def folders(self) -> list[str]:
        return self._below(self._listed()["common_prefixes"])

    def _listed(self) -> "ListResult[Sequence[ObjectMeta]]":
        from obstore import list_with_delimiter

        prefix = self._path or None
        try:
            return ask(
                self.address,
                self._settings,
                lambda: list_with_delimiter(self._store, prefix),
                self._effort,
            )
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def _no_bucket(self) -> OSError:
        return OSError(f"{self.address}: no such bucket or container; kdsweep makes none")

    def _below(self, paths: Iterable[str]) -> list[str]:
        """The last parts of paths; without the empty object that some tools put in the place of a folder."""
        inside = f"{self._path}/" if self._path else ""
        return sorted(path.removeprefix(inside) for path in paths if path.startswith(inside))

    def folder(self, name: str) -> "ObjectFolder":
        base, query, options = self.address.partition("?")
        address = f"{base.rstrip('/')}/{name}{query}{options}"
        return ObjectFolder(self._store, self._path_of(name), address, self._settings, self._effort)

    def _path_of(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name

    def read(self, name: str) -> bytes:
        path = self._path_of(name)
        return _looked_at_again(lambda: self._ask(name, lambda: _whole(self._store, path)))

    def size(self, name: str) -> int:
        from obstore import head

        path = self._path_of(name)
        return _looked_at_again(
            lambda: self._ask(name, lambda: int(head(self._store, path)["size"]))
        )

    def versions(self, name: str) -> dict[str, Version]:
        """The file `name`, else all files below the folder `name` (empty: below this one), by their paths from here.

        Raises:
            OSError: the store cannot be asked, or an object has a name that no file can have.
        """
        if name:
            try:
                return {name: self._version(name)}
            except FileNotFoundError:
                pass
        from obstore import list as list_below

        prefix = self._path_of(name) if name else self._path or None
        found: Sequence[ObjectMeta] = ask(
            self.address,
            self._settings,
            lambda: list_below(self._store, prefix).collect(),
            self._effort,
        )
        inside = f"{self._path}/" if self._path else ""
        by_name = {meta["path"].removeprefix(inside): _version_of(meta) for meta in found}
        return {path: version for path, version in by_name.items() if not path.endswith("/")}

    def _version(self, name: str) -> Version:
        from obstore import head

        return self._ask(name, lambda: _version_of(head(self._store, self._path_of(name))))

    def part(self, name: str, start: int, end: int, version: Version) -> bytes:
        """The bytes from `start` to before `end` of one version of a file.

        Raises:
            ChangedError: the file is another one by now.
        """
        from obstore import get
        from obstore.exceptions import PreconditionError

        path = self._path_of(name)

        def get_part() -> bytes | None:
            try:
                answer = get(
                    self._store,
                    path,
                    options={"range": (start, end), "if_match": version.etag},
                )
            except PreconditionError:
                return None
            content = bytes(answer.bytes())
            if answer.meta["size"] != version.size:
                return None
            if len(content) != end - start:
                raise ShortAnswerError(f"{len(content)} bytes of {end - start}")
            return content

        content = self._ask(name, get_part)
        if content is None:
            raise ChangedError(f"{self.address}: {name} was changed while it was read")
        return content

    def _ask(self, name: str, request: Callable[[], T]) -> T:
        where = f"{self.address.partition('?')[0].rstrip('/')}/{name}"
        return ask(where, self._settings, request, self._effort)

    def write(self, name: str, content: bytes) -> None:
        from obstore import put

        def put_whole() -> None:
            put(
                self._store,
                self._path_of(name),
                content,
                use_multipart=len(content) > LARGE_BYTES,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

        try:
            self._ask(name, put_whole)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def remove(self, name: str) -> None:
        from obstore import delete

        try:
            self._ask(name, lambda: delete(self._store, self._path_of(name)))
        except FileNotFoundError:
            return

    def tidy(self) -> None:
        """Nothing: an upload that was cut off is no object, and there are no empty folders."""

    def free_bytes(self) -> None:
        return None


def _version_of(meta: "ObjectMeta") -> Version:
    return Version(int(meta["size"]), meta["e_tag"])


def _whole(store: "ObjectStore", path: str) -> bytes:
    """An object, counted: obstore goes on where an answer was cut off, but believes that what comes then is the rest."""
    from obstore import get

    answer = get(store, path)
    content = bytes(answer.bytes())
    if len(content) != answer.meta["size"]:
        raise ShortAnswerError(f"{len(content)} bytes of {answer.meta['size']}")
    return content


def _looked_at_again(look: Callable[[], T]) -> T:
    """Nothing where something must be, as nobody writes empty files here, is believed of several looks alone."""
    for _ in range(LOOKS - 1):
        if found := look():
            return found
        time.sleep(BETWEEN_LOOKS_S)
    return look()
