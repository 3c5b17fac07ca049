"""The paper's scatter plot (Figure 1b): T. stddev against S. test loss, one point per augmentation."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.points import Mean, Panel
from analysis.tables import coefficients
from trainer.catalog import AUGMENTATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#B8A800"),
    *("#0072B2", "#D55E00", "#CC79A7", "#7A3E9D"),
)
"""Okabe & Ito's palette for the colour-blind (its yellow darkened), and one more."""

MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "h")
COLUMNS = 3
FORMATS = ("png", "svg", "pdf")


def scatter(panels: Sequence[Panel], path: Path) -> None:
    """Draw one panel per pair into a file whose ending names the format (png, svg, pdf).

    Raises:
        ValueError: there is no panel, or the format is unknown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not panels:
        raise ValueError("nothing to draw")
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(6.4 * columns, 4.6 * rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for panel, ax in zip(panels, axes, strict=False):
        _draw(panel, ax)
    for ax in list(axes)[len(panels) :]:
        ax.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw(panel: Panel, ax: "Axes") -> None:
    for point in panel.complete:
        if point.t_stddev is None or point.test_loss is None:
            continue
        index = _look(point.augmentation, panel)
        ax.errorbar(
            point.t_stddev.mean,
            point.test_loss.mean,
            xerr=_bar(point.t_stddev),
            yerr=_bar(point.test_loss),
            fmt=MARKERS[index % len(MARKERS)],
            color=COLOURS[index % len(COLOURS)],
            markersize=8,
            elinewidth=1,
            capsize=2,
            label=point.augmentation,
        )
    ax.set_title(panel.title)
    ax.set_xlabel("T. stddev")
    ax.set_ylabel("S. test loss")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.ticklabel_format(axis="x", style="plain", useOffset=False)
    _write_coefficients(panel, ax)
    if panel.complete:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")


def _look(augmentation: str, panel: Panel) -> int:
    """The paper's nine always look the same; others follow in order of name."""
    others = [p.augmentation for p in panel.points if p.augmentation not in AUGMENTATIONS]
    return [*AUGMENTATIONS, *others].index(augmentation)


def _bar(mean: Mean) -> float | None:
    return None if math.isnan(mean.std) else mean.std


def _write_coefficients(panel: Panel, ax: "Axes") -> None:
    text = "\n".join(coefficients(panel.correlation))
    ax.text(
        0.03,
        0.97,
        text,
        transform=ax.transAxes,
        va="top",
        fontsize="small",
        family="monospace",
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none"},
    )
