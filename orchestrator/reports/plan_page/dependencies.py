"""The dependencies as a drawing: a column per depth, a box for the trials of one kind and pair."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.markup import tag, text
from orchestrator.planning.plan import Plan
from trainer.trial import Trial

WIDTH, HEIGHT = 236, 40
ACROSS, DOWN = 110, 10
HEAD = 26
HEADINGS = ("need nothing", "need a teacher", "need a student")


@dataclass(frozen=True)
class Box:
    """Trials of one kind, data set, teacher and student that stand at one depth."""

    depth: int
    kind: str
    dataset: str
    teacher: str
    student: str | None

    @property
    def models(self) -> str:
        return f"{self.teacher}/{self.student}" if self.student else self.teacher


def depths(trials: Sequence[Trial]) -> dict[str, int]:
    """How many steps each trial is away from one that needs nothing."""
    depth: dict[str, int] = {}
    for trial in trials:
        below = [depth[needed] for needed in trial.depends_on if needed in depth]
        depth[trial.fingerprint] = max(below, default=-1) + 1
    return depth


def boxes(trials: Sequence[Trial]) -> tuple[dict[Box, list[Trial]], set[tuple[Box, Box]]]:
    """The boxes with their trials, in order, and which depends on which, without what follows from that."""
    depth = depths(trials)
    trials_in: dict[Box, list[Trial]] = defaultdict(list)
    box_of: dict[str, Box] = {}
    edges: set[tuple[Box, Box]] = set()
    for trial in trials:
        at = depth[trial.fingerprint]
        box = Box(at, trial.kind, trial.dataset, trial.teacher, trial.student)
        trials_in[box].append(trial)
        box_of[trial.fingerprint] = box
        needed = (box_of[fingerprint] for fingerprint in trial.depends_on if fingerprint in box_of)
        edges.update((other, box) for other in needed if other.depth == at - 1)
    return trials_in, edges


def dependency_chart(plan: Plan, states: Mapping[str, str]) -> str:
    """An SVG of the whole sweep."""
    trials_in, edges = boxes(plan.trials)
    ordered = sorted(
        trials_in, key=lambda b: (b.depth, b.dataset, b.teacher, b.kind, b.student or "")
    )
    rows: Counter[int] = Counter()
    place = {}
    for box in ordered:
        place[box] = (box.depth * (WIDTH + ACROSS), HEAD + rows[box.depth] * (HEIGHT + DOWN))
        rows[box.depth] += 1
    width = (max(rows) + 1) * (WIDTH + ACROSS) - ACROSS
    height = HEAD + max(rows.values()) * (HEIGHT + DOWN)
    lines = [_edge(place[one], place[other]) for one, other in sorted(edges, key=str)]
    headings = [
        tag("text", text(HEADINGS[d]), x=d * (WIDTH + ACROSS), y=14, class_="heading")
        for d in sorted(rows)
        if d < len(HEADINGS)
    ]
    drawn = [_box(box, place[box], trials_in[box], states) for box in ordered]
    return tag(
        *("svg", *headings, *lines, *drawn),
        viewBox=f"-1 0 {width + 2} {height}",
        width=width,
        role="img",
        aria_label="dependencies",
    )


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0 = start[0] + WIDTH, start[1] + HEIGHT / 2
    x1, y1 = end[0], end[1] + HEIGHT / 2
    bend = ACROSS / 2
    path = f"M{x0} {y0}C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"
    return tag("path", d=path, class_="edge")


def _box(
    box: Box, place: tuple[float, float], trials: Sequence[Trial], states: Mapping[str, str]
) -> str:
    done = sum(states[t.fingerprint] == "done" for t in trials)
    failed = sum(states[t.fingerprint] in ("failed", "blocked") for t in trials)
    plural = "s" if len(trials) != 1 else ""
    count = (
        f"{len(trials)} T. stddev" if box.kind == "stddev" else f"{len(trials)} {box.kind}{plural}"
    )
    said = [f"{done} done"] * bool(done) + [f"{failed} failed or blocked"] * bool(failed)
    title = f"{count} {box.models} on {box.dataset}"
    return tag(
        "g",
        tag("title", text(title)),
        tag("rect", width=WIDTH, height=HEIGHT, rx=8, class_=f"box {box.kind}"),
        tag("rect", width=WIDTH * done / len(trials), height=4, y=HEIGHT - 4, class_="done"),
        tag("text", text(box.models), x=10, y=17, class_="name"),
        tag("text", text(" · ".join([count, box.dataset, *said])), x=10, y=31, class_="small"),
        transform=f"translate({place[0]} {place[1]})",
    )
