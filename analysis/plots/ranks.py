"""Rank by T. stddev against rank by S. test loss: on the diagonal where the two agree."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.coefficients import Array
from analysis.evidence import Findings
from analysis.marks import Mark, marks
from analysis.plots.canvas import (
    LEGEND_WIDTH,
    entitle,
    hide_rest,
    legend_of,
    new_figure,
    save,
    style_of,
)
from analysis.points import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
SIZE = (3.4, 3.4)
"""Of one panel, in inches."""


def midranks(values: Array) -> Array:
    """1 for the smallest of values [n]; equal values share the mean of their ranks."""
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return np.asarray(below + (equal + 1) / 2)


def draw_ranks(findings: Findings, path: Path) -> None:
    """One panel per pair; raises ValueError if there is nothing to draw."""
    shown = [e.panel for e in findings.evidence if e.panel.complete]
    if not shown:
        raise ValueError("nothing to draw")
    columns = min(COLUMNS, len(shown))
    figure, axes = new_figure(math.ceil(len(shown) / columns), columns, SIZE, LEGEND_WIDTH)
    flat = [ax for row in axes for ax in row]
    looks = marks(a for panel in shown for a, _, _ in panel.cells())
    for panel, ax in zip(shown, flat, strict=False):
        _draw(panel, ax, looks)
    hide_rest(flat, len(shown))
    legend_of(figure, list(looks))
    save(figure, path)


def _draw(panel: Panel, ax: "Axes", looks: Mapping[str, Mark]) -> None:
    x, y = map(midranks, panel.coordinates())
    names = [name for name, _, _ in panel.cells()]
    ends = [0.5, len(names) + 0.5]
    ax.plot(ends, ends, color="#999999", linewidth=1, linestyle="--", zorder=1)
    for i, name in enumerate(names):
        mark = looks[name]
        ax.plot(x[i], y[i], linestyle="", markeredgecolor="white", **style_of(mark, 9))
    entitle(ax, panel.title, SIZE[0], fontsize="small")
    ax.set_xlabel("rank by T. stddev (1 = lowest)")
    ax.set_ylabel("rank by S. test loss (1 = lowest)")
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    ticks = range(1, len(names) + 1, max(1, len(names) // 9))
    ax.set_xticks(list(ticks))
    ax.set_yticks(list(ticks))
