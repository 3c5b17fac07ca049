"""The store: one folder with everything durable.

    results/FINGERPRINT.parquet     one row: the trial, its metrics, where they come from
    epochs/FINGERPRINT.parquet      its learning curve
    imported/FINGERPRINT.parquet    one row per run of other software; never stands in for a trial
    imported_epochs/...             their learning curves
    failures/FINGERPRINT-*.parquet  one row per failed attempt
    running/FINGERPRINT.json        who works on it now; goes stale by itself
    checkpoints/FINGERPRINT/        last good checkpoint, or final weights
    trials/FINGERPRINT/             the trial as YAML, and its log
    sweeps/NAME.json                the sweep as it was resolved

A result row exists if and only if its trial finished: weights and curve are written first, the row last,
and every file appears under its name only when it is complete and flushed. Writing a fingerprint twice is
harmless. This module imports neither Ray nor torch, so a reader is quick.
"""

import io
import json
import re
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.files import write_atomically
from trainer.problems import UserError

SCHEMA_VERSION = 1
_VERSION_KEY = b"kdsweep_schema_version"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def _schema(**columns: pa.DataType) -> pa.Schema:
    metadata = {_VERSION_KEY: str(SCHEMA_VERSION).encode()}
    return pa.schema(list(columns.items()), metadata=metadata)


_TIME = pa.timestamp("us", tz="UTC")

_IDENTITY = {
    "fingerprint": pa.string(),
    "kind": pa.string(),
    "dataset": pa.string(),
    "teacher": pa.string(),
    "student": pa.string(),
    "augmentation": pa.string(),
    "seed": pa.int64(),
}

_METRICS = {
    "train_loss": pa.float64(),
    "test_loss": pa.float64(),
    "test_accuracy": pa.float64(),
    "best_accuracy": pa.float64(),
    "best_epoch": pa.int64(),
    "t_stddev": pa.float64(),
    "t_stddev_stderr": pa.float64(),
    "num_windows": pa.int64(),
}

RESULTS = _schema(
    **_IDENTITY,
    cell=pa.string(),
    teacher_fingerprint=pa.string(),
    student_fingerprint=pa.string(),
    student_cell=pa.string(),
    **_METRICS,
    trial=pa.string(),
    kdsweep_version=pa.string(),
    git_commit=pa.string(),
    python_version=pa.string(),
    torch_version=pa.string(),
    ray_version=pa.string(),
    device=pa.string(),
    num_threads=pa.int64(),
    host=pa.string(),
    started_at=_TIME,
    finished_at=_TIME,
    wall_seconds=pa.float64(),
    group_size=pa.int64(),
    num_teacher_passes=pa.int64(),
)
"""One row per finished trial. Accuracies are shares in 0..1; `trial` is the whole trial as JSON."""

IMPORTED = _schema(
    **_IDENTITY,
    cell=pa.string(),
    teacher_fingerprint=pa.string(),
    **_METRICS,
    trial=pa.string(),
    source=pa.string(),
    origin=pa.string(),
    run_id=pa.string(),
    log_sha256=pa.string(),
    started_at=_TIME,
)
"""One row per imported run. `origin` is the log it was read from, `trial` its settings as JSON."""

EPOCHS = _schema(
    fingerprint=pa.string(),
    epoch=pa.int64(),
    train_loss=pa.float64(),
    test_loss=pa.float64(),
    test_accuracy=pa.float64(),
    learning_rate=pa.float64(),
    t_stddev=pa.float64(),
    num_windows=pa.int64(),
    seconds=pa.float64(),
)
"""One row per epoch of a finished trial."""

FAILURES = _schema(
    **_IDENTITY,
    by_machine=pa.bool_(),
    error=pa.string(),
    traceback=pa.string(),
    host=pa.string(),
    at=_TIME,
)
"""One row per failed attempt. `by_machine`: the worker died; otherwise the program raised `error`."""


@dataclass(frozen=True)
class Running:
    """Who works on a trial. `expires_at` (Unix seconds) is when, without a sign of life, nobody does."""

    fingerprint: str
    owner: str
    host: str
    device: str
    epoch: int
    epochs: int
    step: int
    steps_per_epoch: int
    loss: float | None
    expires_at: float

    @property
    def share(self) -> float:
        """How much of the trial is done, 0 to 1."""
        return (self.epoch - 1 + self.step / self.steps_per_epoch) / self.epochs


