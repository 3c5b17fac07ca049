"""Re-checks a store: is every file whole, is every row what it claims, has every trial what it needs?

Nothing is trusted: fingerprints are computed anew from the stored trials, weights are compared with their
checksums, dependencies are looked up. Each finding says how to mend it; `kdsweep prune STORE damaged` does
what can be done without a person, and the next run makes again what it took away.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from orchestrator.store.columns import NewerSchemaError
from orchestrator.store.store import Store, is_whole_sweep
from orchestrator.store.table import ParquetTable, fingerprint_in
from trainer.files import LocalFolder
from trainer.positions import FINAL
from trainer.problems import PlacedError
from trainer.trial import TRIAL, num_epochs
from trainer.trial_log import TRIAL_FILE, is_whole

PRUNED = "pruned"
"""A file of this name in a checkpoint folder: its weights were removed on purpose."""

REMOVE = "kdsweep prune STORE damaged; the next run of the sweep writes it again"
OF_THE_LAST_EPOCH = ("train_loss", "test_loss", "test_accuracy")
Row = Mapping[str, Any]

RUN_AGAIN = "kdsweep prune STORE damaged, then run the sweep again"


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
        whole, broken = table.examine(partial(_files_of, table, name))
        findings += broken
        tables[name] = pa.concat_tables(whole) if whole else table.schema.empty_table()
    rows = {row["fingerprint"]: row for row in tables["results"].to_pylist()}
    curves: dict[str, list[Row]] = {}
    for row in tables["epochs"].to_pylist():
        curves.setdefault(row["fingerprint"], []).append(row)
    for fingerprint, row in rows.items():
        problem = _row_problem(row)
        where = f"results {fingerprint}"
        if problem is not None:
            findings.append(Finding(where, problem, RUN_AGAIN, fingerprint))
        else:
            curve = _newest(curves.get(fingerprint, []))
            findings += (Finding(where, *lost) for lost in _lost_around(row, rows, set(curve)))
            if (told := _contradiction(row, curve)) is not None:
                findings.append(Finding(where, told, RUN_AGAIN, fingerprint))
    findings += _checkpoint_findings(store, rows)
    findings += _file_findings(store)
    findings += _mixtures(rows.values())
    return findings


def _newest(curve: Sequence[Row]) -> dict[int, Row]:
    """By epoch, as a reader sees it: of a trial that was computed twice, the curve that was written last."""
    ordered = sorted(curve, key=lambda row: (row["written_at"] is not None, row["written_at"]))
    return {row["epoch"]: row for row in ordered}


def _contradiction(row: Row, curve: Mapping[int, Row]) -> str | None:
    """Where a row says something else than its learning curve, which was written by itself."""
    if not curve:
        return None
    last = curve[max(curve)]
    names = ["t_stddev", "num_windows"] if row["kind"] == "stddev" else [*OF_THE_LAST_EPOCH]
    told = {name: (row[name], last[name]) for name in names}
    accuracies = [point["test_accuracy"] for point in curve.values()]
    if row["kind"] != "stddev" and None not in accuracies:
        told["best_accuracy"] = (row["best_accuracy"], max(accuracies))
    for name, (of_row, of_curve) in told.items():
        if None not in (of_row, of_curve) and of_row != of_curve:
            return f"{name} is {of_row}, but its learning curve says {of_curve}"
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
    for name, content in store.sweeps().items():
        if not is_whole_sweep(name, content):
            where, file = f"{store.address}/sweeps/{name}.json", ("sweeps", f"{name}.json")
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


def _files_of(
    table: ParquetTable, table_name: str, names: list[str]
) -> tuple[list[pa.Table], list[Finding]]:
    """The rows of the files that can be read, and what is wrong with the others."""
    whole, broken = [], []
    for name in names:
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
    return whole, broken


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
    metric = "t_stddev" if trial.kind == "stddev" else "test_loss"
    if row[metric] is None or not math.isfinite(row[metric]):
        return f"{metric} is {row[metric]}"
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
            if fingerprint in rows:
                yield Finding(error.where, error.problem, RUN_AGAIN, fingerprint)
            else:
                mend = (
                    "nothing to do: the run goes on from the checkpoint before, or from the start"
                )
                yield Finding(error.where, error.problem, mend)
    for fingerprint, row in rows.items():
        try:
            names = store.checkpoint_folder(fingerprint).names()
        except PlacedError as error:
            yield Finding(error.where, error.problem, "remove it, then run the sweep again")
            continue
        if row["kind"] != "stddev" and FINAL not in names and PRUNED not in names:
            where = f"{folders.address}/{fingerprint}"
            yield Finding(where, "its final weights are missing", RUN_AGAIN, fingerprint)


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
