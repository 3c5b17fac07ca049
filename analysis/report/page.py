"""The report as a page that tells a story: the answer, the evidence, the doubts, and what they stand on."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

import pandas as pd

from analysis.coefficients import NAMES
from analysis.contest import Contest
from analysis.contest_tables import contest_grids
from analysis.correlation_tables import permutation_words
from analysis.curves import curves, read_epochs
from analysis.evidence import Findings
from analysis.filters import Filter
from analysis.formats import html_table
from analysis.grid import Grid
from analysis.marks import Mark, marks
from analysis.markup import data_block, page, tag, text
from analysis.metrics import REGRET, Metric, metrics_of, names_with
from analysis.plots.forest import forest_lines
from analysis.points import Mean, Panel, names_shown
from analysis.regret_tables import regret_grids
from analysis.report.answer import CLAIM, Progress, answer, question
from analysis.report.charts import clip_definition, curve_card, mark_icon, scatter_card
from analysis.report.doubts import doubts
from analysis.report.forest import forest_rows
from analysis.report.methods import methods
from analysis.report.provenance import failures, trials, unfinished
from analysis.report.stated import stated_power
from analysis.tables import table_grids
from analysis.teachers import Measured
from orchestrator.store.store import Store

FEW = 3
"""Fewer cards than these share the whole width."""


@dataclass(frozen=True)
class Report:
    """All of a page but whether somebody goes on writing it."""

    title: str
    style: str
    body: tuple[str, ...]

    def html(self, reload_s: int | None = None) -> str:
        """The page. It loads nothing: style, script and data are inside, and its policy allows no more.

        Args:
            reload_s: so often, in seconds, it loads itself anew; None: never.
        """
        watch = tag("div", id="watched", data_every=reload_s, hidden="") if reload_s else ""
        script = _asset("page.js")
        return page(self.title, self.style, *self.body, watch, script=script, body_class="values")


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
    teachers: Sequence[Measured],
    contests: Sequence[Contest] = (),
    *,
    group_by: Sequence[str],
    filters: Sequence[Filter],
    progress: Sequence[Progress],
    commit: str | None,
    at: datetime,
    fingerprints: Collection[str] | None = None,
) -> Report:
    """What a store says, as a page.

    Args:
        store: where curves and failures are.
        rows: what is shown of it (`analysis.rows.read_rows`).
        findings: what its panels say.
        teachers: of which no student has finished.
        contests: of its predictors, where there are several.
        group_by: what tables are cut by.
        filters: that left these rows.
        progress: of the sweeps.
        commit: of the checkout that writes the page.
        at: when the store was read, in UTC.
        fingerprints: of which trials failures are told; None: of all.
    """
    panels = [evidence.panel for evidence in findings.evidence]
    names = names_shown(panels)
    looks = marks(names)
    classes = {name: f"m{i}" for i, name in enumerate(names)}
    failed = unfinished(store, fingerprints)
    stated = stated_power(store, None if fingerprints is None else {s.name for s in progress})
    sections = [
        Section("evidence", "Evidence", _evidence(findings, looks, classes)),
        Section("contest", "Predictors", _contest(contests)),
        Section("doubts", "Doubts", doubts(findings, has_stated_power=bool(stated))),
        Section("tables", "Tables", _tables(panels, findings, group_by, teachers)),
        Section("curves", "Learning curves", _curves(store, panels, looks, classes)),
        Section("methods", "Methods", methods(rows, findings, commit, stated)),
        Section("failures", "Failures", failures(failed)),
        Section("trials", "Every trial", trials(rows)),
    ]
    filled = [section for section in sections if section.body]
    body = (
        _header(store, filters, at, filled),
        tag(
            "main",
            answer(rows, panels, findings, progress, len(failed)),
            *map(_section, filled),
        ),
        '<div id="tip" role="status" hidden></div>',
        data_block("point-data", _point_data(panels)),
    )
    style = _asset("page.css") + _mark_styles(looks, classes)
    return Report(f"{store.name}: {question(findings)}", style, body)


def _asset(name: str) -> str:
    return resources.files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def _mark_styles(looks: Mapping[str, Mark], classes: Mapping[str, str]) -> str:
    return "".join(
        f".{classes[name]}{{--mark:light-dark({mark.colour},{mark.on_dark})}}\n"
        for name, mark in looks.items()
    )


def _header(
    store: Store, filters: Sequence[Filter], at: datetime, sections: Sequence[Section]
) -> str:
    links = [tag("a", text(s.title), href=f"#{s.identifier}") for s in sections]
    moment = tag("time", f"{at:%Y-%m-%d %H:%M} UTC", datetime=at.isoformat(timespec="seconds"))
    told = [tag("strong", "kdsweep"), tag("span", text(store.name), class_="store")]
    told += [tag("code", text(f"--filter {wanted}")) for wanted in filters]
    toggle = tag("button", "Dark", id="theme", type="button", aria_label="light or dark")
    return tag(
        "header",
        tag("div", *told, moment, class_="brand"),
        tag("nav", *links, aria_label="sections"),
        toggle,
    )


def _section(section: Section) -> str:
    return tag("section", tag("h2", text(section.title)), section.body, id=section.identifier)


def _evidence(findings: Findings, looks: Mapping[str, Mark], classes: Mapping[str, str]) -> str:
    return _points(findings, looks, classes) + _forest(findings) + _regret(findings)


def _points(findings: Findings, looks: Mapping[str, Mark], classes: Mapping[str, str]) -> str:
    drawn = [(f"panel-{i}", e) for i, e in enumerate(findings.evidence) if e.n]
    if not drawn:
        return ""
    names = [n for n in looks if any(n in evidence.augmentations for _, evidence in drawn)]
    chips = [
        tag(
            "button",
            mark_icon(looks[name]),
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
        f"p: {permutation_words({e.is_exact for _, e in drawn if e.n >= 3})}."
    )
    return (
        tag("h3", f"{text(findings.predictor.title)} against S. test loss")
        + tag("div", tag("div", *chips, class_="chips"), switch, class_="controls")
        + tag("p", hint, class_="note")
        + _strips(
            (e.panel.dataset, scatter_card(identifier, e, looks, classes))
            for identifier, e in drawn
        )
    )


def _strips(cards: Iterable[tuple[str, str]]) -> str:
    """Cards by data set; a phone shows each set as a strip that moves sideways."""
    by_dataset: dict[str, list[str]] = {}
    for dataset, card in cards:
        by_dataset.setdefault(dataset, []).append(card)
    return "".join(
        tag(
            "div",
            *some,
            class_="cards few" if len(some) < FEW else "cards",
            role="group",
            aria_label=dataset,
            tabindex=0,
        )
        for dataset, some in by_dataset.items()
    )


def _forest(findings: Findings) -> str:
    by_name = {name: forest_lines(findings, name) for name in NAMES}
    if not by_name[CLAIM]:
        return ""
    identifiers = {e.panel.title: f"panel-{i}" for i, e in enumerate(findings.evidence) if e.n}
    note = (
        "Over seeds, these augmentations are fixed: what as many other seeds give on average. "
        "A pooled value counts each teacher once, however many pairs share it."
    )
    return (
        tag("h3", "How strong, and how sure")
        + tag("p", note, class_="note")
        + forest_rows(by_name, identifiers, shown_first=CLAIM)
    )


def _regret(findings: Findings) -> str:
    """Pools are shown, or panels where there are none; the rest is folded."""
    grids = list(regret_grids(findings)) if any(e.regret for e in findings.evidence) else []
    if not grids:
        return ""
    folded = [_fold(grid) for grid in grids[:-1]]
    return (
        tag("h3", f"What choosing by {text(findings.predictor.title)} loses")
        + _fold(grids[-1], is_open=True)
        + "".join(folded)
    )


def _contest(contests: Sequence[Contest]) -> str:
    """Pools are first, or panels where there are none."""
    pools = [contest for contest in contests if contest.num_panels > 1]
    grids = contest_grids(pools or contests)
    folded = contest_grids(contests) if pools else []
    return "".join([*(_fold(grid, is_open=True) for grid in grids), *map(_fold, folded)])


def _fold(grid: Grid, *, is_open: bool = False) -> str:
    summary = tag("summary", text(grid.title))
    return tag("details", summary, html_table(grid), class_="grid", open="" if is_open else None)


def _tables(
    panels: Sequence[Panel],
    findings: Findings,
    group_by: Sequence[str],
    teachers: Sequence[Measured],
) -> str:
    shown_here = [name for name in names_with(findings.predictor) if name != REGRET]
    return "".join(map(_fold, table_grids(panels, findings, shown_here, group_by, teachers)))


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
    cards = [
        (panel.dataset, curve_card(panel.title, lines, looks, classes))
        for panel, lines in long
        if lines
    ]
    if not cards:
        return ""
    summary = tag(
        "summary",
        f"S. test loss by epoch: {len(cards)} panels"
        if len(cards) > 1
        else "S. test loss by epoch",
    )
    return clip_definition() + tag("details", summary, _strips(cards))


# What the script shows


def _point_data(panels: Sequence[Panel]) -> dict[str, Any]:
    """By panel and augmentation, what a point tells when it is pointed at."""
    return {
        f"{panel.title}|{point.augmentation}": {
            "name": point.augmentation,
            "panel": panel.title,
            "rows": [
                [metric.title, _told(metric, mean), list(mean.seeds)]
                for metric in _predictor_first(panel)
                if (mean := metric.of(point)) is not None and mean.n
            ],
            "trials": [
                [label, f"t-{fingerprint}"]
                for kind, mean in (
                    (panel.predictor.title, point.t_stddev),
                    ("student", point.test_loss),
                )
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


def _predictor_first(panel: Panel) -> tuple[Metric, ...]:
    *others, predictor = metrics_of([panel])
    return (predictor, *others)


def _told(metric: Metric, mean: Mean) -> str:
    undefined = f" ({mean.num_undefined} not finite)" if mean.num_undefined else ""
    return metric.cell(mean) + undefined
