"""What a person sees while a sweep runs: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.planning.costs import solo_cost
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduling import Job, Scheduler
from orchestrator.store.store import Running, Store
from trainer.problems import UserError
from trainer.trial import Trial

REFRESH_S = 0.5
REMOTE_REFRESH_S = 10.0
"""An object store is asked less often: every look is billed."""


def refresh_s(store: Store) -> float:
    """So often a view looks into a store."""
    return REMOTE_REFRESH_S if store.is_remote else REFRESH_S


class View(Protocol):
    def begin(self, plan: Plan, logs: str) -> None: ...

    def tick(self, scheduler: Scheduler, store: Store) -> None:
        """Called many times a second."""

    def note(self, text: str) -> None: ...

    def end(self, scheduler: Scheduler, store: Store) -> None:
        """The run is over: show where it ended."""


def describe(trials: Sequence[Trial]) -> str:
    """A job in a few words: `9 students resnet20/resnet8 seed 0`."""
    first = trials[0]
    same_student = all(trial.student == first.student for trial in trials)
    models = f"{first.teacher}/{first.student}" if first.student and same_student else first.teacher
    if len(trials) == 1:
        what = first.kind + (f" {first.augmentation}" if first.augmentation else "")
    else:
        plural = {"student": "students", "stddev": "T. stddev", "teacher": "teachers"}
        what = f"{len(trials)} {plural[first.kind]}"
    return f"{what} {models} on {first.dataset}, seed {first.seed}"


def duration(seconds: float) -> str:
    """`1:02:03` or `02:03`."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


@dataclass(frozen=True)
class Snapshot:
    """How far a run is. `share` and `eta_s` count work (multiply-adds), not trials."""

    trials: int
    finished: int
    failed: int
    share: float
    elapsed_s: float
    eta_s: float | None
    jobs: tuple[tuple[Job, Running | None], ...]


@dataclass
class Meter:
    """Measures a run's progress from the scheduler and the signs of life in the store."""

    started_at: float = field(default_factory=time.monotonic)
    _costs: dict[str, float] = field(default_factory=dict)
    _trials: dict[str, Trial] = field(default_factory=dict)
    _told_failures: set[str] = field(default_factory=set)

    def begin(self, plan: Plan) -> None:
        self.started_at = time.monotonic()
        self._trials = {trial.fingerprint: trial for trial in plan.missing}
        self._costs = {fp: solo_cost(trial) for fp, trial in self._trials.items()}

    def new_failures(self, scheduler: Scheduler, store: Store) -> list[str]:
        """What failed since this was last asked, each with its reason."""
        new = scheduler.failed - self._told_failures
        if not new:
            return []
        self._told_failures |= new
        reasons: dict[str, str] = {}
        with suppress(OSError, UserError):
            reasons = {row["fingerprint"]: row["error"] for row in store.failures().to_pylist()}
        return [
            f"failed: {describe([self._trials[fp]])}: {reasons.get(fp, '')}" for fp in sorted(new)
        ]

    def snapshot(self, scheduler: Scheduler, store: Store) -> Snapshot:
        signs = store.running() if scheduler.running else {}
        alive = {fp: sign for fp, sign in signs.items() if sign.step is not None}
        jobs = []
        done = sum(self._costs[fp] for fp in scheduler.finished)
        for job in scheduler.running:
            entries = [alive[t.fingerprint] for t in job.trials if t.fingerprint in alive]
            jobs.append((job, entries[0] if entries else None))
            done += sum(self._costs[e.fingerprint] * e.share for e in entries)
        share = done / (sum(self._costs.values()) or 1.0)
        elapsed = time.monotonic() - self.started_at
        return Snapshot(
            trials=len(self._costs),
            finished=len(scheduler.finished),
            failed=len(scheduler.failed),
            share=share,
            elapsed_s=elapsed,
            eta_s=elapsed * (1 - share) / share if share > 0.05 else None,
            jobs=tuple(jobs),
        )


