"""Tables of a store: results and correlations, for a terminal and as JSON."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from analysis.correlations import Correlation
from analysis.points import Mean, Panel

COEFFICIENTS = ("pearson", "spearman", "kendall")


def panel_tables(panels: Sequence[Panel]) -> Iterator[RenderableType]:
    """Per panel its points, augmentations in the paper's order, then its coefficients."""
    for panel in panels:
        table = Table(title=panel.title, title_justify="left")
        table.add_column("augmentation")
        for heading in ("S. test loss", "S. accuracy %", "T. stddev"):
            table.add_column(heading, justify="right")
        table.add_column("seeds", justify="right")
        for point in panel.points:
            table.add_row(
                point.augmentation,
                written(point.test_loss, 4),
                written(point.test_accuracy, 2, scale=100),
                written(point.t_stddev, 6),
                _num_seeds(point.test_loss, point.t_stddev),
            )
        yield table
        yield Text("\n".join(coefficients(panel.correlation)) + "\n")


def written(mean: Mean | None, digits: int, scale: float = 1.0) -> str:
    """`1.2345 ± 0.0012`, or `missing`."""
    if mean is None:
        return "missing"
    text = f"{scale * mean.mean:.{digits}f}"
    return text if math.isnan(mean.std) else f"{text} ± {scale * mean.std:.{digits}f}"


def _num_seeds(losses: Mean | None, stddevs: Mean | None) -> str:
    counts = sorted({mean.n if mean else 0 for mean in (losses, stddevs)})
    return "/".join(map(str, counts))


def coefficients(correlation: Correlation) -> list[str]:
    """A line per coefficient, with its p-value in percent and n."""
    n = correlation.n
    if math.isnan(correlation.pearson):
        return [f"no correlation yet: {n} augmentations have both values, 3 are needed"]
    return [
        f"{name.capitalize():8} {getattr(correlation, name):7.4f}   "
        f"p = {100 * getattr(correlation, name + '_p'):.2f}%   n = {n}"
        for name in COEFFICIENTS
    ]


def as_json(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """The panels with their points and correlations as JSON-like data; None where undefined."""
    return [_plain({**asdict(p), "correlation": asdict(p.correlation)}) for p in panels]


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value
