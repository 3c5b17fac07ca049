"""The command that shows how a sweep stands, from its store alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import as_command, print_json, stderr, stdout
from orchestrator.cli.opening import is_store, open_sweep, set_again
from orchestrator.cli.options import Changes, Json, StoreOption, SweepFile

if TYPE_CHECKING:
    from rich.console import Console, Group

    from orchestrator.language.sweep import Sweep
    from orchestrator.planning.plan import Plan
    from orchestrator.reports.status import PanelCorrelation
    from orchestrator.store.store import Store

Watch = Annotated[bool, typer.Option("--watch", help="Go on showing it until all is done.")]
WATCH_EVERY_S = 2.0
SECOND_LOOK_S = 2.0
SECOND_LOOK_REMOTE_S = 12.0
"""Workers give signs every second, and every ten seconds in an object store."""


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep status sweeps/quickstart.yaml`")(status)


def status(
    sweep: SweepFile,
    store: StoreOption = None,
    changes: Changes = None,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Show what is done, running, failed and waiting, correlations so far, the reason of every failure."""
    from orchestrator.planning.guests import only_read
    from orchestrator.planning.plan import make_plan
    from orchestrator.reports.status import status_as_json

    loaded, opened = open_sweep(sweep, store, changes)
    if not is_store(opened):
        run = as_command("run", sweep, *set_again(changes))
        told = f"{opened.address}: no store is there yet; {run} makes one"
        stderr().print(told, soft_wrap=True)
    if as_json:
        plan = make_plan(loaded, opened, retry_failed=False, guests=only_read)
        print_json(status_as_json(plan, opened.signs.running(), _correlations(plan, opened)))
    elif watch:
        _watch(loaded, opened)
    else:
        stdout().print(_status(loaded, opened))
        _tell_of_the_silent(opened)


def _tell_of_the_silent(store: "Store") -> None:
    """Whoever looks once cannot know whether those of other machines still live: a second look tells of most."""
    import time

    doubtful = store.signs.doubtful()
    if doubtful:
        wait_s = SECOND_LOOK_REMOTE_S if store.is_remote else SECOND_LOOK_S
        time.sleep(wait_s)
        silent = doubtful.keys() & store.signs.doubtful().keys()
        if silent:
            hosts = ", ".join(sorted({doubtful[fingerprint].host for fingerprint in silent}))
            text = (
                f"{len(silent)} of those at work ({hosts}) gave no sign of life in {wait_s:.0f} s: "
                "in the middle of a long step, or dead; --watch tells within two minutes"
            )
            stdout().print(text, style="dim", soft_wrap=True)


def _status(sweep: "Sweep", store: "Store") -> "Group":
    from rich.console import Group

    from orchestrator.planning.guests import only_read
    from orchestrator.planning.plan import make_plan
    from orchestrator.reports.status import status_report

    plan = make_plan(sweep, store, retry_failed=False, guests=only_read)
    log_command = as_command("logs", "--store", store.address)
    return Group(
        *status_report(plan, store.signs.running(), _correlations(plan, store), log_command)
    )


def _watch(sweep: "Sweep", store: "Store") -> None:
    """Show the status until nothing is left to run: on a terminal in place, elsewhere whenever it changes."""
    import time

    from rich.live import Live

    from orchestrator.planning.guests import only_read
    from orchestrator.planning.plan import make_plan

    console, shown = stdout(), ""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            status = _status(sweep, store)
            if console.is_terminal:
                live.update(status, refresh=True)
            elif (text := _as_text(console, status)) != shown:
                typer.echo(text)
                shown = text
            if not make_plan(sweep, store, retry_failed=False, guests=only_read).missing:
                return
            time.sleep(WATCH_EVERY_S)


def _as_text(console: "Console", status: "Group") -> str:
    with console.capture() as capture:
        console.print(status)
    return capture.get()


def _correlations(plan: "Plan", store: "Store") -> "list[PanelCorrelation]":
    """Pearson's coefficient of each panel over the augmentations that are complete by now."""
    import math

    from analysis.points import panels
    from analysis.rows import read_rows
    from orchestrator.reports.status import PanelCorrelation

    return [
        PanelCorrelation(
            dataset=panel.dataset,
            pair=panel.pair,
            setting=panel.variant,
            hyperparameters=panel.hyperparameters,
            pearson=None if math.isnan(panel.correlation.pearson) else panel.correlation.pearson,
            complete=len(panel.complete),
            planned=len(plan.sweep.augmentations),
        )
        for panel in panels(read_rows(store, trials=plan.trials))
    ]
