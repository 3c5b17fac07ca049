"""A table before it has a format: what stands in which cell, what is best, what is missing.

`analysis.formats` writes grids for a terminal and as Markdown, LaTeX, HTML and CSV.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Emphasis = Literal["best", "second"]
Record = Mapping[str, str | float | int | None]
"""A line of a CSV file, or an object of JSON: unrounded numbers and whose they are."""

MISSING = "missing"
DASH = "\N{EN DASH}"
"""Stands for a number that is undefined."""


@dataclass(frozen=True)
class Entry:
    """One cell as it is printed."""

    text: str
    emphasis: Emphasis | None = None
    is_missing: bool = False


@dataclass(frozen=True)
class Row:
    heading: str
    entries: tuple[Entry, ...]
    begins_section: bool = False


@dataclass(frozen=True)
class Grid:
    """Rows under headings. `records` hold the same numbers unrounded, one mapping per line of a CSV file.

    The first `stub` headings tell rows apart: they are repeated where a table is cut to fit a terminal.
    """

    title: str
    corner: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    stub: int = 0


def finite(value: float) -> float | None:
    """A number as records have it: None where it is undefined."""
    return value if math.isfinite(value) else None


def emphasised(
    entries: Sequence[Entry], values: Sequence[float | None], *, lower_is_better: bool
) -> list[Entry]:
    """The same entries, the best marked and the second best; equal values share their mark.

    With fewer than three values nothing is marked: there is nothing to stand out from.
    """
    sign = 1 if lower_is_better else -1
    finite = [v for v in values if v is not None and math.isfinite(v)]
    ordered = sorted({sign * v for v in finite})
    if len(finite) < 3 or len(ordered) < 2:
        return list(entries)
    marks: dict[float, Emphasis] = {ordered[0]: "best", ordered[1]: "second"}
    return [
        entry if value is None else replace(entry, emphasis=marks.get(sign * value))
        for entry, value in zip(entries, values, strict=True)
    ]
