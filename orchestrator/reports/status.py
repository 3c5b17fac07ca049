"""The status of a sweep: a matrix pair x augmentation, correlations as they fill in, failures with reasons.

It is read from the store alone, so it works from another machine while the sweep runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.planning.plan import Plan
from orchestrator.planning.states import STATES, counts_by_kind, states
from orchestrator.reports.plan import plan_as_json
from orchestrator.store.signs import Running
from trainer.trial import Trial

GLYPHS = {
    "done": ("●", "green"),
    "running": ("◐", "yellow"),
    "missing": ("·", "dim"),
    "failed": ("✗", "red"),
    "blocked": ("○", "magenta"),
}
SHORT = {
    "identity": "ident",
    "crop+flip": "crop",
    "autoaugment": "auto",
    "cutmixpick_s": "pick_s",
    "cutmixpick_t": "pick_t",
}
"""Headings that leave nine augmentations room on a terminal of 80 columns."""


@dataclass(frozen=True)
class PairCorrelation:
    """The correlation of a pair so far: Pearson's coefficient over `complete` of `planned` augmentations."""

    pearson: float | None
    complete: int
    planned: int

    def __str__(self) -> str:
        value = "" if self.pearson is None else f"{self.pearson:.2f} with "
        return f"{value}{self.complete} of {self.planned}"


Correlations = Mapping[tuple[str, str], PairCorrelation]
"""By data set and pair."""


def status_as_json(
    plan: Plan, running: Mapping[str, Running], correlations: Correlations
) -> dict[str, Any]:
    """The status for scripts."""
    pairs = [
        {
            "dataset": dataset,
            "pair": pair,
            "pearson": correlation.pearson,
            "complete": correlation.complete,
            "planned": correlation.planned,
        }
        for (dataset, pair), correlation in correlations.items()
    ]
    return plan_as_json(plan, running) | {"correlations": pairs}


def status_report(
    plan: Plan, running: Mapping[str, Running], correlations: Correlations, log_command: str
) -> Iterator[RenderableType]:
    """A matrix per data set, what its glyphs mean, and every failure with its reason.

    `log_command` shows the log of a trial when its fingerprint is written behind it.
    """
    state = states(plan, running)
    for dataset in dict.fromkeys(trial.dataset for trial in plan.trials):
        yield _matrix(plan, dataset, state, correlations)
    yield _legend(plan, running)
    for trial in plan.trials:
        fingerprint = trial.fingerprint
        match state[fingerprint]:
            case "failed":
                error = str(plan.failed[fingerprint])
            case "missing" if fingerprint in plan.failed_by_machine:
                error = f"{plan.failed_by_machine[fingerprint]} (any run tries it again)"
            case _:
                continue
        parts = (trial.kind, trial.teacher, trial.student, trial.augmentation)
        name = " ".join(part for part in parts if part)
        yield Text(f"{name} seed {trial.seed}: {error}", style="red")
        yield Text(f"  {log_command} {fingerprint[:12]}", style="dim")


def _matrix(
    plan: Plan, dataset: str, state: Mapping[str, str], correlations: Correlations
) -> Table:
    """Two lines per pair: the students of each augmentation, and below them their T. stddev."""
    trials = [trial for trial in plan.trials if trial.dataset == dataset]
    augmentations = [
        a for a in plan.sweep.augmentations if any(t.augmentation == a for t in trials)
    ]
    table = Table(title=f"{plan.sweep.name} on {dataset}", title_justify="left", padding=0)
    table.add_column("pair")
    table.add_column("T")
    for augmentation in augmentations:
        table.add_column(SHORT.get(augmentation, augmentation))
    for pair in plan.sweep.pairs:
        teacher = [t for t in trials if t.kind == "teacher" and t.teacher == pair.teacher]
        cells = [
            Text("\n").join(
                _glyphs([t for t in of_pair if t.kind == kind], state)
                for kind in ("student", "stddev")
            )
            for augmentation in augmentations
            if (of_pair := _of(trials, pair.teacher, pair.student, augmentation)) is not None
        ]
        correlation = correlations.get((dataset, str(pair)))
        name = Text(str(pair)) + Text(f"\n{correlation or ''}", style="dim")
        table.add_row(name, _glyphs(teacher, state), *cells, end_section=True)
    return table


def _of(trials: list[Trial], teacher: str, student: str, augmentation: str) -> list[Trial]:
    return [
        trial
        for trial in trials
        if trial.augmentation == augmentation
        and trial.teacher == teacher
        and trial.student in (student, None)
    ]


def _glyphs(trials: Sequence[Trial], state: Mapping[str, str]) -> Text:
    text = Text()
    for trial in trials:
        text.append(*GLYPHS[state[trial.fingerprint]])
    return text


def _legend(plan: Plan, running: Mapping[str, Running]) -> Text:
    totals = dict.fromkeys(STATES, 0)
    for counts in counts_by_kind(plan, running).values():
        for name, count in counts.items():
            totals[name] += count
    text = Text("a glyph per seed; students above, T. stddev below:")
    for name, count in totals.items():
        text.append("  ")
        text.append(*GLYPHS[name])
        text.append(f" {count} {name}")
    return text
