"""The command that shows what would run, and what it will cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import print_json, stdout
from orchestrator.cli.opening import open_sweep
from orchestrator.cli.options import Json, StoreOption, SweepFile

if TYPE_CHECKING:
    from orchestrator.planning.bill import Bill, Forecast
    from orchestrator.planning.plan import Plan


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(
        epilog="Example: `kdsweep plan sweeps/paper_cifar100.yaml --gpus 64 --html plan.html`"
    )(plan)


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
    from orchestrator.planning.bill import bill_as_json, bill_of, forecast, throughput_of
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.simulation import MOST_TRIALS
    from orchestrator.reports.plan import (
        forecast_table,
        order_table,
        plan_as_dot,
        plan_as_json,
        plan_table,
    )
    from trainer.problems import UserError

    if dot and (html or as_json):
        raise UserError("--dot prints for Graphviz alone: leave out --html and --json")
    if html and html.suffix != ".html":
        raise UserError(f"--html: {html}: expected a name that ends in .html")
    loaded, opened = open_sweep(sweep, store)
    made = make_plan(loaded, opened, retry_failed=False)
    if dot:
        typer.echo(plan_as_dot(made))
        return
    seen, unmet = _seen_on(address, made)
    throughput = throughput_of(opened, tflops)
    bill = bill_of(made, throughput)
    counts = gpus or ([seen] if seen else [])
    is_asked = bool(counts or simulate or html)
    if not made.missing:
        counts = []
    elif is_asked or len(made.missing) <= MOST_TRIALS:
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
    if is_asked and forecasts:
        stdout().print(forecast_table(forecasts))
    for found in forecasts[:1]:
        stdout().print(order_table(found))
    for request in unmet:
        stdout().print(f"WARNING: {request}", style="yellow", markup=False, soft_wrap=True)
    if html:
        stdout().print(f"page: {html}", soft_wrap=True)


def _seen_on(address: str | None, made: "Plan") -> tuple[int, list[str]]:
    """How many GPUs a cluster has, and what no node of it (or this machine, without one) can meet."""
    from orchestrator.cluster.connection import ExistingCluster, connected
    from orchestrator.cluster.nodes import this_machine, unmet_requests

    if address is None:
        here, asked = this_machine(), made.sweep.resources
        kinds = sorted({t.kind for t in made.missing if asked.of(t.kind).cpu > here.cpu})
        few = [
            f"resources.{k}: {asked.of(k).cpu} CPU; this machine has {here.cpu:g}" for k in kinds
        ]
        return 0, few
    with connected(ExistingCluster(address)) as cluster:
        nodes = cluster.nodes()
    return int(sum(node.gpu for node in nodes)), unmet_requests(made, nodes)


def _write_page(path: Path, made: "Plan", bill: "Bill", forecasts: "list[Forecast]") -> None:
    from orchestrator.reports.plan_page import render_plan
    from trainer.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render_plan(made, bill, forecasts).encode())
