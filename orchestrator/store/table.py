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
twice, never none. Two compactions at once do no harm either: each removes only what its own file holds. What
is dropped meanwhile stays dropped (`orchestrator.store.drops`): for that, each row has an origin, in a column
that only these files have. Of files that are older than that, it is what their name tells them apart by.

Of rows with one key the newest counts, for readers: a compaction keeps those of all origins, as a drop that has
seen one of them may not know of the other. Which is newest is the word of the writers' clocks, but nothing true
hangs on it: a trial that was computed twice has equal bits, and what was dropped is no row. Where clocks say
the same, the origin decides, so that a curve is always of one run.

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
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.store import drops
from orchestrator.store.columns import conform
from orchestrator.store.drops import Drop, Drops, new_origin
from orchestrator.store.names import DIGITS, is_fingerprint, short_digest
from trainer.files import Folder
from trainer.problems import PlacedError

GENERATION = "_generation"
ORIGIN = "_origin"
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
class Listing:
    """The names of a table's files at one moment: those that hold rows, and those that tell what was dropped."""

    names: tuple[str, ...]
    drops: tuple[str, ...]


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
        self.drops = Drops(folder.folder(drops.FOLDER))
        self._key = tuple(key)
        self._newest_by = newest_by

    def add(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows as one file; what is not a number becomes null.

        `name` is the fingerprint of all of them; what follows behind a hyphen tells several files apart.
        """
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        self._write(name, _with_origin(_without_nan(table), new_origin()))

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
        needed = None if columns is None else {*columns, *self._key, self._newest_by, "fingerprint"}
        rows = self._steady(lambda listing: self._each_key_once(self._rows(listing, only, needed)))
        return rows.select(self.schema.names if columns is None else list(columns))

    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all rows."""
        return self._steady(self._fingerprints)

    def files(self) -> list[str]:
        """The names of all files that hold rows."""
        return [name for name in self.folder.names() if name.endswith(SUFFIX)]

    def examine(self, look: Callable[[Listing], T]) -> T:
        """What `look` makes of the names of all files; once more where a compaction came in between."""
        return self._steady(look)

    def compact(self) -> Rewriting:
        """Merge all files into one."""
        return self._rewrite(at_least=2)

    def drop(self, fingerprints: Collection[str]) -> Rewriting:
        """Take out all rows of some fingerprints that are there now."""
        return self._take_out(self._there(fingerprints))

    def replace(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Put other rows, by fingerprint, in the place of all that are there now of those.

        Killed anywhere, the old rows are there, or the new, or both, of which the newest count.
        """
        before = self._there(rows.keys())
        for fingerprint, new in rows.items():
            self.add(fingerprint, new)
        self._take_out(before)

    def _there(self, fingerprints: Collection[str]) -> frozenset[Drop]:
        found = self._steady(lambda listing: self._rows(listing, fingerprints, {"fingerprint"}))
        columns = (found["fingerprint"].to_pylist(), found[ORIGIN].to_pylist())
        return frozenset(zip(*columns, strict=True))

    def _take_out(self, rows: Collection[Drop]) -> Rewriting:
        if not rows:
            num_files = len(self.files())
            return Rewriting(num_files, num_files, 0)
        # With this they are gone; that their bytes go too is tidiness.
        self.drops.add(rows)
        return self._rewrite(at_least=1)

    def origins(self) -> frozenset[Drop]:
        """The rows that are there now, by fingerprint and origin, as far as their files can be read."""
        return self._steady(self._readable_origins)

    def check(self, name: str, columns: Collection[str] | None = None) -> pa.Table:
        """The rows of one file and their origin, with all columns or some; also those that were dropped.

        Raises:
            NewerSchemaError: it is of a newer schema.
            PlacedError: it is damaged.
            FileNotFoundError: it is gone.
        """
        return self._decode(name, self.folder.read(name), self._part(columns))

    def as_read(self, tables: Iterable[pa.Table], dropped: Collection[Drop]) -> pa.Table:
        """What a reader sees of files that were checked: each key once, and nothing that was dropped."""
        empty = _with_origin(self.schema.empty_table(), "")
        rows = self._each_key_once(_without(pa.concat_tables([empty, *tables]), dropped))
        return rows.select(self.schema.names)

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
            table = file.read([*schema.names, ORIGIN], use_threads=False)
            if match is None:
                table.to_pylist()  # the only way to find a value that Python cannot hold
        except BROKEN as error:
            raise PlacedError(where, f"not a readable Parquet file: {error}") from error
        table = conform(table, schema.append(pa.field(ORIGIN, pa.string())), where)
        return _with_known_origin(table, match["digest"] if match else name)

    def _rewrite(self, at_least: int) -> Rewriting:
        while True:
            listing, rows, dropped = self._steady(self._everything)
            if len(listing.names) < at_least:
                return Rewriting(len(listing.names), len(listing.names), rows.num_rows)
            if (rewriting := self._merge(listing, rows, dropped)) is not None:
                return rewriting

    def _everything(self, listing: Listing) -> tuple[Listing, pa.Table, frozenset[Drop]]:
        # Of one key the rows of all origins: which counts is for readers to choose. A drop may just have seen only one.
        rows = self._each_once(self._rows(listing, None, None), (*self._key, ORIGIN))
        return listing, rows, self.drops.read(listing.drops)

    def _merge(
        self, listing: Listing, rows: pa.Table, dropped: frozenset[Drop]
    ) -> Rewriting | None:
        """Put one file in place of others; None where another compaction has merged that already."""
        # In this order: the rows are in the merged file before the generation tells readers to look anew, and
        # the old files go only after that. Whoever is killed in between leaves rows twice, never none.
        if rows.num_rows:
            rows = _without_nan(rows)
            merged = self._write(uuid.uuid4().hex, rows)
            try:
                written = self.check(merged)
            except FileNotFoundError:
                return None
            if not written.equals(rows):
                raise OSError(f"{self.folder.address}/{merged}: not what was written")
        merge_drops = len(listing.drops) > 1
        if merge_drops:
            self.drops.add(dropped)
        self.folder.write(GENERATION, uuid.uuid4().hex.encode())
        for name in listing.names:
            self.folder.remove(name)
        if merge_drops:
            self.drops.remove(listing.drops)
        return Rewriting(len(listing.names), 1 if rows.num_rows else 0, rows.num_rows)

    def _steady(self, look: Callable[[Listing], T]) -> T:
        """What `look` makes of the files, all of one generation."""
        phantoms = 0
        while True:
            before = self._generation()
            # In this order: whatever has been listed, a drop that came before it is listed, too.
            names = self.files()
            listing = Listing(tuple(names), tuple(self.drops.names()))
            if self._generation() != before:
                continue
            try:
                return look(listing)
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
        self, listing: Listing, only: Collection[str] | None, columns: Collection[str] | None
    ) -> pa.Table:
        """The rows of all files, or those of some fingerprints, with their origin; keys may be there twice."""
        names: Sequence[str] = listing.names
        if only is not None:
            names = [n for n in names if (fp := fingerprint_in(n)) is None or fp in only]
        schema = self._part(columns)
        tables = [self._decode(name, raw, schema) for name, raw in self._contents(names)]
        table = pa.concat_tables([_with_origin(schema.empty_table(), ""), *tables])
        if only is not None:
            table = table.filter(pc.is_in(table["fingerprint"], pa.array(only, pa.string())))
        return _without(table, self.drops.read(listing.drops))

    def _contents(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of files. Many of an object store are fetched side by side; decoding gains nothing by it."""
        if len(names) < MANY or self.folder.path is not None:
            yield from ((name, self.folder.read(name)) for name in names)
            return
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            yield from zip(names, pool.map(self.folder.read, names), strict=True)

    def _each_key_once(self, table: pa.Table) -> pa.Table:
        """Sorted by key; of equal keys the newest, else the one of the last origin. The order of files does not matter."""
        return self._each_once(table, self._key)

    def _each_once(self, table: pa.Table, by: Sequence[str]) -> pa.Table:
        """The same of what is equal in some columns, the table's key first."""
        is_known = pc.is_valid(table[self._newest_by])
        # Nulls sort last, where the newest would be: so whether it is known comes before what it is.
        columns = {**{name: table[name] for name in self._key}, "is_known": is_known}
        columns |= {name: table[name] for name in (self._newest_by, ORIGIN)}
        order = [(name, "ascending") for name in columns]
        table = table.take(pc.sort_indices(pa.table(columns), sort_keys=order))
        keys = zip(*(table[name].to_pylist() for name in by), strict=True)
        last = {key: index for index, key in enumerate(keys)}
        if len(last) == table.num_rows:
            return table.combine_chunks()
        return table.take(pa.array(last.values(), pa.int64())).combine_chunks()

    def _fingerprints(self, listing: Listing) -> frozenset[str]:
        dropped = self.drops.read(listing.drops)
        in_doubt = {None, *(fingerprint for fingerprint, _ in dropped)}
        told = {name: fingerprint_in(name) for name in listing.names}
        alone = {fp for fp in told.values() if fp is not None and fp not in in_doubt}
        opened = [self.check(name, ("fingerprint",)) for name, fp in told.items() if fp in in_doubt]
        living = (_without(table, dropped)["fingerprint"].to_pylist() for table in opened)
        return frozenset(alone.union(*living))

    def _readable_origins(self, listing: Listing) -> frozenset[Drop]:
        found, dropped = set[Drop](), set[Drop]()
        for name in listing.names:
            with suppress(PlacedError):
                rows = self.check(name, ("fingerprint",))
                columns = (rows["fingerprint"].to_pylist(), rows[ORIGIN].to_pylist())
                found.update(zip(*columns, strict=True))
        for name in listing.drops:
            with suppress(PlacedError):
                dropped |= self.drops.check(name)
        return frozenset(found - dropped)

    def _write(self, stem: str, table: pa.Table) -> str:
        """Write a file; returns its name."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        content = buffer.getvalue()
        name = f"{PREFIX}{stem}.{short_digest(content)}{SUFFIX}"
        self.folder.write(name, content)
        return name


def _with_origin(table: pa.Table, origin: str) -> pa.Table:
    return table.append_column(ORIGIN, pa.array([origin] * table.num_rows, pa.string()))


def _with_known_origin(table: pa.Table, origin: str) -> pa.Table:
    """The same rows; those that were written before rows had an origin have this one."""
    if not table[ORIGIN].null_count:
        return table
    position = table.schema.get_field_index(ORIGIN)
    return table.set_column(position, ORIGIN, pc.fill_null(table[ORIGIN], origin))


def _without(table: pa.Table, dropped: Collection[Drop]) -> pa.Table:
    """The same rows but those that were dropped."""
    if not dropped:
        return table
    rows = pc.binary_join_element_wise(table["fingerprint"], table[ORIGIN], "\n")
    gone = pa.array(["\n".join(drop) for drop in dropped], pa.string())
    return table.filter(pc.invert(pc.is_in(rows, gone)))


def _without_nan(table: pa.Table) -> pa.Table:
    """The same rows, with null for what is not a number: NaN equals nothing, not even itself."""
    for index, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table[field.name]
            known = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            table = table.set_column(index, field, known)
    return table