class LinesView:
    """One line when something changes, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._told: dict[int, tuple[str, int]] = {}
        """By number of a running job: its description and the last epoch that was told."""
        self._looked_at = 0.0

    def begin(self, plan: Plan, logs: str) -> None:
        self._meter.begin(plan)
        self.note(f"running {len(plan.missing)} trials; Ray's own logs: {logs}")

    def note(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def tick(self, scheduler: Scheduler, store: Store) -> None:
        if time.monotonic() - self._looked_at < refresh_s(store):
            return
        self._looked_at = time.monotonic()
        self._tell(scheduler, store)

    def _tell(self, scheduler: Scheduler, store: Store) -> None:
        snapshot = self._meter.snapshot(scheduler, store)
        for failure in self._meter.new_failures(scheduler, store):
            self.note(failure)
        running = {job.number for job, _ in snapshot.jobs}
        for number in [n for n in self._told if n not in running]:
            description, _ = self._told.pop(number)
            self.note(f"ended: {description} ({_counts(snapshot)})")
        for job, entry in snapshot.jobs:
            description, epoch = describe(job.trials), entry.epoch if entry else 0
            told = self._told.get(job.number)
            if told is None or epoch > told[1]:
                self._told[job.number] = (description, epoch)
                self.note(f"{description}: {_progress(entry)}")

    def end(self, scheduler: Scheduler, store: Store) -> None:
        self._tell(scheduler, store)


class LiveView:
    """An overall bar with the time left, and what runs now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._live = Live(console=console, auto_refresh=False)
        self._looked_at = 0.0

    def begin(self, plan: Plan, logs: str) -> None:
        self._meter.begin(plan)
        self._console.print(f"[dim]Ray's own logs: {logs}[/dim]", highlight=False, soft_wrap=True)
        self._live.start()

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def tick(self, scheduler: Scheduler, store: Store) -> None:
        if time.monotonic() - self._looked_at < refresh_s(store):
            return
        self._looked_at = time.monotonic()
        self._draw(scheduler, store)

    def _draw(self, scheduler: Scheduler, store: Store) -> None:
        for failure in self._meter.new_failures(scheduler, store):
            self.note(failure)
        self._live.update(_render(self._meter.snapshot(scheduler, store)), refresh=True)

    def end(self, scheduler: Scheduler, store: Store) -> None:
        self._draw(scheduler, store)
        self._live.stop()


def _counts(snapshot: Snapshot) -> str:
    eta = f", {duration(snapshot.eta_s)} left" if snapshot.eta_s is not None else ""
    failed = f", {snapshot.failed} failed" if snapshot.failed else ""
    done = f"{snapshot.share:.0%} of the work"
    return f"{snapshot.finished}/{snapshot.trials} trials{failed}, {done}{eta}"


def _progress(entry: Running | None) -> str:
    if entry is None:
        return "starting"
    loss = f", loss {entry.loss:.4f}" if entry.loss is not None else ""
    return f"epoch {entry.epoch}/{entry.epochs}{loss}"


def _render(snapshot: Snapshot) -> RenderableType:
    overall = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=1.0, completed=snapshot.share, width=40)
    overall.add_row(bar, _counts(snapshot), Text(duration(snapshot.elapsed_s), style="dim"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("running", "epoch", "", "loss"):
        table.add_column(heading)
    for job, entry in snapshot.jobs:
        share = ProgressBar(total=1.0, completed=entry.share if entry else 0.0, width=20)
        epoch = f"{entry.epoch}/{entry.epochs}" if entry else "starting"
        loss = f"{entry.loss:.4f}" if entry and entry.loss is not None else ""
        table.add_row(describe(job.trials), epoch, share, loss)
    return Group(overall, table)


def make_view(console: Console) -> View:
    """The live view on a terminal, lines elsewhere."""
    return LiveView(console) if console.is_terminal else LinesView(console)
