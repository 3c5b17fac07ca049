"""The paper that plots are drawn on: figures, axes, legends and files."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from analysis.marks import Mark, marks
from analysis.plots.sheet import Layout, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FORMATS = ("png", "svg", "pdf")

MARKERS: Mapping[str, str] = MappingProxyType(
    {
        "circle": "o",
        "square": "s",
        "up": "^",
        "down": "v",
        "diamond": "D",
        "plus": "P",
        "cross": "X",
        "star": "*",
        "hexagon": "h",
        "left": "<",
        "right": ">",
        "pentagon": "p",
    }
)


LEGEND_WIDTH = 1.5
"""Inches that a legend beside the axes takes."""

LINE_OF_LEGEND, LETTER_OF_LEGEND, MARK_OF_LEGEND = 0.14, 0.052, 0.3
"""Inches that each takes in a printed one, which is above the axes."""


def new_figure(
    layout: Layout, sheet: Sheet, legend: Sequence[str] = (), note: str = ""
) -> "tuple[Figure, list[list[Axes]]]":
    """A figure of axes, with room for the `legend` that it will have: beside them or, in print, above."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = layout.size[0] * layout.columns, layout.size[1] * layout.rows
    if sheet.is_print:
        height += LINE_OF_LEGEND * _lines_of_legend(legend, note, width)
    elif legend:
        width += LEGEND_WIDTH
    figure = Figure(
        figsize=(sheet.width or width, height), layout="constrained", dpi=sheet.dots_per_inch
    )
    FigureCanvasAgg(figure)
    if sheet.is_print:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03)  # type: ignore[union-attr, call-arg]
    axes = [list(row) for row in figure.subplots(layout.rows, layout.columns, squeeze=False)]
    for row in axes:
        for ax in row:
            ax.grid(alpha=0.25)
            ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _columns_of_legend(names: Sequence[str], width: float) -> int:
    """Of a printed one, whose lines are about equally full."""
    each = MARK_OF_LEGEND + LETTER_OF_LEGEND * max(len(name) for name in names)
    most = max(1, min(len(names), int(width / each)))
    return math.ceil(len(names) / math.ceil(len(names) / most))


def _lines_of_legend(names: Sequence[str], note: str, width: float) -> int:
    if not names:
        return 0
    return math.ceil(len(names) / _columns_of_legend(names, width)) + len(note.splitlines())


def label(axes: Sequence["Axes"], figure: "Figure", x: str, y: str, sheet: Sheet) -> None:
    """Name the two axes: at each panel or, in print, once for all."""
    if sheet.is_print:
        size = "medium"
        figure.supxlabel(x, fontsize=size)
        figure.supylabel(y, fontsize=size)
        return
    for ax in axes:
        ax.set_xlabel(x)
        ax.set_ylabel(y)


def entitle(ax: "Axes", title: str, width: float, sheet: Sheet) -> None:
    """A title in as many lines as axes of a width in inches need."""
    ax.set_title(textwrap.fill(title, round(sheet.letters_per_inch * width)))


def hide_rest(axes: "Iterable[Axes]", used: int) -> None:
    for ax in list(axes)[used:]:
        ax.set_visible(False)


def legend_of(figure: "Figure", augmentations: Iterable[str], sheet: Sheet, note: str = "") -> None:
    """One legend for a whole figure, beside it or, in print, above; its note says what bars or bands are."""
    from matplotlib.lines import Line2D

    looks = marks(augmentations)
    size = 4 if sheet.is_print else 6
    handles = [
        Line2D([], [], linestyle="", label=name, **style_of(mark, size))
        for name, mark in looks.items()
    ]
    place_legend(figure, handles, sheet, note)


def place_legend(figure: "Figure", handles: "Sequence[Line2D]", sheet: Sheet, note: str) -> None:
    """Handles and a note, where the figure has left room for them."""
    names = [str(handle.get_label()) for handle in handles]
    where: dict[str, Any] = {"loc": "outside right upper", "alignment": "left"}
    if sheet.width is not None:
        where = {
            "loc": "outside upper center",
            "ncols": _columns_of_legend(names, sheet.width),
            "handletextpad": 0.6,
            "columnspacing": 1.0,
            "labelspacing": 0.3,
            "borderpad": 0.1,
        }
    figure.legend(handles=handles, frameon=False, title=note, title_fontsize="small", **where)


def style_of(mark: Mark, size: float = 8) -> dict[str, Any]:
    """Keywords of a plot; shapes are of one size to the eye."""
    larger = {"star": 1.6, "plus": 1.2, "cross": 1.2}.get(mark.shape, 1.0)
    return {"color": mark.colour, "marker": MARKERS[mark.shape], "markersize": size * larger}


def write_above(ax: "Axes", lines: Sequence[str], height: float, sheet: Sheet) -> None:
    """Write lines into axes of a panel of `height` inches, with room made above what is drawn, so that they cover none.

    Of a panel's height, titles and ticks take about half an inch.
    """
    import matplotlib as mpl

    points = mpl.rcParams["font.size"] * 0.833
    text = 1.2 * points * len(lines) / 72 + 0.05
    share = min(0.5, text / max(height - 0.5, 0.4))
    low, high = ax.get_ylim()
    ax.set_ylim(low, low + (high - low) / (1 - share))
    ax.text(
        0.03,
        0.98,
        "\n".join(lines),
        transform=ax.transAxes,
        va="top",
        fontsize="small",
        family="serif" if sheet.is_print else "monospace",
        linespacing=1.1,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0},
    )


def bar(std: float) -> float | None:
    """An error bar, or none where the spread is unknown."""
    return None if math.isnan(std) else std


def save(figure: "Figure", path: Path, sheet: Sheet) -> None:
    """Write a figure; its ending names the format. The same figure gives the same bytes."""
    import matplotlib as mpl

    path.parent.mkdir(parents=True, exist_ok=True)
    # Neither the day nor random identifiers, so that a picture under version control changes with its content.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(path.suffix[1:], {})
    with mpl.rc_context({"svg.hashsalt": "kdsweep"}):
        figure.savefig(path, metadata=metadata, dpi=sheet.dots_per_inch)
