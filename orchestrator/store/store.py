"""The store: one folder with everything durable, on a file system or an object store.

    results/*.parquet               one row per finished trial: its metrics, and where they come from
    epochs/*.parquet                the learning curves
    imported/*.parquet              one row per run of other software; never stands in for a trial
    imported_epochs/*.parquet       their learning curves
    failures/*.parquet              one row per failed attempt
    TABLE/_dropped/*.json           which rows of a table were dropped
    running/FINGERPRINT.json        who works on it now; goes stale by itself
    runs/RUN.json                   a driver at work; goes stale by itself
    checkpoints/FINGERPRINT/        last good checkpoints, or final weights
    trials/FINGERPRINT/             the trial as YAML, and its log
    sweeps/NAME.DIGEST.json         a sweep as it was resolved; each version that was ever run
    power/NAME.DIGEST.json          what a sweep was said to show, and when, with the sweep as it was then
    stops/ begun/ marks/            marks for another process (`orchestrator.store.marks`)
    again/                          a store of its own, while finished trials are repeated (`run --again`)

A `Store` is composed of parts, each of which knows its own files: `Rows` (five tables), `Signs` (of life),
`Marks` (flags), `JsonFiles` (resolved sweeps, stated power), and folders of checkpoints. Every file appears under its name
only when it is complete and flushed. Rows are written to a file each and merged by `compact`;
`orchestrator.store.table` tells why readers see the same rows meanwhile. What fails for a moment is tried again
(`orchestrator.store.patient_folder`). The store imports neither Ray nor torch, so a reader is quick.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from orchestrator.store.addresses import open_folder
from orchestrator.store.json_files import JsonFiles, to_json
from orchestrator.store.marks import Marks
from orchestrator.store.names import (
    DIGITS,
    checked_fingerprint,
    is_fingerprint,
    refuse_link,
    short_digest,
)
from orchestrator.store.patience import BRIEFLY_S
from orchestrator.store.patient_folder import PatientFolder, Waits
from orchestrator.store.requests import BRIEF
from orchestrator.store.rows import Row, Rows
from orchestrator.store.signs import Signs
from orchestrator.store.table import ParquetTable, Rewriting
from trainer.files import Folder, LocalFolder
from trainer.positions import FINAL
from trainer.private_folder import private_folder
from trainer.problems import UserError
from trainer.trial import TRIAL, Trial, digest

SWEEPS = "sweeps"
POWER = "power"
_VERSIONED = re.compile(rf".+\.(?P<digest>[0-9a-f]{{{DIGITS}}})")

T = TypeVar("T")


class WeightsUnknownError(UserError):
    """Nothing is known of any weights: their disk seems not to be there."""

    def __init__(self, root: Path, problem: str, mend: str) -> None:
        super().__init__(f"{root}: {problem} ({mend})")
        self.where = str(root)
        self.problem = problem
        self.mend = mend


class Store:
    """The results under one root; nothing is written before something is to be kept.

    Args:
        root: a folder of the file system, or an address such as s3://bucket/store.
        waits_s: so long it may refuse until an error is raised; signs and marks are never waited for long.
        is_made: a sweep is kept in it; where none is, its mount is gone, and nothing counts as absent.
        must_leave: whether this process has been asked to; then it waits for nothing long.

    Raises:
        UserError: it is a file, or an address of an unknown kind.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        waits_s: float = BRIEFLY_S,
        is_made: bool = False,
        must_leave: Callable[[], bool] = lambda: False,
    ) -> None:
        self._waits = Waits(waits_s, must_leave)
        folder = self._waits.read(lambda: open_folder(str(root)))
        home = folder.path / SWEEPS if folder.path is not None and is_made else None
        self.folder = PatientFolder(folder, self._waits, home)
        if folder.path is None:
            folder = self._waits.read(lambda: open_folder(str(root), BRIEF))
        brief = PatientFolder(folder, Waits(min(waits_s, BRIEFLY_S)), home)
        self.rows = Rows(self.folder)
        self.signs = Signs(brief)
        self.stops = Marks(brief.folder("stops"))
        """By run: its workers are asked to save and leave."""
        self.begun = Marks(brief.folder("begun"))
        """By submitted job: it checks, or trains."""
        self.probes = Marks(brief.folder("marks"))
        """What machines leave for each other to see."""
        self._sweeps = JsonFiles(self.folder.folder(SWEEPS))
        self._power = JsonFiles(self.folder.folder(POWER))

    # Where it is

    @property
    def address(self) -> str:
        """The path or URI by which any process finds this store."""
        return self.folder.address

    def unusable(self, error: OSError) -> UserError:
        """What is told of a store that refuses before anything runs: the user's to mend."""
        return UserError(
            f"{self.address}: the store cannot be used: {error.strerror or error}; --store, KDSWEEP_STORE or the "
            "sweep's key store name another"
        )

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.address.rstrip("/").rpartition("/")[2]

    @property
    def is_remote(self) -> bool:
        return self.folder.path is None

    @property
    def root(self) -> Path:
        """The folder of the file system.

        Raises:
            UserError: the store is not in one.
        """
        if self.folder.path is None:
            raise UserError(f"{self.address}: not a folder of a file system")
        return self.folder.path

    @property
    def files(self) -> Path:
        """The store's own folder, or one of this machine that stands for it.

        Raises:
            NotOursError: the latter is not this user's alone.
        """
        if self.folder.path is not None:
            return self.folder.path
        return private_folder("remote", digest(self.address)[:12])

    # Rows

    @property
    def tables(self) -> Mapping[str, ParquetTable]:
        """The tables by name."""
        return self.rows.tables

    def finished(self) -> frozenset[str]:
        """Fingerprints of all finished trials."""
        return self.rows.finished()

    def add_result(self, row: Row, curve: Sequence[Row]) -> None:
        """Record a finished trial."""
        self.rows.add_result(row, curve)

    def results(
        self,
        fingerprints: Collection[str] | None = None,
        columns: Collection[str] | None = None,
    ) -> pa.Table:
        """Result rows, one per finished trial: all, or those of some trials; with all columns, or these."""
        return self.rows.results(fingerprints, columns)

    def epochs(self) -> pa.Table:
        """The learning curves of all finished trials."""
        return self.rows.epochs()

    def add_imported(self, row: Row, curve: Sequence[Row]) -> None:
        """Record a run of other software."""
        self.rows.add_imported(row, curve)

    def forget_imported(self, fingerprints: Collection[str]) -> None:
        """Take out runs of other software."""
        self.rows.drop_imported(fingerprints)

    def imported(self) -> pa.Table:
        """One row per imported run."""
        return self.rows.imported()

    def imported_epochs(self) -> pa.Table:
        """The learning curves of imported runs."""
        return self.rows.imported_epochs()

    def add_failure(self, row: Row) -> None:
        """Record a failed attempt."""
        self.rows.add_failure(row)

    def failures(self) -> pa.Table:
        """All failed attempts, the oldest first."""
        return self.rows.failures()

    def compact(self) -> dict[str, Rewriting]:
        """Merge the many small files of each table; readers and writers may go on meanwhile."""
        return self.rows.compact()

    # Weights, logs, sweeps

    @property
    def checkpoints(self) -> Path:
        """Where weights are or, of a store elsewhere, where this machine would put them."""
        return self.files / "checkpoints"

    def checkpoint_folder(self, fingerprint: str) -> Folder:
        """Raises `UserError` where it is a link: what is removed there may belong to somebody else."""
        folder = self.folder.folder("checkpoints").folder(checked_fingerprint(fingerprint))
        if (path := folder.path) is not None:
            self._waits.read(lambda: refuse_link(path))
        return folder

    def has_weights(self, fingerprint: str) -> bool:
        """Whether a finished trial's final weights are there; whole or not.

        Raises:
            WeightsUnknownError: no trial's are there.
        """
        if FINAL in self.checkpoint_folder(fingerprint).names():
            return True
        self.check_weights_disk()
        return False

    def check_weights_disk(self) -> None:
        """To be asked where finished trials must have left something in the folder of all weights.

        Raises:
            WeightsUnknownError: it is a link that leads nowhere, or there is nothing in it, as where a disk is
                not mounted.
        """
        root = self.folder.folder("checkpoints").path
        if root is None:
            return
        if root.is_symlink() and not root.is_dir():
            found = f"a link to {root.readlink()}, which is not there"
            raise WeightsUnknownError(root, f"{found}; is that disk mounted?", "mount it")
        # Links count as well: of them it is told that they are some.
        if not self._waits.read(lambda: root.is_dir() and any(root.iterdir())):
            found = "no weights at all are in it, though finished trials have left some"
            certain = f"if they are gone for good, say so: mkdir -p {root}; touch {root}/gone"
            raise WeightsUnknownError(
                root, f"{found}; is that disk mounted?", f"mount it, or, {certain}"
            )

    def trial_folder(self, fingerprint: str) -> Path:
        """Where a trial's log is: in the store or, where no log can grow there, on this machine.

        Raises:
            UserError: it is a link, or on this machine in a folder that is not this user's alone.
            OSError: the store's mount is gone; what were written there would lie below it.
        """
        self.folder.check_home()
        path = self.files / "trials" / checked_fingerprint(fingerprint)
        self._waits.read(lambda: refuse_link(path))
        return path

    def patiently(self, act: Callable[[], None]) -> None:
        """Change something under `trial_folder`, tried again as all else is."""
        self.folder.patiently(act)

    def save_sweep(self, name: str, sweep: Mapping[str, Any]) -> None:
        """Keep a sweep as it was resolved, beside its earlier versions."""
        self._sweeps.write(f"{name}.{short_digest(to_json(sweep))}", sweep)

    def sweeps(self) -> dict[str, bytes]:
        """Every version of every resolved sweep, as JSON, by its name in the folder."""
        return {name: self._sweeps.text(name) for name in self._sweeps.names()}

    def save_power(self, name: str, stated: Mapping[str, Any]) -> str:
        """Keep what a sweep was said to show, beside what was said before; where it is."""
        file = f"{name}.{short_digest(to_json(stated))}"
        self._power.write(file, stated)
        return f"{self.address}/{POWER}/{file}.json"

    def stated_power(self) -> dict[str, bytes]:
        """All that sweeps were said to show, as JSON, by its name in the folder."""
        return {name: self._power.text(name) for name in self._power.names()}

    # The whole

    def in_use(self) -> frozenset[str]:
        """Fingerprints of all that is finished or worked on now: nothing of these may be thrown away."""
        # In this order: what ends in between is finished by then.
        working = self.signs.running()
        return self.finished().union(working)

    def forget(self, fingerprints: Collection[str]) -> None:
        """Take out what is known of some trials; the row first, so that none is left without its rest."""
        named = [fingerprint for fingerprint in fingerprints if is_fingerprint(fingerprint)]
        folders: list[Folder] = [self.checkpoint_folder(fingerprint) for fingerprint in named]
        folders += (
            PatientFolder(LocalFolder(self.trial_folder(fingerprint)), self._waits)
            for fingerprint in named
        )
        self.rows.drop(fingerprints)
        for folder in folders:
            for name in folder.names():
                folder.remove(name)
            folder.tidy()

    def tidy(self) -> None:
        """Remove what died in the middle of writing, and signs of life that went out."""
        self.signs.tidy()
        for name in self.folder.folders():
            # By this one living runs know that the store is there.
            if name != SWEEPS:
                self.folder.folder(name).tidy()
        for table in self.tables.values():
            table.drops.folder.tidy()
        checkpoints = self.folder.folder("checkpoints")
        for name in checkpoints.folders():
            checkpoints.folder(name).tidy()


def sweep_name(name: str) -> str:
    """The name of a resolved sweep, without what tells its versions apart."""
    return name.rpartition(".")[0] if _VERSIONED.fullmatch(name) else name


def is_named_rightly(name: str, content: bytes) -> bool:
    """Whether a file is what its name says; resolved sweeps of older versions have no digest in theirs."""
    match = _VERSIONED.fullmatch(name)
    return match is None or match["digest"] == short_digest(content)


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