class Store:
    """The results under one folder; nothing is written before something is to be kept."""

    def __init__(self, root: str | Path) -> None:
        if "://" in str(root):
            raise UserError(f"{root}: a store is a folder of a file system for now, not an address")
        self.root = Path(root).expanduser().absolute()
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"{root}: a file; a store is a folder")

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    def checkpoint_folder(self, fingerprint: str) -> Path:
        return self.checkpoints / _checked(fingerprint)

    def trial_folder(self, fingerprint: str) -> Path:
        return self.root / "trials" / _checked(fingerprint)

    # Results

    def finished(self) -> frozenset[str]:
        """Fingerprints of all finished trials."""
        paths = (self.root / "results").glob("*.parquet")
        return frozenset(p.stem for p in paths if _FINGERPRINT.fullmatch(p.stem))

    def add_result(self, row: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """Record a finished trial: first its curve, then the row that says it is finished."""
        fingerprint = _checked(row["fingerprint"])
        epochs = [{**point, "fingerprint": fingerprint} for point in curve]
        self._write("epochs", fingerprint, EPOCHS, epochs)
        self._write("results", fingerprint, RESULTS, [row])

    def results(self, fingerprints: Collection[str] | None = None) -> pa.Table:
        """Result rows, one per finished trial: all, or those of some trials."""
        return self._read("results", RESULTS, fingerprints)

    def epochs(self) -> pa.Table:
        """The learning curves of all finished trials."""
        return self._read("epochs", EPOCHS)

    # Results of other software

    def add_imported(self, row: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """Record a run that was not a trial of ours; `finished` does not know of it."""
        fingerprint = _checked(row["fingerprint"])
        epochs = [{**point, "fingerprint": fingerprint} for point in curve]
        self._write("imported_epochs", fingerprint, EPOCHS, epochs)
        self._write("imported", fingerprint, IMPORTED, [row])

    def imported(self) -> pa.Table:
        """One row per imported run."""
        return self._read("imported", IMPORTED)

    def imported_epochs(self) -> pa.Table:
        """The learning curves of imported runs."""
        return self._read("imported_epochs", EPOCHS)

    # Failures

    def add_failure(self, row: Mapping[str, Any]) -> None:
        """Record a failed attempt."""
        name = f"{_checked(row['fingerprint'])}-{uuid.uuid4().hex}"
        self._write("failures", name, FAILURES, [row])

    def failures(self) -> pa.Table:
        """All failed attempts, the oldest first."""
        return self._read("failures", FAILURES).sort_by("at")

    def program_failures(self) -> dict[str, str]:
        """The error of each unfinished trial whose last failed attempt was an error of the program."""
        last = {row["fingerprint"]: row for row in self.failures().to_pylist()}
        done = self.finished()
        return {
            fingerprint: row["error"]
            for fingerprint, row in last.items()
            if not row["by_machine"] and fingerprint not in done
        }

    # Who works on what

    def set_running(self, running: Running) -> None:
        self._write_json("running", _checked(running.fingerprint), asdict(running))

    def clear_running(self, fingerprint: str) -> None:
        self._json_path("running", _checked(fingerprint)).unlink(missing_ok=True)

    def running(self) -> dict[str, Running]:
        """Who works on what now, by fingerprint; without those that gave no sign of life in time."""
        alive = {}
        for path in (self.root / "running").glob("*.json"):
            try:
                entry = Running(**json.loads(path.read_text()))
            except (FileNotFoundError, ValueError, TypeError):
                continue
            if entry.expires_at > time.time():
                alive[entry.fingerprint] = entry
        return alive

    # A run's flag

    def ask_to_stop(self, run_id: str) -> None:
        """Raise the flag at which the workers of a run save and leave."""
        self._write_json("stops", run_id, {})

    def stop_is_asked(self, run_id: str) -> bool:
        return self._json_path("stops", run_id).exists()

    def clear_stop(self, run_id: str) -> None:
        self._json_path("stops", run_id).unlink(missing_ok=True)

    # Sweeps

    def save_sweep(self, name: str, sweep: Mapping[str, Any]) -> None:
        """Keep a sweep as it was resolved."""
        self._write_json("sweeps", name, sweep)

    # Files

    def _json_path(self, folder: str, name: str) -> Path:
        return self.root / folder / f"{name}.json"

    def _write_json(self, folder: str, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self._json_path(folder, name), json.dumps(content, indent=1).encode())

    def _write(
        self, folder: str, name: str, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]
    ) -> None:
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
        write_atomically(self.root / folder / f"{name}.parquet", buffer.getvalue())

    def _read(
        self, folder: str, schema: pa.Schema, only: Collection[str] | None = None
    ) -> pa.Table:
        tables = []
        for path in sorted((self.root / folder).glob("*.parquet")):
            if only is not None and path.stem not in only:
                continue
            try:
                table = pq.read_table(path)
            except (pa.ArrowInvalid, OSError) as error:
                raise UserError(f"{path}: not a readable Parquet file: {error}") from error
            tables.append(_as(schema, table, path))
        return pa.concat_tables(tables) if tables else schema.empty_table()


def _as(schema: pa.Schema, table: pa.Table, path: Path) -> pa.Table:
    version = (table.schema.metadata or {}).get(_VERSION_KEY)
    if version != str(SCHEMA_VERSION).encode():
        raise UserError(
            f"{path}: written with schema {version.decode() if version else 'unknown'}, "
            f"this kdsweep reads {SCHEMA_VERSION}"
        )
    return table.cast(schema)


def _checked(fingerprint: str) -> str:
    """A fingerprint, fit to become a file's name."""
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise UserError(f"{fingerprint!r}: a fingerprint is 64 hexadecimal digits")
    return fingerprint
