"""The store: one folder with everything durable, on a file system or an object store.

    results/*.parquet               one row per finished trial: its metrics, and where they come from
    epochs/*.parquet                the learning curves
    imported/*.parquet              one row per run of other software; never stands in for a trial
    imported_epochs/*.parquet       their learning curves
    failures/*.parquet              one row per failed attempt
    running/FINGERPRINT.json        who works on it now; goes stale by itself
    runs/RUN.json                   a driver at work; goes stale by itself
    checkpoints/FINGERPRINT/        last good checkpoints, or final weights
    trials/FINGERPRINT/             the trial as YAML, and its log
    sweeps/NAME.json                the sweep as it was resolved

A result row exists if and only if its trial finished: weights and curve are written first, the row last,
and every file appears under its name only when it is complete and flushed. Writing a fingerprint twice is
harmless. Rows are written to a file each and merged by `compact`; `orchestrator.store.table` tells why
readers see the same rows meanwhile. This module imports neither Ray nor torch, so a reader is quick.
"""

import json
import os
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from orchestrator.store.addresses import open_folder
from orchestrator.store.columns import EPOCHS, FAILURES, IMPORTED, RESULTS, SCHEMA_VERSION
from orchestrator.store.table import ParquetTable, Rewriting
from trainer.files import Folder, LocalFolder, process_is_alive
from trainer.problems import UserError
from trainer.trial import TRIAL, Count, Trial, digest

__all__ = [
    "EPOCHS",
    "FAILURES",
    "IMPORTED",
    "RESULTS",
    "SCHEMA_VERSION",
    "Run",
    "Running",
    "Store",
    "stored_trial",
]

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Running:
    """Who works on a trial. `expires_at` (Unix seconds) is when, without a sign of life, nobody does.

    `pid` is the worker's or, until that has started (`step` is None), the driver's; `node` is Ray's name
    of the machine.
    """

    fingerprint: str
    owner: str
    host: str
    device: str
    epoch: int
    epochs: Count
    step: int | None
    steps_per_epoch: Count
    loss: float | None
    expires_at: float
    pid: int = 0
    node: str = ""

    @property
    def share(self) -> float:
        """How much of the trial is done, 0 to 1."""
        return (self.epoch - 1 + (self.step or 0) / self.steps_per_epoch) / self.epochs


@dataclass(frozen=True)
class Run:
    """A driver at work on this store."""

    run_id: str
    sweep: str
    host: str
    pid: int
    started_at: str
    expires_at: float


LONGEST_LIFE_S = 3600.0

Sign = TypeVar("Sign", Running, Run)


def is_alive(sign: Running | Run) -> bool:
    """Not expired and, where that can be known, its process is still there.

    A sign that would live for hours comes from a clock that is wrong by hours, and holds nobody up.
    """
    if not 0 < sign.expires_at - time.time() < LONGEST_LIFE_S:
        return False
    return not sign.pid or sign.host != socket.gethostname() or process_is_alive(sign.pid)


