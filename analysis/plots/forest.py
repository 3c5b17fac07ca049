"""Forest plot: every coefficient with its intervals, the pooled ones below."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.bootstrap import LEVEL, UNDEFINED, Interval
from analysis.coefficients import NAMES
from analysis.evidence import Findings
from analysis.grid import Record, finite
from analysis.plots.canvas import new_figure, place_legend, save
from analysis.plots.sheet import Layout, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

INTERVALS, VALUE, TEACHERS = "#0072B2", "#000000", "#D55E00"

PANEL_WIDTH, LINE_HEIGHT = 3.4, 0.28
"""Of one coefficient on a screen, in inches."""

LINE_HEIGHT_IN_PRINT = 0.125
"""Of one line of type."""

LABEL_SHARE = 0.5
"""Of a printed figure's width, that labels take at most."""

WIDE_ENOUGH = 5.0
"""Inches in which three coefficients stand side by side in print; on narrower sheets one below the other."""


@dataclass(frozen=True)
class Line:
    """One line of the plot. `narrow` is the interval over seeds, `wide` over augmentations, `teachers` over those."""

    label: str
    value: float
    narrow: Interval
    wide: Interval
    teachers: Interval
    is_pooled: bool


def forest_lines(findings: Findings, name: str) -> list[Line]:
    """The lines of one coefficient, panels first."""
    lines = [
        Line(e.panel.title, s.value, s.over_seeds, s.over_augmentations, UNDEFINED, is_pooled=False)
        for e in findings.evidence
        if math.isfinite((s := e.estimates[name]).value)
    ]
    for pooled in findings.pooled:
        p = pooled.estimates[name]
        if math.isfinite(p.value):
            teachers = f"{len(pooled.teachers)} teacher{'s' if len(pooled.teachers) > 1 else ''}"
            label = f"pooled: {pooled.group} ({teachers})"
            intervals = (p.over_seeds, p.over_augmentations, p.over_teachers)
            lines.append(Line(label, p.value, *intervals, is_pooled=True))
    return lines


def forest_numbers(findings: Findings) -> Iterator[Record]:
    """A record per line of each coefficient."""
    for name in NAMES:
        for line in forest_lines(findings, name):
            yield {
                "table": "forest",
                "coefficient": name,
                "label": line.label,
                "value": line.value,
                "seeds_low": finite(line.narrow.low),
                "seeds_high": finite(line.narrow.high),
                "augmentations_low": finite(line.wide.low),
                "augmentations_high": finite(line.wide.high),
                "teachers_low": finite(line.teachers.low),
                "teachers_high": finite(line.teachers.high),
            }


def draw_forest(findings: Findings, path: Path, sheet: Sheet) -> None:
    """A column per coefficient, or one below the other; raises ValueError if there is nothing to draw."""
    by_name = [forest_lines(findings, name) for name in NAMES]
    if not by_name[0]:
        raise ValueError("nothing to draw")
    labels = [_label(line, sheet) for line in by_name[0]]
    layout = _layout(labels, sheet)
    handles = _legend(has_teachers=any(math.isfinite(x.teachers.low) for x in by_name[0]))
    names = [str(handle.get_label()) for handle in handles]
    figure, axes = new_figure(layout, sheet, names, NOTE)
    flat = [ax for row in axes for ax in row]
    for i, (name, lines, ax) in enumerate(zip(NAMES, by_name, flat, strict=True)):
        _draw(lines, labels if i == 0 or layout.columns == 1 else None, ax, sheet)
        ax.set_title(name.capitalize())
    place_legend(figure, handles, sheet, NOTE)
    save(figure, path, sheet)


def _label(line: Line, sheet: Sheet) -> str:
    if sheet.width is None:
        return line.label
    return textwrap.fill(line.label, round(LABEL_SHARE * sheet.width * sheet.letters_per_inch))


def _layout(labels: Sequence[str], sheet: Sheet) -> Layout:
    count = len(labels)
    if sheet.width is None:
        height = 0.6 + LINE_HEIGHT * count
        return Layout(1, len(NAMES), (PANEL_WIDTH, max(height, 1.8)))
    tallest = max(len(label.splitlines()) for label in labels)
    height = 0.45 + LINE_HEIGHT_IN_PRINT * tallest * count
    if sheet.width < WIDE_ENOUGH:
        return Layout(len(NAMES), 1, (sheet.width, height))
    return Layout(1, len(NAMES), (sheet.width / len(NAMES), height))


NOTE = f"coefficient with {LEVEL:.0%} intervals"


def _legend(*, has_teachers: bool) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=INTERVALS, linewidth=5, alpha=0.4, label="over seeds"),
        Line2D([], [], color=INTERVALS, linewidth=1.2, label="over augmentations"),
    ]
    if has_teachers:
        look: dict[str, Any] = {"marker": "|", "markersize": 4, "linestyle": ":", "linewidth": 1.2}
        handles.append(Line2D([], [], color=TEACHERS, label="over teachers", **look))
    return handles


def _draw(lines: Sequence[Line], labels: Sequence[str] | None, ax: "Axes", sheet: Sheet) -> None:
    thick, size = (4, 3) if sheet.is_print else (8, 4.5)
    for i, line in enumerate(lines):
        y = -i
        ax.plot(
            [line.wide.low, line.wide.high],
            [y, y],
            solid_capstyle="butt",
            color=INTERVALS,
            linewidth=0.8 if sheet.is_print else 1.2,
        )
        ends = [line.narrow.low, line.narrow.high]
        ax.plot(ends, [y, y], solid_capstyle="butt", color=INTERVALS, linewidth=thick, alpha=0.4)
        ax.plot(
            [line.teachers.low, line.teachers.high],
            [y - 0.3, y - 0.3],
            linestyle=":",
            marker="|",
            markersize=size,
            color=TEACHERS,
            linewidth=1.0,
        )
        marker = "D" if line.is_pooled else "o"
        ax.plot(line.value, y, marker=marker, color=VALUE, markersize=size, zorder=3)
    if any(line.is_pooled for line in lines) and not lines[0].is_pooled:
        first = next(i for i, line in enumerate(lines) if line.is_pooled)
        ax.axhline(0.5 - first, color="#666666", linewidth=0.8)
    ax.axvline(0, color="#666666", linewidth=0.8)
    ax.set_ylim(-len(lines) + 0.3, 0.7)
    lows = [v for x in lines for v in (x.value, x.wide.low, x.narrow.low, x.teachers.low)]
    ax.set_xlim(min([-0.05, *(low - 0.05 for low in lows if math.isfinite(low))]), 1.05)
    ax.set_yticks([-i for i in range(len(lines))])
    ax.set_yticklabels(labels or [], fontsize="small")
