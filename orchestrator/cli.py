"""The command `kdsweep`. Each command wires; what it needs is imported when it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.console import (
    DEFAULT_STORE,
    data_folder,
    existing_store,
    open_sweep,
    print_json,
    stderr,
    stdout,
)
from orchestrator.evidence_commands import add_commands

if TYPE_CHECKING:
    from rich.console import Console, Group

    from orchestrator.plan import Plan
    from orchestrator.status_view import Correlations
    from orchestrator.store import Store
    from orchestrator.sweep import Sweep

DONE, SOME_FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3

app = typer.Typer(
    name="kdsweep",
    help="Sweeps of knowledge distillation with data augmentation: does T. stddev predict S. test loss?",
    epilog="Exit codes: 0 done, 1 some trial failed, 2 bad input, 3 stopped before it was finished.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="KDSWEEP_DATA", help="The folder of data sets."),
]
Cpus = Annotated[
    int | None, typer.Option(min=1, help="CPUs that this machine's Ray may use; all by default.")
]
Gpus = Annotated[
    int | None, typer.Option(min=0, help="GPUs that this machine's Ray may use; all by default.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Go on showing it until all is done.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

WATCH_EVERY_S = 2.0


def main() -> None:
    """The entry point: a user's mistake ends in one line and exit code 2, never in a traceback."""
    from trainer.problems import UserError

    try:
        app()
    except UserError as error:
        stderr().print(str(error), markup=False, highlight=False, soft_wrap=True, style="red")
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        stderr().print("left at once; the same command goes on from the last checkpoints")
        sys.exit(STOPPED)


def _plan(sweep: "Sweep", store: "Store", retry_failed: bool) -> "Plan":
    from orchestrator.plan import make_plan

    return make_plan(sweep, store, retry_failed=retry_failed)


@app.command(epilog="Example: `kdsweep plan sweeps/quickstart.yaml`")
def plan(sweep: SweepFile, store: StoreOption = None, as_json: Json = False) -> None:
    """Show what would run, and what the store already has."""
    from orchestrator.reports import plan_as_json, plan_table

    made = _plan(*open_sweep(sweep, store), retry_failed=False)
    if as_json:
        print_json(plan_as_json(made))
    else:
        stdout().print(plan_table(made))


