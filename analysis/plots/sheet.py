"""What figures are drawn for: a screen, or a column of a printed page.

For print, a figure has exactly the width it is given, and no text on it is below 6 points at that width. Its type
is STIX, which comes with matplotlib and looks like the Times of two-column papers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

LEAST_PANEL = 1.6
"""Inches that a printed panel is wide at least."""

TALLEST_PANEL = 2.6
PAGE = 9.0
"""Inches that a printed page holds from top to bottom."""

FLATTEST_PANEL = 0.9
"""Inches: many rows of panels are made flat to fit a page, but not flatter."""

_EVERYWHERE: Mapping[str, Any] = MappingProxyType(
    {
        # TrueType: submission checks refuse Type 3, matplotlib's default. In SVG text stays text.
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "legend.fontsize": "small",
        "axes.titlesize": "medium",
    }
)

_IN_PRINT: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "serif",
        "font.serif": ["STIXGeneral"],
        "mathtext.fontset": "stix",
        # "small" is 6.7 points of these.
        "font.size": 8.0,
        "axes.titlesize": "small",
        "axes.titlepad": 3.0,
        "axes.labelsize": "medium",
        "axes.labelpad": 2.0,
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
        "axes.linewidth": 0.5,
        "grid.linewidth": 0.4,
        "xtick.major.width": 0.5,
        "ytick.major.width": 0.5,
        "xtick.major.size": 2.0,
        "ytick.major.size": 2.0,
        "xtick.major.pad": 2.0,
        "ytick.major.pad": 2.0,
        "lines.linewidth": 1.0,
    }
)


@dataclass(frozen=True)
class Layout:
    """Rows and columns of panels, each of `size`, in inches."""

    rows: int
    columns: int
    size: tuple[float, float]


@dataclass(frozen=True)
class Sheet:
    """`width`: of the figure in inches; None for a screen, where figures are as wide as their panels need."""

    width: float | None = None
    dpi: int | None = None

    @property
    def is_print(self) -> bool:
        return self.width is not None

    @property
    def dots_per_inch(self) -> int:
        """Of a PNG; of SVG and PDF only where something is drawn in dots, which nothing is."""
        return self.dpi or (300 if self.is_print else 150)

    @property
    def settings(self) -> dict[Any, Any]:
        """Of matplotlib."""
        return {**_EVERYWHERE, **(_IN_PRINT if self.is_print else {})}

    @property
    def letters_per_inch(self) -> int:
        """Of a title."""
        return 21 if self.is_print else 10

    def layout(self, count: int, most_columns: int, size: tuple[float, float]) -> Layout:
        """Where so many panels go: on a screen each of `size`, in print in as few rows as can be read."""
        if self.width is None:
            columns = min(most_columns, count)
            return Layout(math.ceil(count / columns), columns, size)
        rows = math.ceil(count / max(1, int(self.width / LEAST_PANEL)))
        return self.rows_of(rows, math.ceil(count / rows), size)

    def rows_of(self, rows: int, columns: int, size: tuple[float, float]) -> Layout:
        """So many rows and columns: on a screen of panels of `size`, in print of what fits."""
        if self.width is None:
            return Layout(rows, columns, size)
        width = self.width / columns
        height = min(width * size[1] / size[0], TALLEST_PANEL, (PAGE - 0.7) / rows)
        return Layout(rows, columns, (width, max(height, FLATTEST_PANEL)))


SCREEN = Sheet()