class Store:
    """The results under one root; nothing is written before something is to be kept.

    Args:
        root: a folder of the file system, or an address such as s3://bucket/store.

    Raises:
        UserError: it is a file, or an address of an unknown kind.
    """

    def __init__(self, root: str | Path) -> None:
        self.folder: Folder = open_folder(str(root))
        self._results = self._table("results", RESULTS, ("fingerprint",), "finished_at")
        self._epochs = self._table("epochs", EPOCHS, ("fingerprint", "epoch"), "seconds")
        key, curve = ("fingerprint",), ("fingerprint", "epoch")
        self._imported = self._table("imported", IMPORTED, key, "started_at")
        self._imported_epochs = self._table("imported_epochs", EPOCHS, curve, "seconds")
        identical = ("fingerprint", "error", "host", "at")
        self._failures = self._table("failures", FAILURES, identical, "at")

    def _table(
        self, name: str, schema: pa.Schema, key: Sequence[str], newest_by: str
    ) -> ParquetTable:
        return ParquetTable(self.folder.folder(name), schema, key, newest_by)

    @property
    def address(self) -> str:
        """The path or URI by which any process finds this store."""
        return self.folder.address

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.address.rstrip("/").rpartition("/")[2]

    @property
    def is_remote(self) -> bool:
        return not isinstance(self.folder, LocalFolder)

    @property
    def root(self) -> Path:
        """The folder of the file system.

        Raises:
            UserError: the store is not in one.
        """
        if not isinstance(self.folder, LocalFolder):
            raise UserError(f"{self.address}: not a folder of a file system")
        return self.folder.path

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

    @property
    def checkpoints(self) -> Path:
        """Where weights are or, of a store elsewhere, where this machine would put them."""
        return self.files / "checkpoints"

    def checkpoint_folder(self, fingerprint: str) -> Folder:
        """Raises `UserError` where it is a link: what is removed there may belong to somebody else."""
        folder = self.folder.folder("checkpoints").folder(_checked(fingerprint))
        if isinstance(folder, LocalFolder):
            _refuse_link(folder.path)
        return folder

    def trial_folder(self, fingerprint: str) -> Path:
        """Where a trial's log is: in the store or, where no log can grow there, on this machine.

        Raises:
            UserError: it is a link.
        """
        path = self.files / "trials" / _checked(fingerprint)
        _refuse_link(path)
        return path

    @property
    def files(self) -> Path:
        """The store's own folder, or one of this machine that stands for it."""
        if isinstance(self.folder, LocalFolder):
            return self.folder.path
        mine = f"kdsweep-remote-{os.getuid()}"
        return Path(tempfile.gettempdir()) / mine / digest(self.address)[:12]

    # Results

    def finished(self) -> frozenset[str]:
        """Fingerprints of all finished trials."""
        return frozenset(fp for fp in self._results.fingerprints() if _FINGERPRINT.fullmatch(fp))

    def add_result(self, row: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """Record a finished trial: first its curve, then the row that says it is finished."""
        fingerprint = _checked(row["fingerprint"])
        self._epochs.add(fingerprint, [{**point, "fingerprint": fingerprint} for point in curve])
        self._results.add(fingerprint, [row])

    def results(self, fingerprints: Collection[str] | None = None) -> pa.Table:
        """Result rows, one per finished trial: all, or those of some trials."""
        return self._results.read(fingerprints)

    def epochs(self) -> pa.Table:
        """The learning curves of all finished trials."""
        return self._epochs.read()

    # Results of other software

    def add_imported(self, row: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """Record a run that was not a trial of ours; `finished` does not know of it."""
        fingerprint = _checked(row["fingerprint"])
        epochs = [{**point, "fingerprint": fingerprint} for point in curve]
        self._imported_epochs.add(fingerprint, epochs)
        self._imported.add(fingerprint, [row])

    def imported(self) -> pa.Table:
        """One row per imported run."""
        return self._imported.read()

    def imported_epochs(self) -> pa.Table:
        """The learning curves of imported runs."""
        return self._imported_epochs.read()

    # Failures

    def add_failure(self, row: Mapping[str, Any]) -> None:
        """Record a failed attempt."""
        name = f"{_checked(row['fingerprint'])}-{uuid.uuid4().hex}"
        self._failures.add(name, [row])

    def failures(self) -> pa.Table:
        """All failed attempts, the oldest first."""
        return self._failures.read().sort_by("at")

    def program_failures(self) -> dict[str, str]:
        """The error of each unfinished trial whose last failed attempt was an error of the program."""
        return self._last_errors(by_machine=False)

    def machine_failures(self) -> dict[str, str]:
        """The error of each unfinished trial whose last failed attempt was the machine's fault."""
        return self._last_errors(by_machine=True)

    def _last_errors(self, *, by_machine: bool) -> dict[str, str]:
        last = {row["fingerprint"]: row for row in self.failures().to_pylist()}
        done = self.finished()
        return {
            fingerprint: row["error"]
            for fingerprint, row in last.items()
            if bool(row["by_machine"]) is by_machine and fingerprint not in done
        }

    # Changes to the whole

    def compact(self) -> dict[str, Rewriting]:
        """Merge the many small files of each table; readers and writers may go on meanwhile."""
        return {name: table.compact() for name, table in self.tables.items()}

    def forget(self, fingerprints: Collection[str]) -> None:
        """Take out what is known of some trials; the row first, so that none is left without its rest."""
        named = filter(_FINGERPRINT.fullmatch, fingerprints)
        folders = [self.checkpoint_folder(fingerprint) for fingerprint in named]
        for name in ("results", "epochs", "failures"):
            self.tables[name].drop(fingerprints)
        for folder in folders:
            for name in folder.names():
                folder.remove(name)
            folder.tidy()

    def tidy(self) -> None:
        """Remove what died in the middle of writing, and signs of life that went out."""
        kinds = ("running", "runs")
        listed = {kind: self.folder.folder(kind).names() for kind in kinds}
        alive = {*self.running(), *self.runs()}
        for kind, names in listed.items():
            for name in names:
                if name.removesuffix(".json") not in alive:
                    self.folder.folder(kind).remove(name)
        for name in self.folder.folders():
            self.folder.folder(name).tidy()
        checkpoints = self.folder.folder("checkpoints")
        for name in checkpoints.folders():
            checkpoints.folder(name).tidy()

    # Who works on what

    def set_running(self, running: Running) -> None:
        self._write_json("running", _checked(running.fingerprint), asdict(running))

    def clear_running(self, fingerprint: str) -> None:
        self._remove_json("running", _checked(fingerprint))

    def running(self) -> dict[str, Running]:
        """Who works on what now, by fingerprint; without those that gave no sign of life in time."""
        return self._signs("running", Running)

    def in_use(self) -> frozenset[str]:
        """Fingerprints of all that is finished or worked on now: nothing of these may be thrown away."""
        # In this order: what ends in between is finished by then.
        working = self.running()
        return self.finished().union(working)

    def last_sign(self, fingerprint: str) -> Running | None:
        """The last sign of life from a trial, however old; None where it ended in order."""
        return self._read_json("running", f"{_checked(fingerprint)}.json", Running)

    def set_run(self, run: Run) -> None:
        self._write_json("runs", run.run_id, asdict(run))

    def clear_run(self, run_id: str) -> None:
        self._remove_json("runs", run_id)

    def runs(self) -> dict[str, Run]:
        """The drivers that work on this store now, by their run's id."""
        return self._signs("runs", Run)

    # A run's flag

    def ask_to_stop(self, run_id: str) -> None:
        """Raise the flag at which the workers of a run save and leave."""
        self._write_json("stops", run_id, {})

    def stop_is_asked(self, run_id: str) -> bool:
        try:
            self.folder.folder("stops").read(f"{run_id}.json")
        except FileNotFoundError:
            return False
        return True

    def clear_stop(self, run_id: str) -> None:
        self._remove_json("stops", run_id)

    # A probe's marks

    def set_mark(self, name: str) -> None:
        """Leave something for another machine to see."""
        self._write_json("marks", name, {})

    def has_mark(self, name: str) -> bool:
        return f"{name}.json" in self.folder.folder("marks").names()

    def clear_mark(self, name: str) -> None:
        self._remove_json("marks", name)
        self.folder.folder("marks").tidy()

    # Sweeps

    def save_sweep(self, name: str, sweep: Mapping[str, Any]) -> None:
        """Keep a sweep as it was resolved."""
        self._write_json("sweeps", name, sweep)

    def sweeps(self) -> dict[str, bytes]:
        """The resolved sweeps by name, as JSON."""
        folder = self.folder.folder("sweeps")
        return {name.removesuffix(".json"): folder.read(name) for name in folder.names()}

    # JSON files

    def _write_json(self, folder: str, name: str, content: Mapping[str, Any]) -> None:
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r}: not a name for a file of a store")
        text = json.dumps(content, indent=1)
        self.folder.folder(folder).write(f"{name}.json", text.encode())

    def _remove_json(self, folder: str, name: str) -> None:
        self.folder.folder(folder).remove(f"{name}.json")

    def _signs(self, folder: str, kind: type[Sign]) -> dict[str, Sign]:
        found = {}
        for name in self.folder.folder(folder).names():
            sign = self._read_json(folder, name, kind)
            if sign is not None and is_alive(sign):
                found[name.removesuffix(".json")] = sign
        return found

    def _read_json(self, folder: str, name: str, kind: type[Sign]) -> Sign | None:
        """None where there is no such file, or not a whole one of this kind."""
        try:
            return TypeAdapter(kind).validate_json(self.folder.folder(folder).read(name))
        except (OSError, ValueError):
            return None


def _checked(fingerprint: str) -> str:
    """A fingerprint, fit to become a file's name."""
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise UserError(f"{fingerprint!r}: a fingerprint is 64 hexadecimal digits")
    return fingerprint


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise UserError(f"{path}: a link; kdsweep neither writes nor removes behind one")


def stored_trial(row: Mapping[str, Any]) -> Trial:
    """The trial of a result row.

    Raises:
        UserError: it is damaged, or of another version.
    """
    try:
        return TRIAL.validate_json(row["trial"] or "")
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UserError(
            f"result {row['fingerprint'][:12]}: its trial cannot be read by this kdsweep: {reason}"
        ) from error
