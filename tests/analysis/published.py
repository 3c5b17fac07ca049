"""The published points as panels without noise: one value per cell."""

import csv
import math
from pathlib import Path

from analysis.points import Mean, Panel, Point

POINTS = Path(__file__).parents[1] / "golden" / "published_points.csv"


def published_panels() -> list[Panel]:
    """Four panels of nine augmentations."""
    points: dict[tuple[str, str], list[Point]] = {}
    with POINTS.open() as lines:
        for row in csv.DictReader(lines):
            address = " ".join((row["dataset"], row["pair"], row["augmentation"]))
            loss = _cell(float(row["s_test_loss"]), f"{address} loss")
            stddev = _cell(float(row["t_stddev"]), f"{address} stddev")
            found = points.setdefault((row["dataset"], row["pair"]), [])
            found.append(Point(row["augmentation"], loss, None, stddev))
    return [
        Panel(dataset, *pair.split("/"), "", "own", pair.split("/")[0], tuple(found))
        for (dataset, pair), found in points.items()
    ]


def _cell(value: float, address: str) -> Mean:
    return Mean(value, math.nan, (0,), (value,), (address,))
