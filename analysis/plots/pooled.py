"""All panels of a data set in one scatter: what the pooled coefficient is of.

Panels differ in where their values lie and how far apart, so each is standardised by itself: its values of
T. stddev, and of S. test loss, minus their mean, divided by their standard deviation over the augmentations.
A line of least squares through a panel that is standardised so has Pearson's coefficient as its slope. The line
through the origin has the pooled one as its slope (`analysis.pooling`): the mean of the panels' slopes, each teacher
counted once. Small marks are the panels' points, large ones an augmentation's mean over them, weighted alike.

Groups and what is in them are those of the pooled table, one panel of the figure each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.coefficients import Array
from analysis.correlation_tables import counted
from analysis.evidence import Findings, pools
from analysis.grid import Record, finite
from analysis.marks import marks
from analysis.plots.canvas import (
    entitle,
    hide_rest,
    label,
    legend_of,
    new_figure,
    save,
    style_of,
    write_above,
)
from analysis.plots.scatter import coefficients_in_short
from analysis.plots.sheet import Sheet
from analysis.points import Panel, names_shown
from analysis.pooling import Pooled, largest_common_part, teacher_weights, teachers_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
SIZE = (4.9, 4.2)
"""Of one panel, in inches."""

NOTE = "small: a pair each; large: their mean; line: pooled Pearson"
STANDARDISED = ", standardised per pair"


@dataclass(frozen=True)
class Cloud:
    """The points of one pool: `x` and `y` [panels, augmentations] standardised, `weights` [panels]."""

    pooled: Pooled
    panels: tuple[Panel, ...]
    x: Array
    y: Array
    weights: Array

    def centres(self) -> tuple[Array, Array]:
        """The weighted means over panels, each [augmentations]."""
        return self.weights @ self.x, self.weights @ self.y


def standardised(values: Array) -> Array:
    """Mean 0 and standard deviation 1 of values [n]; nan where all are equal."""
    spread = values.std()
    if not spread:
        return np.full_like(values, np.nan)
    return np.asarray((values - values.mean()) / spread)


def clouds(findings: Findings, group_by: Sequence[str]) -> list[Cloud]:
    """A cloud per group that is pooled; raises ValueError if there is none."""
    panels = [evidence.panel for evidence in findings.evidence]
    pooled_of = {pooled.group: pooled for pooled in findings.pooled}
    found = []
    for title, group in pools(panels, group_by):
        kept, shared = largest_common_part(group)
        if title not in pooled_of or not kept:
            continue
        cells = [{a: (x.mean, y.mean) for a, x, y in panel.cells()} for panel in kept]
        x, y = (
            np.stack([standardised(np.array([c[a][k] for a in shared])) for c in cells])
            for k in (0, 1)
        )
        if np.isfinite(x).any() and np.isfinite(y).any():
            weights = np.array(teacher_weights(teachers_of(kept)))
            found.append(Cloud(pooled_of[title], tuple(kept), x, y, weights))
    if not found:
        raise ValueError("nothing to draw")
    return found


def pooled_numbers(found: Sequence[Cloud]) -> Iterator[Record]:
    """A record per small mark, per large one, and per coefficient."""
    for cloud in found:
        group = cloud.pooled.group
        names, predictor = cloud.pooled.augmentations, cloud.panels[0].predictor.name
        for panel, xs, ys in zip(cloud.panels, cloud.x, cloud.y, strict=True):
            for name, x, y in zip(names, xs, ys, strict=True):
                yield {
                    "table": "points",
                    "group": group,
                    **panel.names,
                    **_place(predictor, name, x, y),
                }
        for name, x, y in zip(names, *cloud.centres(), strict=True):
            yield {"table": "means", "group": group, **_place(predictor, name, x, y)}
        for name, estimate in cloud.pooled.estimates.items():
            yield {
                "table": "coefficients",
                "group": group,
                "coefficient": name,
                "value": finite(estimate.value),
                "p": finite(estimate.p),
                "n": cloud.pooled.n,
            }


def _place(predictor: str, augmentation: str, x: float, y: float) -> Record:
    return {
        "augmentation": augmentation,
        f"{predictor}_standardised": finite(float(x)),
        "s_test_loss_standardised": finite(float(y)),
    }


def draw_pooled(found: Sequence[Cloud], path: Path, sheet: Sheet) -> None:
    """A panel per group."""
    names = (name for cloud in found for name in cloud.pooled.augmentations)
    looks = marks(names_shown(found[0].panels, names))
    layout = sheet.layout(len(found), COLUMNS, SIZE)
    figure, axes = new_figure(layout, sheet, list(looks), NOTE)
    flat = [ax for row in axes for ax in row]
    small, large = (2.2, 4.8) if sheet.is_print else (4, 11)
    for cloud, ax in zip(found, flat, strict=False):
        for i, name in enumerate(cloud.pooled.augmentations):
            ax.plot(
                cloud.x[:, i],
                cloud.y[:, i],
                linestyle="",
                alpha=0.45,
                markeredgewidth=0,
                **style_of(looks[name], small),
            )
            (x, y) = (means[i] for means in cloud.centres())
            look = style_of(looks[name], large)
            edge: dict[str, Any] = {
                "markeredgecolor": "white",
                "markeredgewidth": 0.3 if sheet.is_print else 0.6,
            }
            ax.plot(x, y, linestyle="", zorder=3, **edge, **look)
        _line(cloud, ax)
        pooled = cloud.pooled
        title = f"{pooled.group}: n = {pooled.n}, {counted(pooled.num_panels, 'panel')}, {counted(len(pooled.teachers), 'teacher')}"
        entitle(ax, title, layout.size[0], sheet)
        write_above(ax, coefficients_in_short(pooled.estimates), layout.size[1], sheet)
    x_title = found[0].panels[0].predictor.title + STANDARDISED
    label(flat[: len(found)], figure, x_title, "S. test loss" + STANDARDISED, sheet)
    hide_rest(flat, len(found))
    legend_of(figure, list(looks), sheet, NOTE)
    save(figure, path, sheet)


def _line(cloud: Cloud, ax: "Axes") -> None:
    slope = cloud.pooled.estimates["pearson"].value
    ends = np.array([np.nanmin(cloud.x), np.nanmax(cloud.x)])
    ax.plot(ends, slope * ends, color="#666666", linewidth=0.8, linestyle="--", zorder=1)
