"""Which rows of a table were dropped: remembered for ever, so that none comes back.

    _dropped/HEXADECIMAL.0123456789abcdef.json     pairs of a fingerprint and an origin; a digest in the name

The problem. A compaction has read a row that is dropped a moment later, and then writes it again: the row is
back. A lock would need clocks, to tell a dead holder from a slow one.

The rule. Each row has an origin, drawn when it is first written, which every compaction hands on. A drop
takes down the origins that it sees. A row whose origin was taken down is no row, wherever it turns up; the
same trial written again has another origin, so it counts. Nothing depends on whose clock is right or on who
is first. (In the literature: an observed-remove set.)

The price is about 90 bytes for each row that was ever dropped: a compaction that read it before may end at
any time after.
"""

import json
import uuid
from collections.abc import Collection, Iterable

from pydantic import TypeAdapter, ValidationError

from orchestrator.store.names import DIGITS, short_digest
from trainer.files import Folder
from trainer.problems import PlacedError

SUFFIX = ".json"
FOLDER = "_dropped"
"""Readers of Parquet folders skip what begins so."""

Drop = tuple[str, str]
"""Of a row: its fingerprint and its origin."""

_DROPS = TypeAdapter(list[Drop])


def new_origin() -> str:
    """Of rows that are written now. Only origins of one fingerprint must differ."""
    return uuid.uuid4().hex[:DIGITS]


class Drops:
    """What was dropped of one table, in files that are only ever added or merged."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        return [name for name in self.folder.names() if name.endswith(SUFFIX)]

    def add(self, drops: Iterable[Drop]) -> None:
        """From now on these rows are none."""
        content = json.dumps(sorted(drops)).encode()
        self.folder.write(f"{uuid.uuid4().hex}.{short_digest(content)}{SUFFIX}", content)

    def read(self, names: Collection[str]) -> frozenset[Drop]:
        """What some files hold.

        Raises:
            PlacedError: one is damaged.
            FileNotFoundError: one is gone.
        """
        return frozenset[Drop]().union(*map(self.check, names))

    def check(self, name: str) -> frozenset[Drop]:
        """The same of one file."""
        content, where = self.folder.read(name), f"{self.folder.address}/{name}"
        if name.removesuffix(SUFFIX).rpartition(".")[2] != short_digest(content):
            raise PlacedError(where, "damaged: its bytes do not match the digest in its name")
        try:
            return frozenset(_DROPS.validate_json(content))
        except ValidationError as error:
            raise PlacedError(where, f"not a list of dropped rows: {error}") from error

    def remove(self, names: Iterable[str]) -> None:
        """Remove files whose content is in another one."""
        for name in names:
            self.folder.remove(name)
