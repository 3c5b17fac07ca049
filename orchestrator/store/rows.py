"""The rows of a store: results with their curves, imported ones, failed attempts. Five tables, one rule.

A result row exists if and only if its trial finished: its curve is written first, the row last. Writing a
fingerprint twice is harmless.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from orchestrator.store.columns import EPOCHS, FAILURES, IMPORTED, RESULTS
from orchestrator.store.failures import Failure, failure_of
from orchestrator.store.names import checked_fingerprint, is_fingerprint
from orchestrator.store.table import ParquetTable, Rewriting
from trainer.files import Folder
from trainer.problems import UserError

MANY_FILES = 200
"""From so many on, merging them is worth it: each costs a reader about half a millisecond."""

A_MOMENT = timedelta(microseconds=1)
"""The least by which two times in a table differ."""

Row = Mapping[str, Any]


class Rows:
    """The tables under a store's folder."""

    def __init__(self, root: Folder) -> None:
        row, curve = ("fingerprint",), ("fingerprint", "epoch")
        attempt = ("fingerprint", "error", "host", "at")

        def table(name: str, schema: pa.Schema, key: Sequence[str], newest_by: str) -> ParquetTable:
            return ParquetTable(root.folder(name), schema, key, newest_by)

        self._results = table("results", RESULTS, row, "finished_at")
        self._epochs = table("epochs", EPOCHS, curve, "written_at")
        self._imported = table("imported", IMPORTED, row, "started_at")
        self._imported_epochs = table("imported_epochs", EPOCHS, curve, "written_at")
        self._failures = table("failures", FAILURES, attempt, "at")

    @property
    def tables(self) -> Mapping[str, ParquetTable]:
        """The tables by name."""
        return {
            "results": self._results,
            "epochs": self._epochs,
            "imported": self._imported,
            "imported_epochs": self._imported_epochs,
            "failures": self._failures,
        }

    def finished(self) -> frozenset[str]:
        """Fingerprints of all finished trials."""
        return frozenset(filter(is_fingerprint, self._results.fingerprints()))

    def add_result(self, row: Row, curve: Sequence[Row]) -> None:
        """Record a finished trial: first its curve, then the row that says it is finished."""
        _add(self._results, self._epochs, row, curve)

    def replace_results(
        self, results: Mapping[str, Row], curves: Mapping[str, Sequence[Row]]
    ) -> None:
        """Put what finished trials gave another time, by fingerprint, in the place of what is recorded of them."""
        now = datetime.now(UTC)
        self._epochs.replace(
            {fp: [{**row, "written_at": now} for row in of] for fp, of in curves.items()}
        )
        self._results.replace({fp: [row] for fp, row in results.items()})

    def results(
        self,
        fingerprints: Collection[str] | None = None,
        columns: Collection[str] | None = None,
    ) -> pa.Table:
        """Result rows, one per finished trial: all, or those of some trials; with all columns, or these."""
        return self._results.read(fingerprints, columns)

    def epochs(
        self,
        fingerprints: Collection[str] | None = None,
        columns: Collection[str] | None = None,
    ) -> pa.Table:
        """The learning curves of all finished trials, or of some; with all columns, or these."""
        return self._epochs.read(fingerprints, columns)

    def add_imported(self, row: Row, curve: Sequence[Row]) -> None:
        """Record a run that was not a trial of ours; `finished` does not know of it."""
        _add(self._imported, self._imported_epochs, row, curve)

    def add_imported_table(self, rows: Sequence[Row]) -> None:
        """Record runs of a table of other software, all at once."""
        self._imported.add(uuid.uuid4().hex, rows)

    def drop_imported(self, fingerprints: Collection[str]) -> None:
        """Take out imported runs; the row first."""
        for table in (self._imported, self._imported_epochs):
            table.drop(fingerprints)

    def imported(self) -> pa.Table:
        """One row per imported run."""
        return self._imported.read()

    def imported_epochs(self) -> pa.Table:
        """The learning curves of imported runs."""
        return self._imported_epochs.read()

    def add_failure(self, row: Row) -> None:
        """Record a failed attempt.

        It is told to be after all that are known of its trial: its own clock may be behind theirs, and the last
        attempt counts.
        """
        fingerprint = checked_fingerprint(row["fingerprint"])
        name = f"{fingerprint}-{uuid.uuid4().hex}"
        self._failures.add(name, [{**row, "at": self._after_all(fingerprint, row.get("at"))}])

    def _after_all(self, fingerprint: str, at: datetime | None) -> datetime | None:
        if at is None:
            return None
        told: list[datetime | None] = []
        # Of what is damaged nothing is known; `verify` tells of it.
        with suppress(UserError):
            told = self._failures.read([fingerprint], ("at",))["at"].to_pylist()
        return max([at, *(before + A_MOMENT for before in told if before is not None)])

    def failures(self) -> pa.Table:
        """All failed attempts, the oldest first."""
        return self._failures.read().sort_by("at")

    def last_failures(self) -> dict[str, Failure]:
        """The last failed attempt of each trial that ever failed, also of those that have finished since.

        No clock decides of attempts that knew of each other (`add_failure`).
        """
        return {row["fingerprint"]: failure_of(row) for row in self.failures().to_pylist()}

    def compact(self) -> dict[str, Rewriting]:
        """Merge the many small files of each table; readers and writers may go on meanwhile."""
        return {name: table.compact() for name, table in self.tables.items()}

    def compact_where_many(self) -> None:
        """The same for the tables that have so many files that reading them takes its time."""
        for table in self.tables.values():
            if len(table.files()) >= MANY_FILES:
                table.compact()

    def drop(self, fingerprints: Collection[str]) -> None:
        """Take out all rows of some trials; the result first, so that none is left without its curve."""
        for table in (self._results, self._epochs, self._failures):
            table.drop(fingerprints)


def _add(rows: ParquetTable, curves: ParquetTable, row: Row, curve: Sequence[Row]) -> None:
    fingerprint = checked_fingerprint(row["fingerprint"])
    # The rows of a curve are known by the moment in which they were written.
    stamp = {"fingerprint": fingerprint, "written_at": datetime.now(UTC)}
    curves.add(fingerprint, [{**of_epoch, **stamp} for of_epoch in curve])
    rows.add(fingerprint, [row])
