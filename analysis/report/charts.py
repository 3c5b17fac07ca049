"""Interactive plots of the page, as inline SVG.

A point stands at two places, by value and by rank: the page's script moves it between the two.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.coefficients import NAMES
from analysis.correlation_tables import number, p_equals
from analysis.curves import Curve
from analysis.evidence import Evidence
from analysis.marks import Mark
from analysis.markup import tag, text
from analysis.plots.ranks import midranks
from analysis.points import Mean
from analysis.tables import no_correlation

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 10, 34
TICK_LETTER, TICK_GAP = 6.7, 9.0
"""What a letter of a tick's label is wide, where they are largest, and what stands between two labels at least."""

MOST_RANKS = 9
"""Named at an axis."""

MAX_POINTS = 80
"""Of a learning curve: what a card of this size can show."""

SHAPES: Mapping[str, str] = {
    "circle": "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0z",
    "square": "M-5-5h10v10h-10z",
    "up": "M0-6.5L6 5H-6z",
    "down": "M0 6.5L6-5H-6z",
    "diamond": "M0-7L6 0L0 7L-6 0z",
    "plus": "M-2.2-6h4.4v3.8h3.8v4.4h-3.8v3.8h-4.4v-3.8h-3.8v-4.4h3.8z",
    "cross": "M-3.2-6L0-2.8L3.2-6L6-3.2L2.8 0L6 3.2L3.2 6L0 2.8L-3.2 6L-6 3.2L-2.8 0L-6-3.2z",
    "star": "M0-7.5L2-2.3L7.3-2.3L3 1.2L4.6 6.5L0 3.4L-4.6 6.5L-3 1.2L-7.3-2.3L-2-2.3z",
    "hexagon": "M0-6.5L5.6-3.2V3.2L0 6.5L-5.6 3.2V-3.2z",
    "left": "M-6.5 0L5-6V6z",
    "right": "M6.5 0L-5-6V6z",
    "pentagon": "M0-6.5L6.2-2L3.8 5.3H-3.8L-6.2-2z",
}


class Scale:
    """Maps values to places along one side of a plot."""

    def __init__(self, values: Sequence[float], start: float, end: float, margin: float) -> None:
        low, high = min(values), max(values)
        size = max(abs(low), abs(high))
        # Values that differ by rounding alone are one.
        reach = high - low if high - low > 1e-9 * size else size or 1.0
        self.low, self.high = low - margin * reach, high + margin * reach
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self._start + share * (self._end - self._start), 2)

    def ticks(self, most: int) -> list[float]:
        """At most so many round values within the scale: multiples of 1, 2, 2.5 or 5 powers of ten."""
        reach = self.high - self.low
        power = 10.0 ** math.floor(math.log10(reach / most))
        step = power * next(f for f in (1, 2, 2.5, 5, 10, 20) if reach / (f * power) <= most)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """With as many decimals as their distance needs."""
    step = min((b - a for a, b in itertools.pairwise(ticks)), default=1.0)
    decimals = next(d for d in range(20) if abs(round(step, d) - step) < 1e-6 * step)
    return [f"{tick:.{decimals}f}" for tick in ticks]


def roomy_ticks(scale: Scale, most: int) -> list[float]:
    """Those of a horizontal axis: at most so many, and none whose label touches the next one's."""
    for number_of_ticks in range(most, 1, -1):
        ticks = scale.ticks(number_of_ticks)
        room = min((scale(b) - scale(a) for a, b in itertools.pairwise(ticks)), default=math.inf)
        if max(map(len, tick_texts(ticks)), default=0) * TICK_LETTER + TICK_GAP <= room:
            return ticks
    return scale.ticks(2)[:1]


def mark_icon(mark: Mark) -> str:
    """A mark by itself, for legends; whoever shows it gives its class, which has its colour."""
    shape = tag("path", class_="mark", d=SHAPES[mark.shape])
    return tag("svg", shape, viewBox="-8 -8 16 16", class_="icon", aria_hidden="true")


def _legend(names: Sequence[str], marks: Mapping[str, Mark], classes: Mapping[str, str]) -> str:
    """A figure's own, so that it can be read alone and in print."""
    entries = [
        tag("li", mark_icon(mark), text(name), class_=classes[name])
        for name, mark in marks.items()
        if name in names
    ]
    return tag("ul", *entries, class_="legend")


