"""The paper that plots are drawn on: figures, axes, legends and files."""

import math
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from analysis.marks import Mark, marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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

LETTERS_PER_INCH = 10
"""Of a title."""


def new_figure(
    rows: int, columns: int, size: tuple[float, float], beside: float = 0.0
) -> "tuple[Figure, list[list[Axes]]]":
    """A figure of rows x columns axes, each of `size` (width, height), and room `beside` them, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whole = (size[0] * columns + beside, size[1] * rows)
    figure = Figure(figsize=whole, layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = [list(row) for row in figure.subplots(rows, columns, squeeze=False)]
    for row in axes:
        for ax in row:
            ax.grid(alpha=0.25)
            ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def entitle(ax: "Axes", title: str, width: float, **style: Any) -> None:
    """A title in as many lines as axes of a width in inches need."""
    ax.set_title(textwrap.fill(title, round(LETTERS_PER_INCH * width)), **style)


def hide_rest(axes: "Iterable[Axes]", used: int) -> None:
    for ax in list(axes)[used:]:
        ax.set_visible(False)


def legend_of(figure: "Figure", augmentations: Iterable[str], bars: str = "") -> None:
    """One legend for a whole figure, beside it; it says what the bars or bands are."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", label=name, **style_of(m, 6))
        for name, m in marks(augmentations).items()
    ]
    figure.legend(
        handles=handles,
        loc="outside right upper",
        frameon=False,
        fontsize="small",
        title=bars,
        title_fontsize="x-small",
        alignment="left",
    )


def style_of(mark: Mark, size: float = 8) -> dict[str, Any]:
    """Keywords of a plot; shapes are of one size to the eye."""
    larger = {"star": 1.6, "plus": 1.2, "cross": 1.2}.get(mark.shape, 1.0)
    return {"color": mark.colour, "marker": MARKERS[mark.shape], "markersize": size * larger}


def bar(std: float) -> float | None:
    """An error bar, or none where the spread is unknown."""
    return None if math.isnan(std) else std


def save(figure: "Figure", path: Path) -> None:
    """Write a figure; its ending names the format. The same figure gives the same bytes."""
    import matplotlib as mpl

    path.parent.mkdir(parents=True, exist_ok=True)
    # Neither the day nor random identifiers, so that a picture under version control changes with its content.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(path.suffix[1:], {})
    with mpl.rc_context({"svg.hashsalt": "kdsweep"}):
        figure.savefig(path, metadata=metadata)
