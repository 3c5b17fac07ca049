"""The report as a page: its sections, one function each, and how they are put together."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

import pandas as pd

from analysis.coefficients import NAMES
from analysis.correlation_tables import interval, number, p_equals, permutation_words
from analysis.curves import curves, read_epochs
from analysis.evidence import Findings
from analysis.filters import Filter
from analysis.formats import html_tables
from analysis.grid import DASH
from analysis.marks import Mark, marks
from analysis.markup import data_block, page, tag, text
from analysis.metrics import METRIC_NAMES, S_ACCURACY, S_TEST_LOSS, T_STDDEV, Metric
from analysis.plots.forest import forest_lines
from analysis.points import Mean, Panel, in_order
from analysis.report.charts import SHAPES, clip_definition, curve_card, forest_rows, scatter_card
from analysis.report.methods import methods
from analysis.report.stated import stated_power
from analysis.settings import OWN
from analysis.tables import table_grids
from analysis.teachers import Measured, teachers_alone
from orchestrator.store.store import Store

CLAIM = "kendall"
"""The coefficient of the headline: of the three it says most about an order, and least about outliers."""


class Progress(Protocol):
    """How far a sweep is; counts are None where they are unknown."""

    @property
    def name(self) -> str: ...
    @property
    def total(self) -> int | None: ...
    @property
    def done(self) -> int | None: ...
    @property
    def failed(self) -> int | None: ...


@dataclass(frozen=True)
class Section:
    """A part of the page; left out where its body is empty."""

    identifier: str
    title: str
    body: str


def render_report(
    store: Store,
    rows: pd.DataFrame,
    findings: Findings,
    *,
    group_by: Sequence[str],
    filters: Sequence[Filter],
    progress: Sequence[Progress],
    commit: str | None,
    fingerprints: Collection[str] | None = None,
) -> str:
    """The whole page. It loads nothing: style, script and data are inside, and its policy allows no more.

    Args:
        store: where curves and failures are.
        rows: what is shown of it (`analysis.rows.read_rows`).
        findings: what its panels say.
        group_by: what tables are cut by.
        filters: that left these rows.
        progress: of the sweeps.
        commit: of the checkout that writes the page.
        fingerprints: of which trials failures are told; None: of all.
    """
    panels = [evidence.panel for evidence in findings.evidence]
    names = in_order(point.augmentation for panel in panels for point in panel.points)
    looks = marks(names)
    classes = {name: f"m{i}" for i, name in enumerate(names)}
    teachers = teachers_alone(rows, panels, filters)
    unfinished = _unfinished(store, fingerprints)
    stated = stated_power(store, None if fingerprints is None else {s.name for s in progress})
    sections = [
        Section("points", "T. stddev against S. test loss", _points(findings, looks, classes)),
        Section("coefficients", "How sure is that", _forest(findings)),
        Section("tables", "Tables", _tables(panels, findings, group_by, teachers)),
        Section("curves", "Learning curves", _curves(store, panels, looks, classes)),
        Section("methods", "Methods", methods(rows, findings, commit, stated)),
        Section("failures", "Failures", _failures(unfinished)),
        Section("trials", "Every trial", _trials(rows)),
    ]
    filled = [section for section in sections if section.body]
    body = (
        _header(store, filters, filled),
        tag(
            "main",
            _summary(rows, panels, findings, progress, len(unfinished)),
            *map(_section, filled),
        ),
        '<div id="tip" role="status" hidden></div>',
        data_block("point-data", _point_data(panels)),
    )
    style = _asset("page.css") + _mark_styles(looks, classes)
    title = f"{store.name}: kdsweep report"
    return page(title, style, *body, script=_asset("page.js"), body_class="values")


def _asset(name: str) -> str:
    return resources.files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def _mark_styles(looks: Mapping[str, Mark], classes: Mapping[str, str]) -> str:
    return "".join(
        f".{classes[name]}{{--mark:light-dark({mark.colour},{mark.on_dark})}}\n"
        for name, mark in looks.items()
    )


def _header(store: Store, filters: Sequence[Filter], sections: Sequence[Section]) -> str:
    links = [tag("a", text(s.title), href=f"#{s.identifier}") for s in sections]
    shown = " ".join([store.name, *(f"--filter {wanted}" for wanted in filters)])
    toggle = tag("button", "Dark", id="theme", type="button", aria_label="light or dark")
    return tag(
        "header",
        tag("div", tag("strong", "kdsweep"), tag("span", text(shown)), class_="brand"),
        tag("nav", *links),
        toggle,
    )


def _section(section: Section) -> str:
    return tag("section", tag("h2", text(section.title)), section.body, id=section.identifier)


# The top of the page


def _summary(
    rows: pd.DataFrame,
    panels: Sequence[Panel],
    findings: Findings,
    progress: Sequence[Progress],
    num_failed: int,
) -> str:
    kinds = Counter(rows["kind"])
    seeds = {seed for p in panels for _, x, y in p.cells() for c in (x, y) for seed in c.seeds}
    num_imported = int((rows["source"] != OWN).sum())
    augmentations = {point.augmentation for panel in panels for point in panel.points}
    tiles = [
        (len({(p.dataset, p.pair) for p in panels}), "pair on a data set", "pairs on data sets"),
        (len(augmentations), "augmentation", "augmentations"),
        (len(seeds), "seed", "seeds"),
        (kinds["student"], "student", "students"),
        (kinds["stddev"], "T. stddev run", "T. stddev runs"),
        (kinds["teacher"], "teacher", "teachers"),
        (num_failed, "failed", "failed"),
    ]
    if num_imported:
        tiles.append((num_imported, "imported", "imported"))
    shown = [
        tag(
            "div",
            tag("b", text(count)),
            tag("span", text(one if count == 1 else many)),
            class_="tile bad" if many == "failed" and count else "tile",
        )
        for count, one, many in tiles
    ]
    return tag(
        "div",
        tag("h1", "Does T. stddev predict S. test loss?"),
        tag("p", _claim(findings), class_="claim"),
        tag("div", *shown, class_="tiles"),
        *(_progress(sweep) for sweep in progress),
        class_="summary",
    )


def _claim(findings: Findings) -> str:
    """One sentence with the coefficient, its interval and its p-value: of the store's own results, if it has any."""
    sources = {evidence.panel.source for evidence in findings.evidence}
    for source in sorted(sources, key=lambda source: source != OWN):
        if claim := _claim_of(source, findings, is_alone=len(sources) == 1):
            return claim
    return "Not yet known: no pair has three augmentations with both values."


