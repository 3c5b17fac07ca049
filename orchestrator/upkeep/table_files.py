"""Records of a CSV or a Parquet file, each with its place."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.upkeep.result_tables import MOST_RECORDS, Record, columns_meant
from trainer.problems import UserError

LARGEST_BYTES = 256 * 2**20
ENDINGS = (".csv", ".parquet")
_MAPPING = re.compile(r"(?P<theirs>.+)=(?P<ours>[^=]+)")


@dataclass(frozen=True)
class TableFile:
    """A file's records. `ignored` are the columns that nothing was read from."""

    records: tuple[Record, ...]
    ignored: tuple[str, ...]


def parse_columns(text: str) -> dict[str, str]:
    """`--columns "model=teacher,loss=s_test_loss"` as theirs -> ours.

    Raises:
        UserError: it is written otherwise, or names one column twice.
    """
    mapped: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        match = _MAPPING.fullmatch(part)
        if match is None:
            raise UserError(f"--columns {part}: expected THEIRS=OURS, as in loss=s_test_loss")
        theirs, ours = match["theirs"].strip(), match["ours"].strip()
        if theirs in mapped:
            raise UserError(f"--columns: {theirs!r} is named twice")
        mapped[theirs] = ours
    return mapped


def read_table(path: Path, content: bytes, mapped: Mapping[str, str]) -> TableFile:
    """The records of a table.

    Args:
        path: by whose ending it is read; for messages.
        content: the file's bytes.
        mapped: theirs -> ours.

    Raises:
        UserError: it is neither, damaged, too large, or has not the columns.
    """
    names, lines = _parquet(path, content) if path.suffix == ".parquet" else _csv(path, content)
    meant = columns_meant(names, mapped, str(path))
    records = tuple(
        Record(place, {ours: values[theirs] for ours, theirs in meant.items()})
        for place, values in lines
    )
    if not records:
        raise UserError(f"{path}: no line below its header")
    ignored = [name for name in names if name not in meant.values()]
    return TableFile(records, tuple(ignored))


def content_of(path: Path) -> bytes:
    """A table's bytes.

    Raises:
        UserError: it is missing, too large, or neither CSV nor Parquet by its name.
    """
    if path.suffix not in ENDINGS:
        raise UserError(f"{path}: expected a file named {' or '.join('*' + e for e in ENDINGS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if (size := path.stat().st_size) > LARGEST_BYTES:
        raise UserError(f"{path}: {size:,} bytes; up to {LARGEST_BYTES:,} are read")
    return path.read_bytes()


Lines = Iterator[tuple[str, Mapping[str, Any]]]


def _csv(path: Path, content: bytes) -> tuple[list[str], Lines]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start:,}; save it as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)

    def lines() -> Iterator[tuple[str, list[str]]]:
        while True:
            # The first line of a record that has several, as its cells may hold ends of lines.
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise UserError(f"{path}:{line}: not CSV: {error}") from error
            if cells is None:
                return
            if any(map(str.strip, cells)):
                yield f"{path}:{line}", cells

    rows = lines()
    _, header = next(rows, ("", []))
    names = [name.strip() for name in header]
    if not names:
        raise UserError(f"{path}: empty; expected a header of columns")

    def named() -> Lines:
        for place, cells in rows:
            if len(cells) != len(names):
                raise UserError(
                    f"{place}: {len(cells)} cells, but {len(names)} columns in the header"
                )
            yield place, dict(zip(names, cells, strict=True))

    return names, named()


def _parquet(path: Path, content: bytes) -> tuple[list[str], Lines]:
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        if file.metadata.num_rows > MOST_RECORDS:
            raise UserError(
                f"{path}: {file.metadata.num_rows:,} rows; up to {MOST_RECORDS:,} are read"
            )
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {error}") from error

    def named() -> Lines:
        number = 0
        try:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", values
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise UserError(
                f"{path}: not a readable Parquet file behind row {number}: {error}"
            ) from error

    return names, named()
