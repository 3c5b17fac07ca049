"""Re-checks a store: is every file whole, is every row what it claims, has every trial what it needs?

Nothing is trusted: fingerprints are computed anew from the stored trials, weights are compared with their
checksums, dependencies are looked up. Each finding says how to mend it; `kdsweep prune STORE damaged` does
what can be done without a person, and the next run makes again what it took away.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from orchestrator.store.columns import NewerSchemaError
from orchestrator.store.store import Store
from orchestrator.store.table import MERGED, SUFFIX, ParquetTable
from trainer.positions import FINAL
from trainer.problems import PlacedError
from trainer.trial import TRIAL, num_epochs

PRUNED = "pruned"
"""A file of this name in a checkpoint folder: its weights were removed on purpose."""

RUN_AGAIN = "kdsweep prune STORE damaged, then run the sweep again"


@dataclass(frozen=True)
class Finding:
    """One thing that is broken: where, what, and how to mend it.

    `file` names a table's file that must go, as (table, name); `fingerprint` a trial that must.
    """

    where: str
    problem: str
    mend: str
    fingerprint: str | None = None
    file: tuple[str, str] | None = None


def verify(store: Store) -> list[Finding]:
    """All that is broken in a store; nothing is changed."""
    findings: list[Finding] = []
    tables: dict[str, pa.Table] = {}
    for name, table in store.tables.items():
        whole, broken = table.examine(partial(_files_of, table, name))
        findings += broken
        tables[name] = pa.concat_tables(whole) if whole else table.schema.empty_table()
    rows = {row["fingerprint"]: row for row in tables["results"].to_pylist()}
    curves: dict[str, set[int]] = {}
    for row in tables["epochs"].select(["fingerprint", "epoch"]).to_pylist():
        curves.setdefault(row["fingerprint"], set()).add(row["epoch"])
    for fingerprint, row in rows.items():
        problem = _row_problem(row)
        where = f"results {fingerprint}"
        if problem is not None:
            findings.append(Finding(where, problem, RUN_AGAIN, fingerprint))
        else:
            curve = curves.get(fingerprint, set())
            findings += (Finding(where, *lost) for lost in _lost_around(row, rows, curve))
    findings += _checkpoint_findings(store, rows)
    return findings


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
        named = name.removesuffix(SUFFIX).partition("-")[0]
        if not name.startswith(MERGED) and set(rows["fingerprint"].to_pylist()) - {named}:
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


def _lost_around(
    row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], epochs: set[int]
) -> Iterator[tuple[str, str]]:
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


def as_json(findings: list[Finding]) -> list[dict[str, str | None]]:
    """The findings for scripts."""
    return [
        {"where": f.where, "problem": f.problem, "mend": f.mend, "fingerprint": f.fingerprint}
        for f in findings
    ]