def scatter_card(
    identifier: str, evidence: Evidence, marks: Mapping[str, Mark], classes: Mapping[str, str]
) -> str:
    """One panel: its points by value and by rank, its legend, and its coefficients below."""
    panel = evidence.panel
    cells = panel.cells()
    x_ranks, y_ranks = map(midranks, panel.coordinates())
    x = Scale(_reach([cell for _, cell, _ in cells]), LEFT, WIDTH - RIGHT, margin=0.06)
    y = Scale(_reach([cell for _, _, cell in cells]), HEIGHT - BOTTOM, TOP, margin=0.06)
    count = [0.5, len(cells) + 0.5]
    x_rank = Scale(count, LEFT, WIDTH - RIGHT, margin=0.0)
    y_rank = Scale(count, HEIGHT - BOTTOM, TOP, margin=0.0)
    points = []
    for i, (name, x_cell, y_cell) in enumerate(cells):
        place = f"--x:{x(x_cell.mean)}px;--y:{y(y_cell.mean)}px"
        rank = f"--rx:{x_rank(x_ranks[i])}px;--ry:{y_rank(y_ranks[i])}px"
        shape = tag("path", class_="mark", d=SHAPES[marks[name].shape])
        points.append(
            tag(
                "g",
                _bars(x, y, x_cell, y_cell),
                tag("circle", r=15, class_="target"),
                shape,
                class_=f"point {classes[name]}",
                style=f"{place};{rank}",
                tabindex=0,
                role="button",
                aria_label=f"{name}: {panel.predictor.title} {x_cell.mean:.6f}, S. test loss {y_cell.mean:.4f}",
                data_point=f"{panel.title}|{name}",
                data_name=name,
            )
        )
    diagonal = f"M{x_rank(count[0])} {y_rank(count[0])}L{x_rank(count[1])} {y_rank(count[1])}"
    ranks = [float(rank) for rank in range(1, len(cells) + 1, -(-len(cells) // MOST_RANKS))]
    drawing = tag(
        "svg",
        tag(
            "g",
            _axes(x, y, roomy_ticks(x, 6), y.ticks(6)),
            _axis_titles(panel.predictor.title, "S. test loss"),
            class_="by-value",
        ),
        tag(
            "g",
            _axes(x_rank, y_rank, ranks, ranks),
            tag("path", class_="diagonal", d=diagonal),
            _axis_titles(f"rank by {panel.predictor.title}, 1 = lowest", "rank by S. test loss"),
            class_="by-rank",
        ),
        *points,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="group",
        aria_label=_scatter_gist(evidence),
    )
    return _card(
        panel.title,
        drawing,
        _legend(evidence.augmentations, marks, classes),
        _coefficients(evidence),
        aside=f"n = {evidence.n}",
        identifier=identifier,
    )


def _scatter_gist(evidence: Evidence) -> str:
    """What is seen, in words: the picture is a group of buttons, which this is said of first."""
    cells = evidence.panel.cells()
    least_stddev = min(cells, key=lambda cell: cell[1].mean)
    least_loss = min(cells, key=lambda cell: cell[2].mean)
    told = [
        f"Scatter plot of {evidence.panel.title}, {evidence.n} augmentations",
        f"lowest {evidence.panel.predictor.title}: {least_stddev[0]} ({least_stddev[1].mean:.6f})",
        f"lowest S. test loss: {least_loss[0]} ({least_loss[2].mean:.4f})",
    ]
    if not math.isnan(evidence.estimates["kendall"].value):
        told += [
            f"{name.capitalize()} {number(evidence.estimates[name].value, 3)}" for name in NAMES
        ]
    return "; ".join(told)


def _coefficients(evidence: Evidence) -> str:
    if math.isnan(evidence.estimates["kendall"].value):
        return tag("p", text(no_correlation(evidence.n, evidence.panel.predictor)), class_="note")
    items = [
        tag(
            "div",
            tag("dt", text(name.capitalize())),
            tag("dd", text(number(e.value, 3))),
            tag("dd", text(p_equals(e.p)), class_="p"),
        )
        for name in NAMES
        for e in [evidence.estimates[name]]
    ]
    return tag("dl", *items, class_="coefficients", title=f"n = {evidence.n} augmentations")


def curve_card(
    title: str, curves: Sequence[Curve], marks: Mapping[str, Mark], classes: Mapping[str, str]
) -> str:
    """Test loss by epoch, a line per augmentation: the mean over its seeds."""
    epochs = [float(e) for curve in curves for e in curve.epochs]
    # The first epochs, far above the rest, would flatten everything else.
    losses = [float(v) for curve in curves for v in curve.mean[len(curve.mean) // 8 :]]
    x = Scale(epochs, LEFT, WIDTH - RIGHT, margin=0.0)
    y = Scale(losses, HEIGHT - BOTTOM, TOP, margin=0.03)
    lines = []
    for curve in curves:
        kept = _thinned(len(curve.epochs))
        places = [f"{x(curve.epochs[i])},{y(curve.mean[i])}" for i in kept]
        end = f"translate({x(curve.epochs[-1])} {y(curve.mean[-1])}) scale(.7)"
        shape = tag("path", class_="mark", d=SHAPES[marks[curve.augmentation].shape], transform=end)
        line = tag("polyline", points=" ".join(places), clip_path="url(#plot-area)")
        label = tag("title", text(f"{curve.augmentation}, mean over n = {curve.n}"))
        group = f"curve {classes[curve.augmentation]}"
        lines.append(tag("g", label, line, shape, class_=group, data_name=curve.augmentation))
    drawing = tag(
        "svg",
        _axes(x, y, [tick for tick in x.ticks(6) if tick.is_integer()], y.ticks(5)),
        *lines,
        _axis_titles("epoch", "test loss"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=_curve_gist(title, curves),
    )
    return _card(title, drawing, _legend([c.augmentation for c in curves], marks, classes))


def _curve_gist(title: str, curves: Sequence[Curve]) -> str:
    ends = ", ".join(f"{curve.augmentation} {curve.mean[-1]:.4f}" for curve in curves)
    return f"Learning curves of {title}: S. test loss after the last epoch: {ends}"


def clip_definition() -> str:
    """What keeps curves inside their axes; once per page."""
    area = tag("rect", x=LEFT, y=TOP, width=WIDTH - LEFT - RIGHT, height=HEIGHT - TOP - BOTTOM)
    clip = tag("clipPath", area, id="plot-area")
    return tag("svg", tag("defs", clip), class_="definitions", aria_hidden="true")


def _card(
    title: str, drawing: str, *below: str, aside: str = "", identifier: str | None = None
) -> str:
    caption = tag("figcaption", text(title), tag("span", text(aside)) if aside else "")
    return tag("figure", caption, drawing, *below, class_="card", id=identifier)


def _reach(cells: Sequence[Mean]) -> list[float]:
    """The ends of all error bars."""
    spread = [(cell.mean, 0.0 if math.isnan(cell.std) else cell.std) for cell in cells]
    return [mean + sign * std for mean, std in spread for sign in (-1, 1)]


def _bars(x: Scale, y: Scale, x_cell: Mean, y_cell: Mean) -> str:
    path = ""
    for scale, cell, step in ((x, x_cell, "M{0} 0H{1}"), (y, y_cell, "M0 {0}V{1}")):
        if not math.isnan(cell.std):
            ends = [scale(cell.mean + s * cell.std) - scale(cell.mean) for s in (-1, 1)]
            path += step.format(*(round(end, 2) for end in ends))
    return tag("path", class_="bars", d=path) if path else ""


def _axes(x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> str:
    floor = HEIGHT - BOTTOM
    parts = []
    for tick, label in zip(x_ticks, tick_texts(x_ticks), strict=True):
        parts.append(tag("path", d=f"M{x(tick)} {TOP}V{floor}", class_="grid-line"))
        parts.append(tag("text", text(label), x=x(tick), y=floor + 14, class_="tick middle"))
    for tick, label in zip(y_ticks, tick_texts(y_ticks), strict=True):
        parts.append(tag("path", d=f"M{LEFT} {y(tick)}H{WIDTH - RIGHT}", class_="grid-line"))
        parts.append(tag("text", text(label), x=LEFT - 6, y=y(tick) + 3.5, class_="tick end"))
    return "".join(parts)


def _axis_titles(x_title: str, y_title: str) -> str:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return tag(
        "text",
        text(x_title),
        x=(LEFT + WIDTH - RIGHT) / 2,
        y=HEIGHT - 4,
        class_="axis-title middle",
    ) + tag(
        "text",
        text(y_title),
        transform=f"translate(9 {middle}) rotate(-90)",
        class_="axis-title middle",
    )


def _thinned(count: int) -> list[int]:
    places = np.linspace(0, count - 1, min(count, MAX_POINTS))
    return sorted({round(float(place)) for place in places})
