"""The command `kdsweep`. Each command wires; what it needs is imported when it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.confirmation import confirm
from orchestrator.console import (
    BAD_INPUT,
    DONE,
    SOME_FAILED,
    STOPPED,
    DataOption,
    Deadline,
    Json,
    StoreOption,
    SweepFile,
    Yes,
    data_folder,
    open_sweep,
    print_json,
    stderr,
    stdout,
)
from orchestrator.evidence_commands import add_commands as add_evidence_commands
from orchestrator.interruption import end_deaf
from orchestrator.job_commands import add_commands as add_job_commands
from orchestrator.store_commands import add_commands as add_store_commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, Group

    from orchestrator.bill import Bill, Forecast
    from orchestrator.cluster import Cluster
    from orchestrator.plan import Plan
    from orchestrator.status_view import Correlations
    from orchestrator.store import Store
    from orchestrator.sweep import Sweep
    from trainer.trial import Trial


app = typer.Typer(
    name="kdsweep",
    help="Sweeps of knowledge distillation with data augmentation: does T. stddev predict S. test loss?",
    epilog="Exit codes: 0 done, 1 some trial failed, 2 bad input, 3 stopped before it was finished.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Cpus = Annotated[
    int | None, typer.Option(min=1, help="CPUs that this machine's Ray may use; all by default.")
]
Gpus = Annotated[
    int | None, typer.Option(min=0, help="GPUs that this machine's Ray may use; all by default.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Go on showing it until all is done.")]
WATCH_EVERY_S = 2.0
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""

Address = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of a running Ray cluster, or auto for this machine's."),
]


def main() -> None:
    """The entry point: a user's mistake ends in one line and exit code 2, never in a traceback."""
    from trainer.problems import UserError

    try:
        app()
    except (UserError, OSError) as error:
        stderr().print(str(error), markup=False, highlight=False, soft_wrap=True, style="red")
        sys.exit(BAD_INPUT)
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        stderr().print("left at once; the same command goes on from the last checkpoints")
        sys.exit(STOPPED)
    finally:
        end_deaf()


def _plan(sweep: "Sweep", store: "Store", retry_failed: bool) -> "Plan":
    from orchestrator.plan import make_plan

    return make_plan(sweep, store, retry_failed=retry_failed)


@app.command(epilog="Example: `kdsweep plan sweeps/paper_cifar100.yaml --simulate --gpus 64`")
def plan(
    sweep: SweepFile,
    store: StoreOption = None,
    address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a Ray cluster: check what it has, simulate its GPUs."),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate the run; on one GPU without --gpus.")
    ] = False,
    gpus: Annotated[
        list[int] | None, typer.Option(min=1, help="Simulate on so many; may be repeated.")
    ] = None,
    tflops: Annotated[
        float | None,
        typer.Option(min=0.001, help="Of one GPU; else measured from the store, else assumed."),
    ] = None,
    dot: Annotated[
        bool, typer.Option("--dot", help="Print the dependencies for Graphviz.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Draw dependencies and simulated runs on a page of HTML.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what would run and in which order, what the store already has, and the bill."""
    from orchestrator.bill import bill_as_json, bill_of, forecast, throughput_of
    from orchestrator.reports import (
        forecast_table,
        order_table,
        plan_as_dot,
        plan_as_json,
        plan_table,
    )
    from orchestrator.simulation import MOST_TRIALS

    loaded, opened = open_sweep(sweep, store)
    made = _plan(loaded, opened, retry_failed=False)
    if dot:
        typer.echo(plan_as_dot(made))
        return
    seen, unmet = _seen_on(address, made)
    throughput = throughput_of(opened, tflops)
    bill = bill_of(made, throughput)
    counts = gpus or ([seen] if seen else [])
    is_asked = bool(counts or simulate or html)
    if is_asked or 0 < len(made.missing) <= MOST_TRIALS:
        counts = counts or [1]
    forecasts = [forecast(made, count, throughput) for count in counts]
    if html:
        _write_page(html, made, bill, forecasts)
    if as_json:
        shown = forecasts if is_asked else []
        figures = {"bill": bill_as_json(bill, shown), "requests_no_node_meets": unmet}
        print_json(plan_as_json(made) | figures)
        return
    stdout().print(plan_table(made, bill))
    if is_asked:
        stdout().print(forecast_table(forecasts))
    for found in forecasts[:1]:
        stdout().print(order_table(found))
    for request in unmet:
        stdout().print(f"WARNING: {request}", style="yellow", markup=False, soft_wrap=True)
    if html:
        stdout().print(f"page: {html}", soft_wrap=True)


def _seen_on(address: str | None, made: "Plan") -> tuple[int, list[str]]:
    """How many GPUs a cluster has, and what no node of it (or this machine, without one) can meet."""
    from orchestrator.cluster import (
        ExistingCluster,
        connected,
        living_nodes,
        this_machine,
        unmet_requests,
    )

    if address is None:
        here, asked = this_machine(), made.sweep.resources
        kinds = sorted({t.kind for t in made.missing if asked.of(t.kind).cpu > here.cpu})
        few = [
            f"resources.{k}: {asked.of(k).cpu} CPU; this machine has {here.cpu:g}" for k in kinds
        ]
        return 0, few
    with connected(ExistingCluster(address)) as ray:
        nodes = living_nodes(ray)
    return int(sum(node.gpu for node in nodes)), unmet_requests(made, nodes)


def _write_page(path: Path, made: "Plan", bill: "Bill", forecasts: "list[Forecast]") -> None:
    from orchestrator.plan_page import render_plan
    from trainer.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render_plan(made, bill, forecasts).encode())


@app.command(epilog="Example: `kdsweep run sweeps/quickstart.yaml`")
def run(
    sweep: SweepFile,
    store: StoreOption = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Address = None,
    deadline: Deadline = None,
    yes: Yes = False,
) -> None:
    """Run what is missing, then print the correlation tables. Running it again goes on."""
    opened, where = open_sweep(sweep, store), _cluster(cpus, gpus, address)
    made = _plan(*opened, retry_failed=False)
    until = _seconds(deadline)
    confirm(made, opened[1], yes=yes)
    _run(sweep, made, opened[1], data, where, until)


@app.command(epilog="Example: `kdsweep resume sweeps/quickstart.yaml --only cutmix`")
def resume(
    sweep: SweepFile,
    store: StoreOption = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Address = None,
    deadline: Deadline = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A fingerprint, pair or augmentation; may be given several times."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start them over, without their checkpoints.")
    ] = False,
    yes: Yes = False,
) -> None:
    """As run, and also retry trials that failed by an error of the program."""
    from orchestrator import selection

    opened, where = open_sweep(sweep, store), _cluster(cpus, gpus, address)
    made = _plan(*opened, retry_failed=True)
    if only:
        made = selection.only(made, only)
    until = _seconds(deadline)
    confirm(made, opened[1], yes=yes)
    afresh = selection.to_start_over(made, only or ()) if from_scratch else ()
    _run(sweep, made, opened[1], data, where, until, afresh)


