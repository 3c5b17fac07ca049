"""Re-checks a store: is every file whole, is every row what it claims, has every trial what it needs?

Nothing is trusted: fingerprints are computed anew from the stored trials, weights are compared with their
checksums, dependencies are looked up. Each finding says how to mend it; `kdsweep prune STORE damaged` does
what can be done without a person, and the next run makes again what it took away.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from orchestrator.store.columns import NewerSchemaError
from orchestrator.store.drops import FOLDER, Drop
from orchestrator.store.store import (
    POWER,
    SWEEPS,
    Store,
    WeightsUnknownError,
    is_named_rightly,
)
from orchestrator.store.table import Listing, ParquetTable, fingerprint_in
from orchestrator.worker.attempts import NAME as ATTEMPTS
from orchestrator.worker.attempts import attempts_in
from trainer.files import Folder, LocalFolder
from trainer.positions import FINAL
from trainer.problems import PlacedError
from trainer.trial import TRIAL, computed_in, num_epochs
from trainer.trial_log import TRIAL_FILE, is_whole

DEPENDENCIES = ("teacher_fingerprint", "student_fingerprint", "student_cell")
PRUNED = "pruned"
"""A file of this name in a checkpoint folder: its weights were removed on purpose."""

REMOVE = "kdsweep prune STORE damaged; the next run of the sweep writes it again"
OF_THE_LAST_EPOCH = ("train_loss", "test_loss", "test_accuracy")
OF_TRAINING = (*OF_THE_LAST_EPOCH, "best_accuracy", "best_epoch")
ANSWERS = ("entropy", "confidence", "covariance_trace")
OF_STDDEV = (
    *("t_stddev", "t_stddev_stderr", "num_windows"),
    *(name for key in ANSWERS for name in (key, f"{key}_stderr")),
)
OF_PREDICTOR = ("predictor_value", "predictor_stderr")

BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "train_loss": (-sys.float_info.max, sys.float_info.max),
        **dict.fromkeys(("test_accuracy", "best_accuracy"), (0.0, 1.0)),
        **dict.fromkeys(("test_loss", *OF_STDDEV), (0.0, sys.float_info.max)),
        "confidence": (0.0, 1.0),
        "predictor_value": (-sys.float_info.max, sys.float_info.max),
        "predictor_stderr": (0.0, sys.float_info.max),
        **dict.fromkeys(("wall_seconds", "device_seconds"), (0.0, sys.float_info.max)),
        **dict.fromkeys(("best_epoch", "num_windows", "num_threads"), (1, math.inf)),
        **dict.fromkeys(("num_attempts", "group_size"), (1, math.inf)),
        "num_teacher_passes": (0, math.inf),
    }
)
"""Between which the columns of a result lie, whatever was computed; ends are allowed."""

Row = Mapping[str, Any]

RUN_AGAIN = "kdsweep prune STORE damaged, then run the sweep again"

LEFTOVER = "kdsweep prune STORE damaged; its trial is finished and does not need it"

DROP_AGAIN = (
    "kdsweep prune STORE damaged; what is there then was not dropped, or may be dropped again"
)


@dataclass(frozen=True)
class Finding:
    """One thing that is broken: where, what, and how to mend it.

    `file` names a file that must go, as (folder of the store, name); `fingerprint` a trial that must. A note is
    worth knowing, but nothing is broken.
    """

    where: str
    problem: str
    mend: str
    fingerprint: str | None = None
    file: tuple[str, str] | None = None
    is_note: bool = False


def verify(store: Store) -> list[Finding]:
    """All that is broken in a store; nothing is changed.

    What seems broken is looked at once more: one bad answer of a file system or an object store is no damage.
    """
    findings = _look(store)
    if all(finding.is_note for finding in findings):
        return findings
    again = frozenset(_look(store))
    return [finding for finding in findings if finding in again]


def _look(store: Store) -> list[Finding]:
    findings: list[Finding] = []
    tables: dict[str, pa.Table] = {}
    for name, table in store.tables.items():
        tables[name], broken = table.examine(partial(_as_far_as_whole, table, name))
        findings += broken
    rows = {row["fingerprint"]: row for row in tables["results"].to_pylist()}
    curves: dict[str, dict[int, Row]] = {}
    for row in tables["epochs"].to_pylist():
        curves.setdefault(row["fingerprint"], {})[row["epoch"]] = row
    for fingerprint, row in rows.items():
        problem = _row_problem(row)
        where = f"results {fingerprint}"
        if problem is not None:
            findings.append(Finding(where, problem, RUN_AGAIN, fingerprint))
        else:
            curve = curves.get(fingerprint, {})
            findings += (Finding(where, *lost) for lost in _lost_around(row, rows, set(curve)))
            if (told := _contradiction(row, curve)) is not None:
                findings.append(Finding(where, told, RUN_AGAIN, fingerprint))
    findings += _checkpoint_findings(store, rows)
    findings += _file_findings(store)
    findings += _mixtures(rows.values())
    return findings


def _contradiction(row: Row, curve: Mapping[int, Row]) -> str | None:
    """Where a row says something else than its learning curve, which was written by itself.

    Where two workers computed the trial, row and curve may be of one each: then their bits are equal, but not how
    long they took.
    """
    if not curve:
        return None
    last = curve[max(curve)]
    if row["kind"] == "predictor":
        return None
    names = ["t_stddev", "num_windows"] if row["kind"] == "stddev" else [*OF_THE_LAST_EPOCH]
    told = {name: last[name] for name in names}
    accuracies = {epoch: curve[epoch]["test_accuracy"] for epoch in sorted(curve)}
    if row["kind"] != "stddev" and None not in accuracies.values():
        best = max(accuracies, key=accuracies.__getitem__)
        told |= {"best_accuracy": accuracies[best], "best_epoch": best}
    for name, of_curve in told.items():
        if None not in (row[name], of_curve) and row[name] != of_curve:
            return f"{name} is {row[name]}, but its learning curve says {of_curve}"
    return None


def _file_findings(store: Store) -> Iterator[Finding]:
    """Trials as YAML, and resolved sweeps, that are not what was written."""
    trials = LocalFolder(store.files / "trials")
    for fingerprint in trials.folders():
        folder = trials.folder(fingerprint)
        try:
            whole = is_whole(folder.read(TRIAL_FILE))
        except FileNotFoundError:
            continue
        if not whole:
            where = f"{folder.address}/{TRIAL_FILE}"
            file = (f"trials/{fingerprint}", TRIAL_FILE)
            yield Finding(where, "damaged: not what its checksum says", REMOVE, file=file)
    for place, files in ((SWEEPS, store.sweeps()), (POWER, store.stated_power())):
        for name, content in files.items():
            if not is_named_rightly(name, content):
                where, file = f"{store.address}/{place}/{name}.json", (place, f"{name}.json")
                yield Finding(where, "damaged: not what its name says", REMOVE, file=file)


def _mixtures(rows: Iterable[Row]) -> Iterator[Finding]:
    """Cells whose trials were computed by different code: their mean is over versions as well as over seeds."""
    digests: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row["trainer_sha256"] and row["cell"]:
            digests.setdefault((row["cell"], row["kind"]), set()).add(row["trainer_sha256"])
    for (cell, kind), found in sorted(digests.items()):
        if len(found) > 1:
            versions = ", ".join(sorted(digest[:12] for digest in found))
            problem = (
                f"its trials were computed by {len(found)} versions of the trainer: {versions}"
            )
            mend = "nothing is broken; git log trainer/ tells whether the versions differ in what they compute"
            yield Finding(f"cell {cell} of {kind} trials", problem, mend, is_note=True)


def _as_far_as_whole(
    table: ParquetTable, table_name: str, listing: Listing
) -> tuple[pa.Table, list[Finding]]:
    """What a reader would see of the files that can be read, and what is wrong with the others."""
    whole, broken = [], []
    dropped: set[Drop] = set()
    for name in listing.names:
        try:
            rows = table.check(name)
        except NewerSchemaError as error:
            broken.append(Finding(error.where, error.problem, "update kdsweep"))
            continue
        except PlacedError as error:
            file = (table_name, name)
            broken.append(Finding(error.where, error.problem, RUN_AGAIN, file=file))
            continue
        named = fingerprint_in(name)
        if named is not None and set(rows["fingerprint"].to_pylist()) - {named}:
            where = f"{table.folder.address}/{name}"
            problem = "holds a row of another fingerprint than its name says"
            broken.append(Finding(where, problem, RUN_AGAIN, file=(table_name, name)))
            continue
        whole.append(rows)
    for name in listing.drops:
        try:
            dropped |= table.drops.check(name)
        except PlacedError as error:
            file = (f"{table_name}/{FOLDER}", name)
            broken.append(Finding(error.where, error.problem, DROP_AGAIN, file=file))
    return table.as_read(whole, dropped), broken


def _row_problem(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a result row itself, if anything."""
    try:
        trial = TRIAL.validate_json(row["trial"] or "")
    except ValidationError as error:
        return f"its trial is not one: {error.errors()[0]['msg']}"
    if trial.fingerprint != row["fingerprint"]:
        return f"its trial has the fingerprint {trial.fingerprint}: row or trial was changed"
    told = {name: row[name] for name in ("kind", "dataset", "teacher", "student", "augmentation")}
    for name, value in {**told, "seed": row["seed"], "cell": row["cell"]}.items():
        if value != getattr(trial, name):
            return f"{name} is {value!r}, but {getattr(trial, name)!r} in its trial"
    # Files of older schemas lack these: what is not told contradicts nothing.
    more = {name: getattr(trial, name, None) for name in (*DEPENDENCIES, "predictor")}
    for name, value in {**more, "precision": computed_in(trial)}.items():
        if row[name] is not None and row[name] != value:
            return f"{name} is {row[name]!r}, but {value!r} in its trial"
    return _number_problem(row)


