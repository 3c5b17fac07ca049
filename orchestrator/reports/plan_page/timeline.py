"""A simulated run as a chart: a line per GPU (or share of one), a bar per job."""

from collections.abc import Collection, Sequence

from analysis.markup import tag, text
from orchestrator.planning.bill import Forecast
from orchestrator.planning.simulation import SimulatedJob
from orchestrator.planning.words import describe, unit_of

WIDTH = 1000
LINE, GAP = 16, 3
ROOM = 640
"""So high may all lines be: many GPUs have thin ones."""

FOOT = 26
TICKS = 6
EPSILON = 1e-9


def lanes(jobs: Sequence[SimulatedJob]) -> list[int]:
    """The line of each job, as few lines as there are jobs at once; `jobs` in the order of their start."""
    free_from: list[float] = []
    lane_of = []
    for job in jobs:
        margin = EPSILON * max(1.0, job.start)
        lane = next((i for i, t in enumerate(free_from) if t <= job.start + margin), None)
        if lane is None:
            lane = len(free_from)
            free_from.append(0.0)
        free_from[lane] = job.end
        lane_of.append(lane)
    return lane_of


def _ticks(hours: float) -> list[tuple[str, float]]:
    """Round times, with where they stand on the axis, 0 to 1."""
    from matplotlib.ticker import MaxNLocator

    unit = unit_of(hours)
    whole = hours * unit.per_hour
    if not whole:
        return []
    marks = MaxNLocator(TICKS, steps=[1, 2, 5, 10]).tick_values(0, whole)
    return [(f"{mark:g} {unit.name}", mark / whole) for mark in marks if 0 <= mark <= 0.98 * whole]


def timeline(forecast: Forecast, varied: Collection[str] = ()) -> str:
    """An SVG; hovering over a bar tells which job it is."""
    where = lanes(forecast.jobs)
    unit = unit_of(forecast.hours)
    scale = WIDTH / forecast.hours if forecast.hours else 0.0
    count = max(where, default=0) + 1
    pitch = min(LINE + GAP, ROOM / count)
    bottom = count * pitch
    bars = [
        tag(
            "rect",
            tag(
                "title",
                text(
                    f"{describe(job.trials, varied)}: {unit.span(job.start)} to {unit.span(job.end)}"
                ),
            ),
            x=round(job.start * scale, 2),
            y=round(lane * pitch, 2),
            width=round(max((job.end - job.start) * scale - 1, 0.5), 2),
            height=round(pitch * LINE / (LINE + GAP), 2),
            rx=min(3, pitch / 4),
            class_=f"bar {job.trials[0].kind}",
        )
        for job, lane in zip(forecast.jobs, where, strict=True)
    ]
    ticks = []
    for said, share in _ticks(forecast.hours):
        x = round(WIDTH * share, 2)
        ticks.append(tag("line", x1=x, x2=x, y1=0, y2=bottom, class_="tick"))
        anchor = "middle" if share else "start"
        ticks.append(
            tag("text", text(said), x=x, y=bottom + 16, text_anchor=anchor, class_="small")
        )
    return tag(
        *("svg", *ticks, *bars),
        viewBox=f"0 0 {WIDTH} {bottom + FOOT}",
        role="img",
        aria_label=f"simulated run on {forecast.gpus} GPUs",
    )
