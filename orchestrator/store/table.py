"""A table made of many small Parquet files, and its compaction.

    table = ParquetTable(folder, RESULTS, key=("fingerprint",), newest_by="finished_at")
    table.add(fingerprint, [row])      # one small file, named by its rows
    table.read()                       # the rows of all files, each key once
    table.compact()                    # many files become one; readers and writers go on

    merged-FINGERPRINT.0123456789abcdef.parquet     the rows of one trial
    merged-HEXADECIMAL.0123456789abcdef.parquet     a compaction's

Bits. A file's name carries 16 digits of the SHA-256 of its bytes, and every reader compares them before it
decodes: so no flipped bit is ever read as another value. Files of older names have none; a compaction
rewrites them. (Why `merged-` everywhere: an older kdsweep, which knows a trial's file by its bare fingerprint,
must look into it, where it finds a newer schema and says so.)

The rule. A row is in one or more files at any moment. A compaction writes a merged file, reads it back,
then changes `_generation`, and only then removes the files it has merged: killed anywhere, it leaves rows
twice, never none. Two compactions at once do no harm either: each removes only what its own file holds.

A reader takes the generation, lists the folder, and takes the generation again. A listing is not one
moment, so it can miss a row in one file because it is removed already, and in the other because it did not
exist yet; but then the generation has changed in between, and the reader starts over. It also starts over
where a listed file is gone.
"""

import io
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.store.columns import conform
from orchestrator.store.names import DIGITS, is_fingerprint, short_digest
from trainer.files import Folder
from trainer.problems import PlacedError

GENERATION = "_generation"
PREFIX, SUFFIX = "merged-", ".parquet"
_NAME = re.compile(rf"{PREFIX}(?P<stem>[^.]+)\.(?P<digest>[0-9a-f]{{{DIGITS}}}){re.escape(SUFFIX)}")
PARALLEL_READS = 16
PHANTOM_LOOKS, BETWEEN_LOOKS_S = 20, 0.05
"""A file that is listed so often without being there, while nobody rewrites, will not come."""

MANY = 64
"""From so many files on, fetching them side by side is worth its threads."""

BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, KeyError, MemoryError)
"""What decoding damaged bytes has been seen to raise."""

T = TypeVar("T")


def fingerprint_in(name: str) -> str | None:
    """The fingerprint of all rows of a file, as its name tells; None for a file of many trials."""
    match = _NAME.fullmatch(name)
    stem = match["stem"] if match else name.removesuffix(SUFFIX)
    named = stem.partition("-")[0]
    return named if is_fingerprint(named) else None


@dataclass(frozen=True)
class Rewriting:
    """What a compaction did: how many files held how many rows, before and after."""

    files_before: int
    files_after: int
    rows: int