def _claim_of(source: str, findings: Findings, *, is_alone: bool) -> str | None:
    """Of the widest pool of a source, else of its first panel with a coefficient; None where there is none."""
    whose = "" if is_alone and source == OWN else f" ({source} results)"
    mine = [evidence for evidence in findings.evidence if evidence.panel.source == source]
    pools = [pooled for pooled in findings.pooled if pooled.source == source]
    defined = [e for e in mine if math.isfinite(e.estimates[CLAIM].value)]
    if pools and math.isfinite(pools[-1].estimates[CLAIM].value):
        pooled = pools[-1]
        estimate = pooled.estimates[CLAIM]
        teachers = f"{len(pooled.teachers)} teacher{'s' if len(pooled.teachers) > 1 else ''}"
        num_all = len({(e.panel.dataset, e.panel.pair) for e in mine})
        of_all = f" of {num_all}" if pooled.num_pairs < num_all else ""
        where = f"Over {pooled.num_pairs}{of_all} pairs of {teachers}"
        value, p, wide, n = estimate.value, estimate.p, estimate.over_augmentations, pooled.n
    elif defined:
        (evidence, *_) = defined
        own = evidence.estimates[CLAIM]
        where = f"For {text(evidence.panel.title)}"
        value, p, wide, n = own.value, own.p, own.over_augmentations, evidence.n
    else:
        return None
    reach = f" (95% over augmentations: {interval(wide)})" if math.isfinite(wide.low) else ""
    return (
        f"{where}{text(whose)}, Kendall's τ is <b>{number(value, 2)}</b>{reach}; "
        f"if the two were unrelated, so strong a value would come up with {text(p_equals(p))}. "
        f"n = {n} augmentations."
    )


def _progress(sweep: Progress) -> str:
    if sweep.total is None or sweep.done is None:
        words = f"{sweep.name}: this kdsweep cannot read the sweep as it was saved"
        return tag("p", text(words), class_="progress")
    share = sweep.done / sweep.total if sweep.total else 1.0
    words = f"{sweep.name}: {sweep.done} of {sweep.total} trials finished"
    if sweep.failed:
        words += f", {sweep.failed} failed"
    if sweep.done < sweep.total:
        words += ": everything below is partial"
    bar = tag("i", tag("i", style=f"width:{100 * share:.1f}%"), class_="bar")
    return tag("p", bar, text(words), class_="progress")


# Plots