def _cluster(cpus: int | None, gpus: int | None, address: str | None) -> "Cluster":
    from orchestrator.cluster import ExistingCluster, LocalCluster
    from trainer.problems import UserError

    if address is None:
        return LocalCluster(cpus, gpus)
    if cpus is not None or gpus is not None:
        raise UserError("--cpus and --gpus size a Ray of our own; the one of --address has its own")
    return ExistingCluster(address)


def _seconds(deadline: str | None) -> float | None:
    from orchestrator.durations import seconds

    return None if deadline is None else seconds(deadline, "--deadline")


def _run(
    sweep_file: Path,
    made: "Plan",
    store: "Store",
    data: Path | None,
    cluster: "Cluster",
    deadline_s: float | None,
    afresh: "Sequence[Trial]" = (),
) -> NoReturn:
    console = stdout()
    code = DONE
    for warning in made.warnings:
        console.print(f"WARNING: {warning}", style="yellow", markup=False, soft_wrap=True)
    if made.missing:
        data_path = data_folder(made.sweep, data)
        code = _run_missing(made, store, data_path, cluster, deadline_s, afresh, console)
    elif made.failed:
        code = SOME_FAILED
    else:
        console.print(f"all {len(made.trials)} trials are finished already")
    if made.failed and not made.missing:
        console.print(f"{len(made.failed)} trials failed before: kdsweep resume {sweep_file}")
    _show_results(made, store, console)
    here = f"{sweep_file} --store {store.address}"
    if code == STOPPED:
        console.print(f"\nto go on: kdsweep run {here}", soft_wrap=True)
    elif code == SOME_FAILED:
        console.print(f"\nthe reasons: kdsweep status {here}", soft_wrap=True)
    sys.exit(code)


def _run_missing(
    made: "Plan",
    store: "Store",
    data: Path,
    cluster: "Cluster",
    deadline_s: float | None,
    afresh: "Sequence[Trial]",
    console: "Console",
) -> int:
    from orchestrator.driver import run_plan
    from orchestrator.view import make_view

    summary = run_plan(made, store, data, cluster, make_view(console), deadline_s, afresh)
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


def _show_results(made: "Plan", store: "Store", console: "Console") -> None:
    """The tables of a sweep's own trials, and its scatter plot beside the results."""
    from analysis.evidence import weigh
    from analysis.formats import terminal
    from analysis.plots import draw_scatter
    from analysis.points import panels
    from analysis.rows import read_rows
    from analysis.tables import table_grids
    from orchestrator.reports import teacher_lines

    fingerprints = {trial.fingerprint for trial in made.trials}
    for line in teacher_lines(store.results(fingerprints).to_pylist()):
        console.print(line, soft_wrap=True)
    found = panels(read_rows(store, fingerprints=fingerprints))
    findings = weigh(found)
    for part in terminal(table_grids(found, findings), console.width):
        console.print(part)
    if any(panel.complete for panel in found) and not store.is_remote:
        picture = store.root / "plots" / f"{made.sweep.name}.png"
        draw_scatter(findings, picture)
        console.print(f"plot:  {picture}", soft_wrap=True)
    console.print(f"store: {store.address}", soft_wrap=True)


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
    log_command = f"kdsweep logs --store {store.address}"
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


add_job_commands(app)
add_evidence_commands(app)
add_store_commands(app)
