"""Learning curves: a line per augmentation, its seeds between lowest and highest."""

import math
from collections.abc import Sequence
from pathlib import Path

from analysis.curves import Curve
from analysis.marks import marks
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

COLUMNS = 3
SIZE = (4.6, 3.4)
"""Of one panel, in inches."""


def reach(lines: Sequence[Curve]) -> tuple[float, float]:
    """Between which losses curves are shown: the first epochs, far above, would flatten everything else."""
    late = [slice(len(line.epochs) // 8, None) for line in lines]
    low = min(float(line.low[part].min()) for line, part in zip(lines, late, strict=True))
    high = max(float(line.high[part].max()) for line, part in zip(lines, late, strict=True))
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    return low - margin, high + margin


def draw_curves(shown: Sequence[tuple[Panel, Sequence[Curve]]], path: Path) -> None:
    """One panel per pair; raises ValueError if there is nothing to draw."""
    drawn = [(panel, lines) for panel, lines in shown if lines]
    if not drawn:
        raise ValueError("nothing to draw")
    columns = min(COLUMNS, len(drawn))
    figure, axes = new_figure(math.ceil(len(drawn) / columns), columns, SIZE, LEGEND_WIDTH)
    flat = [ax for row in axes for ax in row]
    looks = marks(line.augmentation for _, lines in drawn for line in lines)
    for (panel, lines), ax in zip(drawn, flat, strict=False):
        for i, line in enumerate(lines):
            style = style_of(looks[line.augmentation], 4)
            every = max(1, len(line.epochs) // 8)
            ax.plot(line.epochs, line.mean, linewidth=1.2, markevery=(i % every, every), **style)
            ax.fill_between(line.epochs, line.low, line.high, color=style["color"], alpha=0.15)
        entitle(ax, panel.title, SIZE[0], fontsize="medium")
        ax.set_ylim(*reach(lines))
        ax.locator_params(axis="x", integer=True)
        ax.set_xlabel("epoch")
        ax.set_ylabel("test loss")
    hide_rest(flat, len(drawn))
    legend_of(figure, list(looks), "mean; bands: all seeds")
    save(figure, path)
