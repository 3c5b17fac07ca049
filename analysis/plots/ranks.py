"""Rank by T. stddev against rank by S. test loss: on the diagonal where the two agree."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.coefficients import Array
from analysis.evidence import Findings
from analysis.grid import Record
from analysis.marks import Mark, marks
from analysis.plots.canvas import entitle, hide_rest, label, legend_of, new_figure, save, style_of
from analysis.plots.sheet import Sheet
from analysis.points import Panel, names_shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
SIZE = (3.4, 3.4)
"""Of one panel, in inches."""

NOTE = "rank 1 = lowest"


def midranks(values: Array) -> Array:
    """1 for the smallest of values [n]; equal values share the mean of their ranks."""
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return np.asarray(below + (equal + 1) / 2)


def rank_numbers(findings: Findings) -> Iterator[Record]:
    """A record per point."""
    for panel in _drawable(findings):
        for name, x, y in _points(panel):
            yield {
                "table": "ranks",
                **panel.names,
                "augmentation": name,
                f"{panel.predictor.name}_rank": x,
                "s_test_loss_rank": y,
            }


def draw_ranks(findings: Findings, path: Path, sheet: Sheet) -> None:
    """One panel per pair; raises ValueError if there is nothing to draw."""
    shown = _drawable(findings)
    looks = marks(names_shown(shown, (a for panel in shown for a, _, _ in panel.cells())))
    layout = sheet.layout(len(shown), COLUMNS, SIZE)
    figure, axes = new_figure(layout, sheet, list(looks), NOTE)
    flat = [ax for row in axes for ax in row]
    for panel, ax in zip(shown, flat, strict=False):
        _draw(panel, ax, looks, sheet)
        entitle(ax, panel.title, layout.size[0], sheet)
    of_predictor = f"rank by {findings.predictor.title}"
    label(flat[: len(shown)], figure, of_predictor, "rank by S. test loss", sheet)
    hide_rest(flat, len(shown))
    legend_of(figure, list(looks), sheet, NOTE)
    save(figure, path, sheet)


def _drawable(findings: Findings) -> list[Panel]:
    shown = [e.panel for e in findings.evidence if e.panel.complete]
    if not shown:
        raise ValueError("nothing to draw")
    return shown


def _points(panel: Panel) -> list[tuple[str, float, float]]:
    """Augmentation, rank by the predictor, rank by S. test loss."""
    x, y = map(midranks, panel.coordinates())
    names = [name for name, _, _ in panel.cells()]
    return list(zip(names, map(float, x), map(float, y), strict=True))


def _draw(panel: Panel, ax: "Axes", looks: Mapping[str, Mark], sheet: Sheet) -> None:
    points = _points(panel)
    ends = [0.5, len(points) + 0.5]
    ax.plot(ends, ends, color="#999999", linewidth=1, linestyle="--", zorder=1)
    size, edge = (4.5, 0.3) if sheet.is_print else (9, 1.0)
    for name, x, y in points:
        look = style_of(looks[name], size)
        ax.plot(x, y, linestyle="", markeredgecolor="white", markeredgewidth=edge, **look)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    most = 5 if sheet.is_print else 9
    ticks = range(1, len(points) + 1, max(1, -(-len(points) // most)))
    ax.set_xticks(list(ticks))
    ax.set_yticks(list(ticks))
