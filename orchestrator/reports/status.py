"""The status of a sweep: a matrix pair x augmentation, correlations as they fill in, failures with reasons.

It is read from the store alone, so it works from another machine while the sweep runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.planning.plan import Plan
from orchestrator.planning.remarks import remarks
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
class PanelCorrelation:
    """The correlation of a panel so far: Pearson's coefficient over `complete` of `planned` augmentations."""

    dataset: str
    pair: str
    setting: str
    """What tells it apart from other panels; empty where there is one per pair."""
    hyperparameters: Mapping[str, str]
    pearson: float | None
    complete: int
    planned: int

    def __str__(self) -> str:
        value = "" if self.pearson is None else f"Pearson {self.pearson:.2f}, "
        return f"{value}{self.complete} of {self.planned}"


def status_as_json(
    plan: Plan, running: Mapping[str, Running], correlations: Sequence[PanelCorrelation]
) -> dict[str, Any]:
    """The status for scripts."""
    return plan_as_json(plan, running) | {"correlations": [asdict(c) for c in correlations]}


def status_report(
    plan: Plan,
    running: Mapping[str, Running],
    correlations: Sequence[PanelCorrelation],
    log_command: str,
) -> Iterator[RenderableType]:
    """What the sweep says of itself, a matrix per data set, what its glyphs mean, every failure with its reason.

    `log_command` shows the log of a trial when its fingerprint is written behind it.
    """
    state = states(plan, running)
    for line in remarks(plan.sweep):
        yield Text(line, style="dim")
    for dataset in dict.fromkeys(trial.dataset for trial in plan.trials):
        of_dataset = [c for c in correlations if c.dataset == dataset]
        yield _matrix(plan, dataset, state, of_dataset)
        if any(c.setting for c in of_dataset):
            yield _by_setting(of_dataset)
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
        kind = trial.predictor if trial.kind == "predictor" else trial.kind
        parts = (kind, trial.teacher, trial.student, trial.augmentation)
        name = " ".join(part for part in parts if part)
        yield Text(f"{name} seed {trial.seed}: {error}", style="red")
        yield Text(f"  {log_command} {fingerprint[:12]}", style="dim")


def _matrix(
    plan: Plan, dataset: str, state: Mapping[str, str], correlations: Sequence[PanelCorrelation]
) -> Table:
    """Lines of each pair: the students of each augmentation, below them their T. stddev, then predictors of one's own."""
    kinds = ("student", "stddev", *(["predictor"] if plan.sweep.predictors else []))
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
                _glyphs([t for t in of_cell if t.kind == kind], state) for kind in kinds
            )
            for augmentation in augmentations
            if (of_cell := _of(trials, pair.teacher, pair.student, augmentation)) is not None
        ]
        of_pair = [c for c in correlations if c.pair == str(pair)]
        told = str(of_pair[0]) if len(of_pair) == 1 else f"{len(of_pair)} settings"
        name = Text(str(pair)) + Text(f"\n{told if of_pair else ''}", style="dim")
        table.add_row(name, _glyphs(teacher, state), *cells, end_section=True)
    return table


def _by_setting(correlations: Sequence[PanelCorrelation]) -> Table:
    """A line per panel, where a pair is tried in more than one setting."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("pair", "Pearson", "augmentations", "setting"):
        table.add_column(heading, header_style="dim")
    for found in correlations:
        table.add_row(
            found.pair,
            "" if found.pearson is None else f"{found.pearson:.2f}",
            f"{found.complete} of {found.planned}",
            found.setting,
        )
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
    last = ", own predictors last" if plan.sweep.predictors else ""
    text = Text(f"a glyph per seed; students above, T. stddev below{last}:")
    for name, count in totals.items():
        text.append("  ")
        text.append(*GLYPHS[name])
        text.append(f" {count} {name}")
    return text
