"""What a person sees while a sweep runs: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Collection
from contextlib import suppress
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.driver.meter import Meter, RunState, Snapshot
from orchestrator.planning.plan import Plan
from orchestrator.planning.words import describe, duration
from orchestrator.store.signs import Running

NOT_SHOWN = (OSError, UnicodeError, RuntimeError, SystemExit)
"""What printing raises: onto a full disk, in an alphabet without the letter, from a signal handler that came in the
middle of printing, and (rich's) to a reader who has left."""


class View(Protocol):
    def begin(self, plan: Plan, logs: str) -> None: ...

    def tick(self, state: RunState) -> None:
        """Called whenever the signs of life were read."""

    def note(self, text: str) -> None: ...

    def end(self, state: RunState) -> None:
        """The run is over: show where it ended."""


class LinesView:
    """One line when something changes, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._told: dict[int, tuple[str, int]] = {}
        """By number of a running job: its description and the last epoch that was told."""
        self._varied: tuple[str, ...] = ()

    def begin(self, plan: Plan, logs: str) -> None:
        self._varied = plan.sweep.varied
        self._meter.begin(plan)
        self.note(f"running {len(plan.missing)} trials; Ray's own logs, while it runs: {logs}")

    def note(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def tick(self, state: RunState) -> None:
        snapshot = self._meter.snapshot(state)
        for failure in self._meter.new_failures(state):
            self.note(failure)
        running = {job.number for job, _ in snapshot.jobs}
        for number in [n for n in self._told if n not in running]:
            description, _ = self._told.pop(number)
            self.note(f"ended: {description} ({_counts(snapshot)})")
        for job, entry in snapshot.jobs:
            description, epoch = describe(job.trials, self._varied), entry.epoch if entry else 0
            told = self._told.get(job.number)
            if told is None or epoch > told[1]:
                self._told[job.number] = (description, epoch)
                self.note(f"{description}: {_progress(entry)}")

    def end(self, state: RunState) -> None:
        self.tick(state)


class LiveView:
    """An overall bar with the time left, and what runs now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._live = Live(console=console, auto_refresh=False)
        self._varied: tuple[str, ...] = ()

    def begin(self, plan: Plan, logs: str) -> None:
        self._varied = plan.sweep.varied
        self._meter.begin(plan)
        told = f"Ray's own logs, while it runs: {logs}"
        self._console.print(told, style="dim", markup=False, highlight=False, soft_wrap=True)
        self._live.start()

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def tick(self, state: RunState) -> None:
        for failure in self._meter.new_failures(state):
            self.note(failure)
        self._live.update(_render(self._meter.snapshot(state), self._varied), refresh=True)

    def end(self, state: RunState) -> None:
        try:
            self.tick(state)
        finally:
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


def _render(snapshot: Snapshot, varied: Collection[str]) -> RenderableType:
    """On a narrow terminal bars give way, so that no line is broken."""
    overall = Table.grid(padding=(0, 2))
    overall.add_column(max_width=40)
    overall.add_column(no_wrap=True)
    overall.add_column(no_wrap=True)
    bar = ProgressBar(total=1.0, completed=snapshot.share)
    overall.add_row(bar, _counts(snapshot), Text(duration(snapshot.elapsed_s), style="dim"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("running", no_wrap=True)
    table.add_column("epoch", no_wrap=True)
    table.add_column(max_width=20)
    table.add_column("loss", no_wrap=True)
    for job, entry in snapshot.jobs:
        share = ProgressBar(total=1.0, completed=entry.share if entry else 0.0)
        epoch = f"{entry.epoch}/{entry.epochs}" if entry else "starting"
        loss = f"{entry.loss:.4f}" if entry and entry.loss is not None else ""
        table.add_row(describe(job.trials, varied), epoch, share, loss)
    return Group(overall, table)


class _Unbroken:
    """A view that raises nothing when it cannot show something."""

    def __init__(self, view: View) -> None:
        self._view = view

    def begin(self, plan: Plan, logs: str) -> None:
        with suppress(*NOT_SHOWN):
            self._view.begin(plan, logs)

    def tick(self, state: RunState) -> None:
        with suppress(*NOT_SHOWN):
            self._view.tick(state)

    def note(self, text: str) -> None:
        with suppress(*NOT_SHOWN):
            self._view.note(text)

    def end(self, state: RunState) -> None:
        with suppress(*NOT_SHOWN):
            self._view.end(state)


def unbroken(view: View) -> View:
    """The same view, but what cannot be shown harms nothing else."""
    return _Unbroken(view)


def make_view(console: Console) -> View:
    """The live view on a terminal, lines elsewhere."""
    return LiveView(console) if console.is_terminal else LinesView(console)
