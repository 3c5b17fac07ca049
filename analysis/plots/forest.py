"""Forest plot: every coefficient with its intervals, the pooled ones below."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.bootstrap import LEVEL, Interval
from analysis.coefficients import NAMES
from analysis.evidence import Findings
from analysis.plots.canvas import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, NARROW = "#0072B2", "#000000"


@dataclass(frozen=True)
class Line:
    """One line of the plot. `narrow` is the interval over seeds, `wide` over augmentations."""

    label: str
    value: float
    narrow: Interval
    wide: Interval
    is_pooled: bool


def forest_lines(findings: Findings, name: str) -> list[Line]:
    """The lines of one coefficient, panels first."""
    lines = [
        Line(e.panel.title, s.value, s.over_seeds, s.over_augmentations, is_pooled=False)
        for e in findings.evidence
        if math.isfinite((s := e.estimates[name]).value)
    ]
    for pooled in findings.pooled:
        p = pooled.estimates[name]
        if math.isfinite(p.value):
            teachers = f"{len(pooled.teachers)} teacher{'s' if len(pooled.teachers) > 1 else ''}"
            label = f"pooled: {pooled.group} ({teachers})"
            lines.append(Line(label, p.value, p.over_seeds, p.over_augmentations, is_pooled=True))
    return lines


def draw_forest(findings: Findings, path: Path) -> None:
    """A column per coefficient; raises ValueError if there is nothing to draw."""
    by_name = [forest_lines(findings, name) for name in NAMES]
    if not by_name[0]:
        raise ValueError("nothing to draw")
    height = 0.6 + 0.28 * len(by_name[0])
    figure, ((*axes,),) = new_figure(1, len(NAMES), (3.4, max(height, 1.8)))
    for i, (name, lines, ax) in enumerate(zip(NAMES, by_name, axes, strict=True)):
        _draw(lines, ax, with_labels=i == 0)
        ax.set_title(name.capitalize(), fontsize="medium")
    figure.supxlabel(
        f"coefficient; thick: {LEVEL:.0%} over seeds, thin: {LEVEL:.0%} over augmentations",
        fontsize="small",
    )
    save(figure, path)


def _draw(lines: Sequence[Line], ax: "Axes", *, with_labels: bool) -> None:
    for i, line in enumerate(lines):
        y = -i
        ax.plot(
            [line.wide.low, line.wide.high],
            [y, y],
            solid_capstyle="butt",
            color=WIDE,
            linewidth=1.2,
        )
        ends = [line.narrow.low, line.narrow.high]
        ax.plot(ends, [y, y], solid_capstyle="butt", color=WIDE, linewidth=8, alpha=0.4)
        marker = "D" if line.is_pooled else "o"
        ax.plot(line.value, y, marker=marker, color=NARROW, markersize=4.5, zorder=3)
    if any(line.is_pooled for line in lines) and not lines[0].is_pooled:
        first = next(i for i, line in enumerate(lines) if line.is_pooled)
        ax.axhline(0.5 - first, color="#666666", linewidth=0.8)
    ax.axvline(0, color="#666666", linewidth=0.8)
    ax.set_ylim(-len(lines) + 0.3, 0.7)
    lows = [v for line in lines for v in (line.value, line.wide.low, line.narrow.low)]
    ax.set_xlim(min([-0.05, *(low - 0.05 for low in lows if math.isfinite(low))]), 1.05)
    ax.set_yticks([-i for i in range(len(lines))])
    ax.set_yticklabels([line.label for line in lines] if with_labels else [], fontsize="small")