@app.command(epilog="Example: `kdsweep run sweeps/quickstart.yaml`")
def run(
    sweep: SweepFile,
    store: StoreOption = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Run what is missing, then print the correlation tables. Running it again goes on."""
    _run(sweep, store, data, cpus, gpus, retry_failed=False)


@app.command(epilog="Example: `kdsweep resume sweeps/quickstart.yaml`")
def resume(
    sweep: SweepFile,
    store: StoreOption = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """As run, and also retry trials that failed by an error of the program."""
    _run(sweep, store, data, cpus, gpus, retry_failed=True)


def _run(
    sweep_file: Path,
    store_folder: Path | None,
    data: Path | None,
    cpus: int | None,
    gpus: int | None,
    retry_failed: bool,
) -> NoReturn:
    sweep, store = open_sweep(sweep_file, store_folder)
    made = _plan(sweep, store, retry_failed)
    console = stdout()
    code = DONE
    for warning in made.warnings:
        console.print(f"WARNING: {warning}", style="yellow", markup=False, soft_wrap=True)
    if made.missing:
        code = _run_missing(made, store, data_folder(sweep, data), cpus, gpus, console)
    elif made.failed:
        code = SOME_FAILED
    else:
        console.print(f"all {len(made.trials)} trials are finished already")
    if made.failed and not made.missing:
        console.print(f"{len(made.failed)} trials failed before: kdsweep resume {sweep_file}")
    _show_results(sweep, store, console)
    if code == STOPPED:
        console.print(f"\nto go on: kdsweep run {sweep_file} --store {store.root}", soft_wrap=True)
    elif code == SOME_FAILED:
        console.print(f"\nthe reasons: kdsweep status {sweep_file} --store {store.root}")
    sys.exit(code)


def _run_missing(
    made: "Plan",
    store: "Store",
    data: Path,
    cpus: int | None,
    gpus: int | None,
    console: "Console",
) -> int:
    from orchestrator.driver import LocalCluster, run_plan
    from orchestrator.view import make_view

    summary = run_plan(made, store, data, LocalCluster(cpus, gpus), make_view(console))
    counts = [f"{summary.finished} finished"]
    for number, word in (
        (summary.failed, "failed"),
        (summary.blocked, "blocked by them"),
        (summary.missing, "not finished"),
    ):
        if number:
            counts.append(f"{number} {word}")
    console.print(", ".join(counts))
    if summary.missing:
        return STOPPED
    return SOME_FAILED if summary.failed else DONE


def _show_results(sweep: "Sweep", store: "Store", console: "Console") -> None:
    """The tables of a sweep's own trials, and its scatter plot beside the results."""
    from analysis.evidence import weigh
    from analysis.formats import terminal
    from analysis.plots import draw_scatter
    from analysis.points import panels
    from analysis.rows import read_rows
    from analysis.tables import table_grids
    from orchestrator.plan import expand
    from orchestrator.reports import teacher_lines

    fingerprints = {trial.fingerprint for trial in expand(sweep)}
    rows = read_rows(store, fingerprints=fingerprints)
    for line in teacher_lines(store.results(fingerprints).to_pylist()):
        console.print(line, soft_wrap=True)
    found = panels(rows)
    findings = weigh(found)
    for part in terminal(table_grids(found, findings)):
        console.print(part)
    if any(panel.complete for panel in found):
        picture = store.root / "plots" / f"{sweep.name}.png"
        draw_scatter(findings, picture)
        console.print(f"plot:  {picture}", soft_wrap=True)
    console.print(f"store: {store.root}", soft_wrap=True)


@app.command(epilog="Example: `kdsweep status sweeps/quickstart.yaml`")
def status(
    sweep: SweepFile, store: StoreOption = None, watch: Watch = False, as_json: Json = False
) -> None:
    """Show what is done, running, failed and waiting, correlations so far, the reason of every failure."""
    from orchestrator.status_view import status_as_json

    loaded, opened = open_sweep(sweep, store)
    if as_json:
        made = _plan(loaded, opened, retry_failed=False)
        print_json(status_as_json(made, opened.running(), _correlations(made, opened)))
    elif watch:
        _watch(loaded, opened)
    else:
        stdout().print(_status(loaded, opened))


def _status(sweep: "Sweep", store: "Store") -> "Group":
    from rich.console import Group

    from orchestrator.status_view import status_report

    made = _plan(sweep, store, retry_failed=False)
    log_command = f"kdsweep logs --store {store.root}"
    return Group(*status_report(made, store.running(), _correlations(made, store), log_command))


def _watch(sweep: "Sweep", store: "Store") -> None:
    """Show the status until interrupted, or nothing is left to run."""
    import time

    from rich.live import Live

    with Live(console=stdout(), auto_refresh=False) as live:
        while True:
            live.update(_status(sweep, store), refresh=True)
            if not _plan(sweep, store, retry_failed=False).missing:
                return
            time.sleep(WATCH_EVERY_S)


def _correlations(made: "Plan", store: "Store") -> "Correlations":
    """Pearson's coefficient of each pair over the augmentations that are complete by now."""
    import math

    from analysis.points import panels
    from analysis.rows import read_rows
    from orchestrator.status_view import PairCorrelation

    wanted = {trial.fingerprint for trial in made.trials}
    found = {}
    for panel in panels(read_rows(store, fingerprints=wanted)):
        pearson = panel.correlation.pearson
        found[panel.dataset, panel.pair] = PairCorrelation(
            None if math.isnan(pearson) else pearson,
            len(panel.complete),
            len(made.sweep.augmentations),
        )
    return found


@app.command(epilog="Example: `kdsweep logs 3f9a --store kdsweep-store`")
def logs(
    fingerprint: Annotated[str, typer.Argument(help="A trial's fingerprint, or its beginning.")],
    store: StoreOption = None,
) -> None:
    """Show the log of one trial: where it ran, each epoch, and the command that repeats it."""
    from trainer.problems import UserError

    opened = existing_store(store or DEFAULT_STORE)
    found = sorted((opened.root / "trials").glob(f"{fingerprint}*/log.txt"))
    if not fingerprint.isalnum() or len(found) != 1:
        number = "several trials begin" if found else "no trial begins"
        raise UserError(f"{number} with {fingerprint!r} in {opened.root}")
    typer.echo(found[0].read_text(), nl=False)


@app.command(epilog="Example: `kdsweep schema > sweep.schema.json`")
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors."""
    from orchestrator.sweep_schema import sweep_schema

    print_json(sweep_schema())


@app.command(epilog="Example: `kdsweep models`")
def models(as_json: Json = False) -> None:
    """List the architectures, with parameters (100 classes) and multiply-adds (a 32x32 image)."""
    from orchestrator.reports import model_table, models_as_json

    if as_json:
        print_json(models_as_json())
    else:
        stdout().print(model_table())


add_commands(app)
