"""The command that shows finished trials in programs that people watch experiments with."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import print_json, stdout
from orchestrator.cli.opening import open_shown
from orchestrator.cli.options import Changes, Json, Source, StoreOfSweep

if TYPE_CHECKING:
    from orchestrator.cli.opening import Shown
    from orchestrator.reports.tracking.trackers import Tracker

WATCH_EVERY_S = 10


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep track kdsweep-store --to tensorboard:board --watch`")(
        track
    )


def track(
    source: Source,
    to: Annotated[
        list[str],
        typer.Option(
            help="tensorboard:DIR, wandb:PROJECT or wandb:ENTITY/PROJECT; may be repeated."
        ),
    ],
    store: StoreOfSweep = None,
    changes: Changes = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on until all trials of the sweeps are done or Ctrl-C."),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, max=86_400, help="With --watch: seconds between. [default: 10]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show finished trials in TensorBoard or Weights & Biases: a run each, with its curve and what came of it."""
    from orchestrator.cli.watching import keep_writing
    from orchestrator.reports.tracking.trackers import tracker_of
    from trainer.problems import UserError

    if every is not None and not watch:
        raise UserError(f"--every {every}: goes with --watch")
    trackers = {text: tracker_of(text) for text in to}
    kept: dict[str, dict[str, str]] = {text: {} for text in trackers}
    new = dict.fromkeys(trackers, 0)

    def write(is_last: bool) -> bool:
        shown = open_shown(source, store, changes)
        for text, tracker in trackers.items():
            new[text] += _keep_new(shown, tracker, kept[text])
        return not is_last and any(plan.missing for _, plan in shown.kept if plan)

    if watch:
        keep_writing(write, every or WATCH_EVERY_S)
    else:
        write(True)
    _tell(trackers, {text: len(of) for text, of in kept.items()}, new, as_json=as_json)


def _keep_new(shown: "Shown", tracker: "Tracker", kept: dict[str, str]) -> int:
    """Keep what is not among the `kept`, versions by fingerprint, which grow; how many were new to the tracker."""
    from orchestrator.reports.tracking.runs import tracked_runs

    results = shown.store.results(shown.fingerprints).to_pylist()
    number = 0
    for run in tracked_runs(results, shown.store.epochs().to_pylist()):
        if kept.get(run.fingerprint) != run.version:
            number += tracker.keep(run)
            kept[run.fingerprint] = run.version
    return number


def _tell(
    trackers: "dict[str, Tracker]", there: dict[str, int], new: dict[str, int], *, as_json: bool
) -> None:
    if as_json:
        print_json([{"to": text, "runs": there[text], "new": new[text]} for text in trackers])
        return
    for text, tracker in trackers.items():
        line = f"{text}: {there[text]:,} runs, {new[text]:,} of them new; {tracker.told()}"
        stdout().print(line, soft_wrap=True)