def _number_problem(row: Row) -> str | None:
    """Which number of a row nothing can have computed."""
    metric = {"stddev": "t_stddev", "predictor": "predictor_value"}.get(row["kind"], "test_loss")
    if row[metric] is None or not math.isfinite(row[metric]):
        return f"{metric} is {row[metric]}"
    # Older files have NaN for null, and NaN is neither below nor above anything.
    known = {name: row[name] for name in BOUNDS if row[name] is not None}
    for name, (least, most) in ((name, BOUNDS[name]) for name in known):
        if known[name] < least or known[name] > most:
            return f"{name} is {known[name]}, which cannot be"
    own = {"stddev": OF_STDDEV, "predictor": OF_PREDICTOR}.get(row["kind"], OF_TRAINING)
    of_others = {*OF_TRAINING, *OF_STDDEV, *OF_PREDICTOR}.difference(own)
    for name in sorted(known.keys() & of_others):
        if not math.isnan(known[name]):
            return f"{name} is {known[name]}, but a {row['kind']} trial has none"
    return None


def _lost_around(row: Row, rows: Mapping[str, Row], epochs: set[int]) -> Iterator[tuple[str, str]]:
    """What is missing beside a row that is right: that is no reason to take the row out, too."""
    trial = TRIAL.validate_json(row["trial"])
    wanted = num_epochs(trial)
    if epochs != set(range(1, wanted + 1)):
        problem = f"its learning curve has {len(epochs)} epochs of {wanted}"
        again = f"its result is whole; to have the curve: kdsweep prune STORE {trial.fingerprint}"
        yield problem, f"{again}, then run the sweep again"
    for fingerprint in trial.depends_on:
        if fingerprint not in rows:
            yield f"it depends on {fingerprint}, which has no row", "run the sweep again"


