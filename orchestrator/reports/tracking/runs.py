"""A finished trial as a run: its name, its settings, its curve, what came of it. Read from the store alone.

for run in tracked_runs(store.results().to_pylist(), store.epochs().to_pylist()): ...
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainer.problems import UserError

Scalar = str | int | float | bool

CURVES = ("train_loss", "test_loss", "test_accuracy", "learning_rate", "t_stddev")
"""Of an epoch; a kind of trial has those that it has."""

OUTCOMES: Mapping[str, Mapping[str, str]] = {
    "teacher": {"test_loss": "test_loss", "test_accuracy": "test_accuracy"},
    "student": {"test_loss": "s_test_loss", "test_accuracy": "s_accuracy"},
    "stddev": {
        name: name
        for key in ("t_stddev", "entropy", "confidence", "covariance_trace")
        for name in (key, f"{key}_stderr")
    },
    "predictor": {"predictor_value": "value", "predictor_stderr": "stderr"},
}
"""What a trial is made for: columns of its row by kind, and what tables call them."""

NOT_SETTINGS = frozenset({"kind", "semantics", "source", "path", "checksum", "sha256"})
"""What a trial says that nobody compares runs by."""


@dataclass(frozen=True)
class Step:
    """One epoch: when it ended, in Unix seconds, and its values."""

    epoch: int
    at: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """`path` names it below a folder, `title` to a person; `version` tells other results of one trial apart."""

    fingerprint: str
    version: str
    path: str
    title: str
    group: str
    kind: str
    settings: Mapping[str, Scalar]
    steps: tuple[Step, ...]
    ended_at: float
    outcome: Mapping[str, float]


def tracked_runs(
    results: Iterable[Mapping[str, Any]], epochs: Iterable[Mapping[str, Any]]
) -> Iterator[TrackedRun]:
    """The runs of a store's own rows."""
    curves: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for epoch in epochs:
        curves[epoch["fingerprint"]].append(epoch)
    for row in results:
        curve = sorted(curves[row["fingerprint"]], key=lambda epoch: int(epoch["epoch"]))
        yield _tracked(row, curve)


def _tracked(row: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> TrackedRun:
    ended_at = _unix(row["finished_at"])
    steps = tuple(_steps(curve, ended_at))
    outcome = {
        name: value
        for column, name in OUTCOMES.get(row["kind"], {}).items()
        if (value := row[column]) is not None
    }
    models = f"{row['teacher']}/{row['student']}" if row["student"] else str(row["teacher"])
    scheme = f" {row['augmentation']}" if row["augmentation"] else ""
    said = [[step.epoch, dict(step.values)] for step in steps]
    content = json.dumps({"curve": said, "outcome": outcome}, sort_keys=True)
    kind = row.get("predictor") or row["kind"]
    words = [kind, *([row["augmentation"]] if row["augmentation"] else [])]
    name = f"{'-'.join(words)}-seed{row['seed']}-{row['fingerprint'][:8]}"
    return TrackedRun(
        fingerprint=row["fingerprint"],
        version=hashlib.sha256(content.encode()).hexdigest()[:8],
        path="/".join(map(_as_name, (row["dataset"], models, name))),
        title=f"{kind}{scheme} {models} on {row['dataset']}, seed {row['seed']}",
        group=f"{row['dataset']} {models}",
        kind=row["kind"],
        settings=dict(_settings(_trial(row))),
        steps=steps,
        ended_at=ended_at,
        outcome=outcome,
    )


def _trial(row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(row["trial"]))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"result {row['fingerprint'][:12]}: its trial cannot be read; kdsweep verify tells more"
        ) from error


def _steps(curve: Sequence[Mapping[str, Any]], ended_at: float) -> Iterator[Step]:
    """Each epoch at the time at which it ended, if those after it followed without a break."""
    left_s = sum(epoch["seconds"] or 0.0 for epoch in curve)
    for epoch in curve:
        left_s -= epoch["seconds"] or 0.0
        values = {name: value for name in CURVES if (value := epoch[name]) is not None}
        yield Step(int(epoch["epoch"]), ended_at - left_s, values)


def _settings(trial: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Scalar]]:
    """Flat, by the names that the trial has for them; lists as text."""
    for key, value in trial.items():
        if key in NOT_SETTINGS or key.endswith("fingerprint") or value is None:
            continue
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield prefix + key, json.dumps(value)
        else:
            yield prefix + key, value


def _unix(time: datetime | None) -> float:
    return 0.0 if time is None else time.timestamp()


def _as_name(text: str) -> str:
    """A part of a path that is nothing but a name, whatever the text says."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).lstrip(".") or "_"
