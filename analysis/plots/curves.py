"""Learning curves: a line per augmentation, its seeds between lowest and highest."""

import math
from collections.abc import Sequence
from pathlib import Path

from analysis.curves import Curve
from analysis.marks import marks
from analysis.plots.canvas import hide_rest, legend_of, new_figure, save, style_of
from analysis.points import Panel

COLUMNS = 3


def draw_curves(shown: Sequence[tuple[Panel, Sequence[Curve]]], path: Path) -> None:
    """One panel per pair; raises ValueError if there is nothing to draw."""
    drawn = [(panel, lines) for panel, lines in shown if lines]
    if not drawn:
        raise ValueError("nothing to draw")
    columns = min(COLUMNS, len(drawn))
    figure, axes = new_figure(math.ceil(len(drawn) / columns), columns, (4.6, 3.4))
    flat = [ax for row in axes for ax in row]
    looks = marks(line.augmentation for _, lines in drawn for line in lines)
    for (panel, lines), ax in zip(drawn, flat, strict=False):
        for i, line in enumerate(lines):
            style = style_of(looks[line.augmentation], 4)
            every = max(1, len(line.epochs) // 8)
            ax.plot(line.epochs, line.mean, linewidth=1.2, markevery=(i % every, every), **style)
            ax.fill_between(line.epochs, line.low, line.high, color=style["color"], alpha=0.15)
        ax.set_title(panel.title, fontsize="medium")
        ax.set_xlabel("epoch")
        ax.set_ylabel("test loss")
    hide_rest(flat, len(drawn))
    legend_of(figure, [line.augmentation for _, lines in drawn for line in lines])
    save(figure, path)