def _checkpoint_findings(store: Store, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    from trainer.checkpoint import CheckpointFolder

    folders = store.folder.folder("checkpoints")
    for fingerprint in folders.folders():
        folder = folders.folder(fingerprint)
        for error in CheckpointFolder(folder, fingerprint).damaged():
            name = error.where.rpartition("/")[2]
            if fingerprint in rows and name == FINAL:
                yield Finding(error.where, error.problem, RUN_AGAIN, fingerprint)
            elif fingerprint in rows:
                file = (f"checkpoints/{fingerprint}", name)
                yield Finding(error.where, error.problem, LEFTOVER, file=file)
            else:
                mend = (
                    "nothing to do: the run goes on from the checkpoint before, or from the start"
                )
                yield Finding(error.where, error.problem, mend)
        yield from _attempts_finding(folder)
    leaving = {fp for fp, row in rows.items() if row["kind"] not in ("stddev", "predictor")}
    try:
        if leaving:
            store.check_weights_disk()
    except WeightsUnknownError as error:
        yield Finding(error.where, error.problem, error.mend)
        leaving.clear()
    for fingerprint in rows:
        try:
            names = store.checkpoint_folder(fingerprint).names()
        except PlacedError as error:
            yield Finding(error.where, error.problem, "remove it, then run the sweep again")
            continue
        if fingerprint in leaving and FINAL not in names and PRUNED not in names:
            where = f"{folders.address}/{fingerprint}"
            yield Finding(where, "its final weights are missing", RUN_AGAIN, fingerprint)


def _attempts_finding(folder: Folder) -> Iterator[Finding]:
    try:
        is_whole = attempts_in(folder.read(ATTEMPTS)) is not None
    except FileNotFoundError:
        return
    if not is_whole:
        mend = "nothing to do: how often its trial was begun stays unknown"
        yield Finding(f"{folder.address}/{ATTEMPTS}", "damaged: its digest is another", mend)


def as_json(findings: list[Finding]) -> list[dict[str, str | bool | None]]:
    """The findings for scripts."""
    return [
        {
            "where": f.where,
            "problem": f.problem,
            "mend": f.mend,
            "fingerprint": f.fingerprint,
            "is_note": f.is_note,
        }
        for f in findings
    ]