class ParquetTable:
    """Rows of one schema under one folder.

    Args:
        folder: where the files are.
        schema: what they hold.
        key: columns that tell rows apart; rows with equal keys are one row.
        newest_by: which of them counts: the one where this column is largest.
    """

    def __init__(
        self, folder: Folder, schema: pa.Schema, key: Sequence[str], newest_by: str
    ) -> None:
        self.folder = folder
        self.schema = schema
        self._key = tuple(key)
        self._newest_by = newest_by

    def add(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows as one file; what is not a number becomes null.

        `name` is the fingerprint of all of them; what follows behind a hyphen tells several files apart.
        """
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        self._write(name, _without_nan(table))

    def read(
        self, only: Collection[str] | None = None, columns: Collection[str] | None = None
    ) -> pa.Table:
        """All rows, or those of some fingerprints; each key once, sorted by key.

        Args:
            only: the fingerprints that are wanted; None: all.
            columns: those that are wanted, in this order; None: all. Fewer are quicker.

        Raises:
            UserError: a file is damaged or of a newer schema.
        """
        return self._steady(lambda names: self._rows(names, only, columns))

    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all rows."""
        return self._steady(self._fingerprints)

    def files(self) -> list[str]:
        """The names of all files that hold rows."""
        return [name for name in self.folder.names() if name.endswith(SUFFIX)]

    def examine(self, look: Callable[[list[str]], T]) -> T:
        """What `look` makes of the names of all files; once more where a compaction came in between."""
        return self._steady(look)

    def compact(self) -> Rewriting:
        """Merge all files into one."""
        return self._rewrite(lambda table: table, at_least=2)

    def drop(self, fingerprints: Collection[str]) -> Rewriting:
        """Take out all rows of some fingerprints."""
        dropped = pa.array(sorted(fingerprints), pa.string())

        def kept(table: pa.Table) -> pa.Table:
            return table.filter(pc.invert(pc.is_in(table["fingerprint"], dropped)))

        return self._rewrite(kept, at_least=1)

    def check(self, name: str, columns: Collection[str] | None = None) -> pa.Table:
        """The rows of one file, with all columns or some.

        Raises:
            NewerSchemaError: it is of a newer schema.
            PlacedError: it is damaged.
            FileNotFoundError: it is gone.
        """
        return self._decode(name, self.folder.read(name), self._part(columns))

    def _part(self, columns: Collection[str] | None) -> pa.Schema:
        """The schema, or some of its columns."""
        if columns is None:
            return self.schema
        fields = [field for field in self.schema if field.name in columns]
        return pa.schema(fields, metadata=self.schema.metadata)

    def _decode(self, name: str, content: bytes, schema: pa.Schema) -> pa.Table:
        where = f"{self.folder.address}/{name}"
        match = _NAME.fullmatch(name)
        if match and match["digest"] != short_digest(content):
            raise PlacedError(where, "damaged: its bytes do not match the digest in its name")
        try:
            file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)
            table = file.read(schema.names, use_threads=False)
            if match is None:
                table.to_pylist()  # the only way to find a value that Python cannot hold
        except BROKEN as error:
            raise PlacedError(where, f"not a readable Parquet file: {error}") from error
        return conform(table, schema, where)

    def _rewrite(self, change: Callable[[pa.Table], pa.Table], at_least: int) -> Rewriting:
        while True:
            before = self._generation()
            names, rows = self._steady(lambda names: (names, self._rows(names, None, None)))
            if len(names) < at_least:
                return Rewriting(len(names), len(names), rows.num_rows)
            changed = change(rows)
            if (rewriting := self._merge(before, names, changed)) is not None:
                return rewriting

    def _merge(self, before: bytes, names: Sequence[str], changed: pa.Table) -> Rewriting | None:
        """Put one file in place of others; None where another rewriting came first, as it may have dropped rows."""
        # In this order: the rows are in the merged file before the generation tells readers to look anew, and
        # the old files go only after that. Whoever is killed in between leaves rows twice, never none.
        merged = ""
        if changed.num_rows:
            changed = _without_nan(changed)
            merged = self._write(uuid.uuid4().hex, changed)
            try:
                written = self.check(merged)
            except FileNotFoundError:
                return None
            if not written.equals(changed):
                raise OSError(f"{self.folder.address}/{merged}: not what was written")
        # Another rewriting has come first: it may have dropped rows that this file would bring back.
        if self._generation() != before:
            if merged:
                self.folder.remove(merged)
            return None
        self.folder.write(GENERATION, uuid.uuid4().hex.encode())
        for name in names:
            self.folder.remove(name)
        return Rewriting(len(names), 1 if changed.num_rows else 0, changed.num_rows)

    def _steady(self, look: Callable[[list[str]], T]) -> T:
        """What `look` makes of the files, all of one generation."""
        phantoms = 0
        while True:
            before = self._generation()
            names = self.files()
            if self._generation() != before:
                continue
            try:
                return look(names)
            except FileNotFoundError as error:
                phantoms = phantoms + 1 if self._generation() == before else 0
                if phantoms == PHANTOM_LOOKS:
                    where = error.filename or self.folder.address
                    raise PlacedError(where, "listed, but not there: a dead link?") from error
                time.sleep(BETWEEN_LOOKS_S)

    def _generation(self) -> bytes:
        try:
            return self.folder.read(GENERATION)
        except FileNotFoundError:
            return b""

    def _rows(
        self,
        names: Sequence[str],
        only: Collection[str] | None,
        columns: Collection[str] | None,
    ) -> pa.Table:
        if only is not None:
            names = [n for n in names if (fp := fingerprint_in(n)) is None or fp in only]
        needed = None if columns is None else {*columns, *self._key, self._newest_by, "fingerprint"}
        schema = self._part(needed)
        tables = [self._decode(name, raw, schema) for name, raw in self._contents(names)]
        table = pa.concat_tables(tables) if tables else schema.empty_table()
        if only is not None:
            table = table.filter(pc.is_in(table["fingerprint"], pa.array(only, pa.string())))
        table = self._each_key_once(table)
        return table if columns is None else table.select(list(columns))

    def _contents(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of files. Many of an object store are fetched side by side; decoding gains nothing by it."""
        if len(names) < MANY or self.folder.path is not None:
            yield from ((name, self.folder.read(name)) for name in names)
            return
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            yield from zip(names, pool.map(self.folder.read, names), strict=True)

    def _each_key_once(self, table: pa.Table) -> pa.Table:
        """Sorted by key; of equal keys the newest. The order of files does not matter."""
        is_known = pc.is_valid(table[self._newest_by])
        # Nulls sort last, where the newest would be: so whether it is known comes before what it is.
        columns = {**{name: table[name] for name in self._key}, "is_known": is_known}
        columns[self._newest_by] = table[self._newest_by]
        order = [(name, "ascending") for name in columns]
        table = table.take(pc.sort_indices(pa.table(columns), sort_keys=order))
        keys = zip(*(table[name].to_pylist() for name in self._key), strict=True)
        last = {key: index for index, key in enumerate(keys)}
        if len(last) == table.num_rows:
            return table.combine_chunks()
        return table.take(pa.array(last.values(), pa.int64())).combine_chunks()

    def _fingerprints(self, names: Sequence[str]) -> frozenset[str]:
        told = {name: fingerprint_in(name) for name in names}
        alone = {fingerprint for fingerprint in told.values() if fingerprint is not None}
        tables = [self.check(n, ("fingerprint",)) for n, known in told.items() if known is None]
        return frozenset(alone.union(*(table["fingerprint"].to_pylist() for table in tables)))

    def _write(self, stem: str, table: pa.Table) -> str:
        """Write a file; returns its name."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        content = buffer.getvalue()
        name = f"{PREFIX}{stem}.{short_digest(content)}{SUFFIX}"
        self.folder.write(name, content)
        return name


def _without_nan(table: pa.Table) -> pa.Table:
    """The same rows, with null for what is not a number: NaN equals nothing, not even itself."""
    for index, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table[field.name]
            known = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            table = table.set_column(index, field, known)
    return table
