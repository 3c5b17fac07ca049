"""Putting other rows into a store's files, as a writer would who means it."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.store.names import short_digest
from orchestrator.store.table import PREFIX, SUFFIX, fingerprint_in


def file_of(folder: Path, fingerprint: str) -> Path:
    """The one file of a table that holds the rows of a trial alone."""
    (path,) = (
        path for path in folder.glob("*.parquet") if fingerprint_in(path.name) == fingerprint
    )
    return path


def put(path: Path, table: pa.Table) -> Path:
    """A file with other rows in place of another: the digest in its name is right."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return put_bytes(path, buffer.getvalue())


def put_bytes(path: Path, content: bytes) -> Path:
    """A file whose name tells the digest of its bytes, whatever they are."""
    stem = path.name.removeprefix(PREFIX).removesuffix(SUFFIX).partition(".")[0]
    path.unlink(missing_ok=True)
    other = path.with_name(f"{PREFIX}{stem}.{short_digest(content)}{SUFFIX}")
    other.write_bytes(content)
    return other
