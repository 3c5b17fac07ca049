"""The forest of the page: every coefficient with its intervals, the pooled ones below."""

import math
from collections.abc import Iterator, Mapping, Sequence

from analysis.bootstrap import LEVEL
from analysis.correlation_tables import number
from analysis.markup import tag, text
from analysis.plots.forest import Line

LEGEND = (
    ("dot", "coefficient"),
    ("dot pool", "pooled"),
    ("narrow", f"{LEVEL:.0%} over seeds"),
    ("wide", f"{LEVEL:.0%} over augmentations"),
)
OVER_TEACHERS = ("teachers", f"{LEVEL:.0%} over teachers")


def forest_rows(
    by_name: Mapping[str, Sequence[Line]], identifiers: Mapping[str, str], shown_first: str
) -> str:
    """A row per panel and pool, a track per coefficient; places are shares of the track's width.

    Args:
        by_name: the lines of each coefficient.
        identifiers: of the panels' figures on the page, by title.
        shown_first: the coefficient of which a phone shows intervals, until another is asked for.
    """
    lows = [
        value
        for lines in by_name.values()
        for line in lines
        for value in (line.value, line.wide.low, line.narrow.low, line.teachers.low)
        if math.isfinite(value)
    ]
    low = next(end for end in (0.0, -0.25, -0.5, -1.0) if end <= min(lows, default=0.0))
    names = [tag("div", text(name.capitalize()), class_=name) for name in by_name]
    head = tag("div", tag("div"), *names, class_="forest head")
    rows = []
    for lines in zip(*by_name.values(), strict=True):
        first = lines[0]
        words = text(first.label)
        identifier = None if first.is_pooled else identifiers.get(first.label)
        label = tag(
            "div", tag("a", words, href=f"#{identifier}") if identifier else words, class_="label"
        )
        tracks = [_track(name, line, low) for name, line in zip(by_name, lines, strict=True)]
        rows.append(
            tag("div", label, *tracks, class_="forest pooled" if first.is_pooled else "forest")
        )
    ends = tag("span", f"{low:g}") + tag("span", "1")
    scales = [tag("div", ends, class_=f"scale {name}") for name in by_name]
    foot = tag("div", tag("div"), *scales, class_="forest foot", aria_hidden="true")
    return tag(
        "figure",
        _switch(list(by_name), shown_first),
        tag("ul", *(_key(kind, words) for kind, words in _legend(by_name)), class_="legend"),
        head,
        *rows,
        foot,
        class_="forest-plot",
        data_coefficient=shown_first,
        aria_label="Forest plot: each coefficient with its intervals; the tables of correlations have its numbers",
    )


def _legend(by_name: Mapping[str, Sequence[Line]]) -> Iterator[tuple[str, str]]:
    yield from LEGEND
    if any(math.isfinite(line.teachers.low) for lines in by_name.values() for line in lines):
        yield OVER_TEACHERS


def _key(kind: str, words: str) -> str:
    return tag("li", tag("i", class_=f"key {kind}"), text(words))


def _switch(names: Sequence[str], shown: str) -> str:
    """Which coefficient a phone shows."""
    buttons = [
        tag(
            "button",
            text(name.capitalize()),
            type="button",
            data_coefficient=name,
            aria_pressed=str(name == shown).lower(),
        )
        for name in names
    ]
    return tag("div", *buttons, class_="switch", role="group", aria_label="coefficient")


def _track(name: str, line: Line, low: float) -> str:
    def place(value: float) -> float:
        return round(100 * (value - low) / (1 - low), 2)

    def span(kind: str, start: float, end: float) -> str:
        if math.isnan(start):
            return ""
        width = place(end) - place(start)
        return tag("i", class_=kind, style=f"left:{place(start)}%;width:{width:.2f}%")

    def words(kind: str, start: float, end: float) -> str:
        return f"{kind} " + ("undefined" if math.isnan(start) else f"{start:.3f} to {end:.3f}")

    told = [
        f"{line.label}: {name.capitalize()} {line.value:.4f}",
        words(f"{LEVEL:.0%} over seeds", line.narrow.low, line.narrow.high),
        words("over augmentations", line.wide.low, line.wide.high),
    ]
    if line.is_pooled:
        told.append(words("over teachers", line.teachers.low, line.teachers.high))
    title = "; ".join(told)
    return tag(
        "div",
        tag("i", class_="zero", style=f"left:{place(0.0)}%"),
        span("wide", line.wide.low, line.wide.high),
        span("narrow", line.narrow.low, line.narrow.high),
        span("teachers", line.teachers.low, line.teachers.high),
        tag("i", class_="dot", style=f"left:{place(line.value)}%"),
        tag("b", text(number(line.value, 2))),
        class_=f"track {name}",
        title=title,
        role="img",
        aria_label=title,
    )
