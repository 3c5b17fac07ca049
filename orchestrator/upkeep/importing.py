"""Brings logs of the authors' code into a store, beside its own results and never among them.

An imported row lives in `imported/`, where no plan looks, under a fingerprint of what was run and of the run's
id. So importing a folder twice, or a log that was copied, changes nothing; a second log that says something
else of the same run is refused. What an older kdsweep made of the same log is replaced.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.store.store import Store
from orchestrator.upkeep.author_logs import AuthorRun, needs_student, parse_log
from trainer.problems import UserError
from trainer.trial import canonical_json, digest


@dataclass
class ImportReport:
    """What became of the logs of a folder."""

    imported: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)


def import_logs(folder: Path, store: Store) -> ImportReport:
    """Import every log.txt and bare .txt file below a folder; what cannot be read is named and left.

    Raises:
        UserError: there is no such folder, or no log in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one with log.txt files")
    paths = sorted(folder.rglob("*.txt"))
    if not paths:
        raise UserError(f"{folder}: no log.txt and no other .txt file below it")
    report = ImportReport()
    before = {row["fingerprint"]: row for row in store.imported().to_pylist()}
    by_log = {row["log_sha256"]: fingerprint for fingerprint, row in before.items()}
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            content = path.read_bytes()
            run = parse_log(content.decode(errors="replace"), name)
            row = imported_row(run, name, hashlib.sha256(content).hexdigest())
            seen = before.get(row["fingerprint"])
            if seen is not None:
                _check_same(seen, row, name)
                report.known += 1
                continue
            store.add_imported(row, run.curve)
            if (older := by_log.get(row["log_sha256"])) is not None:
                store.forget_imported([older])
        except (UserError, OSError) as error:
            report.refused.append(str(error))
            continue
        before[row["fingerprint"]] = row
        by_log[row["log_sha256"]] = row["fingerprint"]
        report.imported += 1
    return report


def imported_row(run: AuthorRun, origin: str, log_sha256: str) -> dict[str, Any]:
    """The row of an imported run. Its cell holds runs that differ in the run's id only.

    The teacher's weights are known by the path of their checkpoint alone, so imported runs of one teacher
    are those of one data set, architecture and path.
    """
    path = run.settings.get("path_t", "")
    teacher = {"imported": "teacher", "dataset": run.dataset, "teacher": run.teacher, "path": path}
    identity = {
        **run.settings,
        "kind": run.kind,
        "dataset": run.dataset,
        "teacher": run.teacher,
        "augmentation": run.augmentation,
        "epochs": run.epochs,
        "teacher_fingerprint": digest(teacher),
        **({"student": run.student} if needs_student(run) else {}),
    }
    return {
        "fingerprint": digest({**identity, "run": run.run_id}),
        "kind": run.kind,
        "dataset": run.dataset,
        "teacher": run.teacher,
        "student": run.student if needs_student(run) else None,
        "augmentation": run.augmentation,
        "seed": run.seed,
        "cell": digest(identity),
        "teacher_fingerprint": digest(teacher),
        "test_loss": run.test_loss,
        "test_accuracy": run.test_accuracy,
        "best_accuracy": run.best_accuracy,
        "best_epoch": run.best_epoch,
        "t_stddev": run.t_stddev,
        "num_windows": run.num_windows,
        "trial": canonical_json(identity),
        "source": "imported",
        "origin": origin,
        "run_id": run.run_id,
        "log_sha256": log_sha256,
        "started_at": run.started_at,
    }


def _check_same(seen: dict[str, Any], row: dict[str, Any], name: str) -> None:
    for metric in ("test_loss", "t_stddev"):
        if repr(seen[metric]) != repr(row[metric]):
            raise UserError(
                f"{name}:1: run {row['run_id']} was imported from {seen['origin']} with "
                f"{metric} {seen[metric]}, here it is {row[metric]}"
            )
