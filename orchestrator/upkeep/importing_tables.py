"""Brings a table of results that other software made into a store: all of it, or nothing.

What it says goes where imported runs are, marked `form = table`, in one file that appears whole. So the same table
twice adds nothing. A run of which the store knows another value is told, and replaced only where that is asked for.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from orchestrator.store.columns import IMPORTED
from orchestrator.store.rows import A_MOMENT
from orchestrator.store.store import Store
from orchestrator.upkeep.result_tables import Found, Record, columns_meant, refuse, runs_of
from orchestrator.upkeep.table_files import content_of, read_table
from trainer.problems import UserError, shortened

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableReport:
    """What became of a table: runs that are new, known, or had other values before."""

    imported: int
    known: int
    replaced: int
    ignored: tuple[str, ...]
    """Columns that nothing was read from."""


def import_table(
    path: Path, store: Store, columns: Mapping[str, str], *, replace: bool = False
) -> TableReport:
    """Import a CSV or Parquet file of results.

    Args:
        path: the file.
        store: where its runs go.
        columns: theirs -> ours (`result_tables.COLUMNS`), beside those that have our names.
        replace: where the store knows another value of a run, the table's counts.

    Raises:
        UserError: the file, or any record of it, cannot be; nothing was imported.
    """
    content = content_of(path)
    table = read_table(path, content, columns)
    runs = runs_of(table.records)
    before = {row["fingerprint"]: row for row in store.imported().to_pylist()}
    known = {run.fingerprint: _known(run, before.get(run.fingerprint)) for run in runs}
    changes = [change for run in runs for change in _changes(run, known[run.fingerprint])]
    if not replace:
        refuse(sorted(told for _, told in changes))
    new = [run for run in runs if run.values.items() - known[run.fingerprint].items()]
    if new:
        origin = {"origin": path.name, "log_sha256": hashlib.sha256(content).hexdigest()}
        rows = [_row(run, before.get(run.fingerprint), origin) for run in new]
        store.rows.add_imported_table(rows)
    replaced = {fingerprint for fingerprint, _ in changes}
    return TableReport(
        imported=len(new) - len(replaced),
        known=len(runs) - len(new),
        replaced=len(replaced),
        ignored=table.ignored,
    )


def in_memory(table: "pd.DataFrame", columns: Mapping[str, str]) -> pa.Table:
    """The rows (`orchestrator.store.columns.IMPORTED`) that the same table would make in a store.

    Raises:
        UserError: as `import_table`.
    """
    if not hasattr(table, "itertuples"):
        raise UserError(
            f"the table: expected a pandas.DataFrame, not {type(table).__name__}; pandas.DataFrame(...) makes one"
        )
    if not isinstance(columns, Mapping):
        raise UserError(
            f"columns: expected a dictionary, as {{'loss': 's_test_loss'}}, not {shortened(repr(columns))}"
        )
    names = [str(name) for name in table.columns]
    meant = columns_meant(names, columns, "the table")
    known = table.astype(object).where(table.notna(), None)
    records = [
        Record(f"row {i}", {ours: values[names.index(theirs)] for ours, theirs in meant.items()})
        for i, values in enumerate(known.itertuples(index=False, name=None))
    ]
    return pa.Table.from_pylist([run.row() for run in runs_of(records)], schema=IMPORTED)


def _known(run: Found, row: Mapping[str, Any] | None) -> dict[str, float]:
    """What a store says of a run, by the names that a table has."""
    told = {name: row[column] for name, column in run.columns.items()} if row else {}
    return {name: value for name, value in told.items() if value is not None}


def _changes(run: Found, known: Mapping[str, float]) -> list[tuple[str, str]]:
    """Fingerprint and message of each value of which the store knows another."""
    return [
        (
            run.fingerprint,
            f"{run.places[name]}: {name}: {value}, but {known[name]} was imported before; "
            "--replace takes the new one",
        )
        for name, value in run.values.items()
        if known.get(name, value) != value
    ]


def _row(run: Found, before: Mapping[str, Any] | None, origin: Mapping[str, str]) -> dict[str, Any]:
    row = {**run.row(), **origin, "started_at": datetime.now(UTC)}
    if before is None:
        return row
    # Of two rows of one run the newer counts, whatever clocks say.
    row["started_at"] = max(row["started_at"], before["started_at"] + A_MOMENT)
    columns = run.columns.values()
    told = {column: row[column] for column in columns if row[column] is not None}
    return row | {column: before[column] for column in columns} | told
