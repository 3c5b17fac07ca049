"""What failed for good, and every trial with where its numbers are from."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.grid import DASH
from analysis.markup import tag, text
from analysis.predictors import OWN_KIND
from orchestrator.store.store import Store


def unfinished(store: Store, wanted: Collection[str] | None) -> list[dict[str, Any]]:
    """The last failed attempt of every trial that has no result."""
    finished = store.finished()
    last = {row["fingerprint"]: row for row in store.failures().to_pylist()}
    return [
        row
        for fingerprint, row in last.items()
        if fingerprint not in finished and (wanted is None or fingerprint in wanted)
    ]


def failures(failed: Sequence[Mapping[str, Any]]) -> str:
    if not failed:
        return tag("p", "No trial is left failed.", class_="note")
    lines = [
        tag(
            "tr",
            tag("th", text(row["fingerprint"][:12]), scope="row"),
            *(
                tag("td", text(value))
                for value in (
                    _what(row),
                    row["seed"],
                    "the machine" if row["by_machine"] else "the program",
                    row["error"] or "",
                    f"{row['at']:%Y-%m-%d %H:%M}" if row["at"] else DASH,
                )
            ),
        )
        for row in failed
    ]
    return _table(("trial", "what", "seed", "stopped by", "error", "last attempt (UTC)"), lines)


def _what(row: Mapping[str, Any]) -> str:
    models = "/".join(filter(None, (row["teacher"], row["student"])))
    return " ".join(filter(None, (row["kind"], row["dataset"], models, row["augmentation"])))


_TRIAL_COLUMNS = (
    *("trial", "what", "seed", "value", "source", "versions", "device", "host"),
    *("hours", "finished (UTC)", "depends on"),
)


def trials(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    ordered = rows.sort_values(["kind", "dataset", "teacher", "augmentation", "seed"])
    shown = set(rows["fingerprint"])
    lines = [_trial(row, shown) for row in ordered.to_dict("records")]
    summary = tag("summary", text(f"{len(lines)} trials with their provenance"))
    return tag("details", summary, _table(_TRIAL_COLUMNS, lines))


def _trial(row: Mapping[Any, Any], shown: set[str]) -> str:
    known = {str(key): value for key, value in row.items() if not _is_absent(value)}
    if known["kind"] == "stddev":
        value = f"T. stddev {_number(known.get('t_stddev'), 6)}"
    elif known["kind"] == OWN_KIND:
        value = f"{known['predictor']} {_number(known.get('predictor_value'), 6)}"
    else:
        value = f"loss {_number(known.get('test_loss'), 4)}"
    versions = [
        f"{name} {known[column]}"
        for name, column in (("kdsweep", "kdsweep_version"), ("torch", "torch_version"))
        if column in known
    ]
    if "git_commit" in known:
        versions.append(str(known["git_commit"])[:10])
    origin = known.get("origin")
    links = [
        tag("a", text(known[key][:12]), href=f"#t-{known[key]}")
        for key in ("teacher_fingerprint", "student_fingerprint")
        if known.get(key) in shown
    ]
    hours = known.get("wall_seconds")
    finished = known.get("finished_at", known.get("started_at"))
    cells = (
        _what(
            {
                key: known.get(key)
                for key in ("kind", "dataset", "teacher", "student", "augmentation")
            }
        ),
        known.get("seed", ""),
        value,
        known["source"] + (f": {origin}" if origin else ""),
        ", ".join(versions),
        ", ".join(str(known[key]) for key in ("device", "precision") if key in known),
        known.get("host", ""),
        f"{hours / 3600:.2f}" if hours is not None else "",
        finished.strftime("%Y-%m-%d %H:%M") if finished is not None else "",
    )
    fingerprint = str(known["fingerprint"])
    return tag(
        "tr",
        tag("th", tag("code", text(fingerprint[:12]), title=fingerprint), scope="row"),
        *(tag("td", text(cell)) for cell in cells),
        tag("td", " ".join(links)),
        id=f"t-{fingerprint}",
    )


def _number(value: float | None, digits: int) -> str:
    return "not finite" if value is None or math.isinf(value) else f"{value:.{digits}f}"


def _is_absent(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _table(headings: Sequence[str], lines: Sequence[str]) -> str:
    head = tag("tr", *(tag("th", text(heading), scope="col") for heading in headings))
    table = tag("table", tag("thead", head), tag("tbody", *lines), class_="plain")
    return tag("div", table, class_="scroll")
