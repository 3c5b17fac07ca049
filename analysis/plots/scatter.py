"""T. stddev against S. test loss, one point per augmentation: the paper's Figure 1b."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.evidence import Evidence, Findings
from analysis.marks import Mark, marks
from analysis.plots.canvas import (
    LEGEND_WIDTH,
    bar,
    entitle,
    hide_rest,
    legend_of,
    new_figure,
    save,
    style_of,
)
from analysis.points import Panel
from analysis.tables import coefficient_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
SIZE, SIZE_IN_GRID = (4.9, 4.2), (3.6, 2.9)
"""Of one panel, in inches."""

BARS = "bars: ± 1 std over seeds"

ROOM_FOR_COEFFICIENTS = 0.2
"""Added above the points, in heights of their range, so that no text covers any."""


def draw_scatter(findings: Findings, path: Path) -> None:
    """One panel per pair with its coefficients; raises ValueError if there is nothing to draw."""
    shown = _drawable(findings)
    looks = marks(_names(shown))
    columns = min(COLUMNS, len(shown))
    figure, axes = new_figure(math.ceil(len(shown) / columns), columns, SIZE, LEGEND_WIDTH)
    flat = [ax for row in axes for ax in row]
    for evidence, ax in zip(shown, flat, strict=False):
        _draw(evidence, ax, looks, SIZE[0])
        ax.set_xlabel("T. stddev")
        ax.set_ylabel("S. test loss")
    hide_rest(flat, len(shown))
    legend_of(figure, _names(shown), BARS)
    save(figure, path)


def draw_grid(findings: Findings, path: Path) -> None:
    """Rows pairs, columns data sets, one legend; raises ValueError if there is nothing to draw."""
    shown = _drawable(findings)
    looks = marks(_names(shown))
    datasets = list(dict.fromkeys(e.panel.dataset for e in shown))
    pairs = list(dict.fromkeys(e.panel.column for e in shown))
    figure, axes = new_figure(len(pairs), len(datasets), SIZE_IN_GRID, LEGEND_WIDTH)
    evidence_at = {(e.panel.column, e.panel.dataset): e for e in shown}
    for i, pair in enumerate(pairs):
        for j, dataset in enumerate(datasets):
            evidence, ax = evidence_at.get((pair, dataset)), axes[i][j]
            if evidence is None:
                ax.set_axis_off()
                ax.text(0.5, 0.5, "missing", ha="center", va="center", transform=ax.transAxes)
            else:
                _draw(evidence, ax, looks, SIZE_IN_GRID[0])
    figure.supxlabel("T. stddev")
    figure.supylabel("S. test loss")
    legend_of(figure, _names(shown), BARS)
    save(figure, path)


def _drawable(findings: Findings) -> list[Evidence]:
    shown = [evidence for evidence in findings.evidence if evidence.panel.complete]
    if not shown:
        raise ValueError("nothing to draw")
    return shown


def _names(shown: Sequence[Evidence]) -> list[str]:
    return [name for evidence in shown for name in evidence.augmentations]


def _draw(evidence: Evidence, ax: "Axes", looks: Mapping[str, Mark], width: float) -> None:
    """`looks` are those of the whole figure: a panel may lack some of its augmentations."""
    panel: Panel = evidence.panel
    for name in evidence.augmentations:
        mark = looks[name]
        (x, y) = next((x, y) for a, x, y in panel.cells() if a == name)
        ax.errorbar(
            x.mean,
            y.mean,
            xerr=bar(x.std),
            yerr=bar(y.std),
            linestyle="",
            markeredgecolor="white",
            markeredgewidth=0.6,
            elinewidth=1,
            capsize=2,
            label=name,
            **style_of(mark),
        )
    entitle(ax, panel.title, width, fontsize="medium")
    ax.ticklabel_format(axis="x", style="plain", useOffset=False)
    ax.locator_params(axis="x", nbins=round(width))
    ax.margins(0.08)
    _write_coefficients(evidence, ax)


def _write_coefficients(evidence: Evidence, ax: "Axes") -> None:
    p = [estimate.p for estimate in evidence.estimates.values()]
    correlation = evidence.panel.correlation
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + ROOM_FOR_COEFFICIENTS * (high - low))
    ax.text(
        0.03,
        0.97,
        "\n".join(coefficient_lines(correlation, p)),
        transform=ax.transAxes,
        va="top",
        fontsize="x-small",
        family="monospace",
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none"},
    )