def _points(findings: Findings, looks: Mapping[str, Mark], classes: Mapping[str, str]) -> str:
    shown = [evidence for evidence in findings.evidence if evidence.n]
    if not shown:
        return ""
    names = in_order(name for evidence in shown for name in evidence.augmentations)
    chips = [
        tag(
            "button",
            tag(
                "svg",
                tag("path", class_="mark", d=SHAPES[looks[name].shape]),
                viewBox="-8 -8 16 16",
                aria_hidden="true",
            ),
            text(name),
            class_=f"chip {classes[name]}",
            type="button",
            data_name=name,
            aria_pressed="false",
        )
        for name in names
    ]
    switch = tag(
        "div",
        tag("button", "Values", type="button", data_view="values", aria_pressed="true"),
        tag("button", "Ranks", type="button", data_view="ranks", aria_pressed="false"),
        class_="switch",
        role="group",
        aria_label="what the axes show",
    )
    hint = (
        "Means over seeds, bars: ± 1 standard deviation. Point at a mark for its numbers, press it to keep "
        "them and to reach its trials; press a name to single it out. "
        f"p: {permutation_words({e.is_exact for e in shown if e.n >= 3})}."
    )
    cards = [scatter_card(evidence, looks, classes) for evidence in shown]
    few = " few" if len(cards) < 3 else ""
    return (
        tag("div", tag("div", *chips, class_="chips"), switch, class_="controls")
        + tag("p", hint, class_="note")
        + tag("div", *cards, class_=f"cards{few}")
    )


def _forest(findings: Findings) -> str:
    by_name = {name: forest_lines(findings, name) for name in NAMES}
    if not by_name[CLAIM]:
        return ""
    note = (
        "Thick: 95% over seeds, these augmentations fixed: what as many other seeds give on average. "
        "Thin: 95% over augmentations. "
        "A pooled value counts each teacher once, however many pairs share it."
    )
    return tag("p", note, class_="note") + forest_rows(by_name)


def _tables(
    panels: Sequence[Panel],
    findings: Findings,
    group_by: Sequence[str],
    teachers: Sequence[Measured],
) -> str:
    return html_tables(table_grids(panels, findings, METRIC_NAMES, group_by, teachers))


def _curves(
    store: Store,
    panels: Sequence[Panel],
    looks: Mapping[str, Mark],
    classes: Mapping[str, str],
) -> str:
    epochs = read_epochs(store)
    drawn = [(panel, curves(panel, epochs)) for panel in panels]
    # A curve is of two epochs or more.
    long = [(panel, [c for c in lines if len(c.epochs) > 1]) for panel, lines in drawn]
    cards = [curve_card(panel.title, lines, looks, classes) for panel, lines in long if lines]
    few = " few" if len(cards) < 3 else ""
    return clip_definition() + tag("div", *cards, class_=f"cards{few}") if cards else ""


# Failures and provenance


def _unfinished(store: Store, wanted: Collection[str] | None) -> list[dict[str, Any]]:
    """The last failed attempt of every trial that has no result."""
    finished = store.finished()
    last = {row["fingerprint"]: row for row in store.failures().to_pylist()}
    return [
        row
        for fingerprint, row in last.items()
        if fingerprint not in finished and (wanted is None or fingerprint in wanted)
    ]


def _failures(failed: Sequence[Mapping[str, Any]]) -> str:
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


def _trials(rows: pd.DataFrame) -> str:
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


# What the script shows


def _point_data(panels: Sequence[Panel]) -> dict[str, Any]:
    """By panel and augmentation, what a point tells when it is pointed at."""
    return {
        f"{panel.title}|{point.augmentation}": {
            "name": point.augmentation,
            "panel": panel.title,
            "rows": [
                [metric.title, _told(metric, mean), list(mean.seeds)]
                for metric in (T_STDDEV, S_TEST_LOSS, S_ACCURACY)
                if (mean := metric.of(point)) is not None and mean.n
            ],
            "trials": [
                [label, f"t-{fingerprint}"]
                for kind, mean in (("T. stddev", point.t_stddev), ("student", point.test_loss))
                if mean is not None
                for label, fingerprint in zip(
                    [f"{kind}, seed {seed}" for seed in mean.seeds], mean.fingerprints, strict=True
                )
            ],
        }
        for panel in panels
        for point in panel.points
        if point.is_complete
    }


def _told(metric: Metric, mean: Mean) -> str:
    undefined = f" ({mean.num_undefined} not finite)" if mean.num_undefined else ""
    return metric.cell(mean) + undefined
