"""The command that shows what would run, and what it will cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import print_json, stderr, stdout
from orchestrator.cli.opening import data_folder, open_sweep
from orchestrator.cli.options import Changes, DataOption, Json, StoreOption, SweepFile
from orchestrator.cli.output import writing
from orchestrator.cli.power import Asked, power_of
from orchestrator.cli.power import keep as keep_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.planned_power import PlannedPower
    from orchestrator.planning.bill import Bill, Forecast
    from orchestrator.planning.devices import Device
    from orchestrator.planning.plan import Plan
    from orchestrator.planning.prices import Pricing


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(
        epilog="Example: `kdsweep plan sweeps/paper_cifar100.yaml --gpus 64 --html plan.html`"
    )(plan)


def plan(
    sweep: SweepFile,
    store: StoreOption = None,
    changes: Changes = None,
    data: DataOption = None,
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
    device: Annotated[
        str | None,
        typer.Option(
            help="Price by the roofline of this GPU (h100, a100, rtx4090, ...), scaled by the store's jobs on "
            "one; else by its jobs on any GPU, else by an assumption."
        ),
    ] = None,
    tflops: Annotated[
        float | None, typer.Option(min=0.001, help="Of one GPU, in place of all that.")
    ] = None,
    dot: Annotated[
        bool, typer.Option("--dot", help="Print the dependencies for Graphviz.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Draw dependencies and simulated runs on a page of HTML.")
    ] = None,
    power: Annotated[
        bool,
        typer.Option(
            "--power",
            help="Tell how likely the sweep's tests find the relation, by the noise and correlation of the "
            "store's results, or as --rho and --noise say.",
        ),
    ] = False,
    rho: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="With --power: Pearson's true correlation, without seed noise."
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0, help="With --power: of one seed, in standard deviations over augmentations."
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="With --power: keep it in the store, with sweep and time."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what would run and in which order, what the store already has, and the bill."""
    from orchestrator.cluster.nodes import has_gpu, this_machine
    from orchestrator.planning.bill import bill_of, with_cpus
    from orchestrator.planning.devices import device_named
    from orchestrator.planning.lost_weights import as_far_as_known
    from orchestrator.planning.measurements import measured_jobs, pricing
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.prices import Throughput
    from orchestrator.reports.plan import plan_as_dot

    asked = Asked(power, rho, noise, keep)
    asked.check()
    _check_output(html, dot=dot, as_json=as_json)
    _check_price(device, tflops)
    named = None if device is None else device_named(device)
    loaded, opened = open_sweep(sweep, store, changes)
    planned = as_far_as_known(make_plan(loaded, opened, retry_failed=False), opened)
    if dot:
        typer.echo(plan_as_dot(planned))
        return
    found = power_of(asked, planned, opened) if power else None
    kept = keep_power(found, planned, opened) if found and keep else None
    gpus_there, unmet = _seen_on(address, planned)
    jobs = measured_jobs(opened)
    price: Pricing = Throughput(tflops, "as given") if tflops else pricing(jobs, device=named)
    bill = bill_of(planned, price)
    if not (gpus or address or has_gpu()) and planned.missing:
        bill = with_cpus(bill, planned, int(this_machine().cpu), pricing(jobs, "CPU"))
    counts = gpus or ([gpus_there] if gpus_there else [])
    is_asked = bool(counts or simulate or html)
    forecasts = _forecasts(planned, price, counts or [1], is_asked=is_asked)
    if html:
        _write_page(html, planned, bill, forecasts)
    to_fetch = _to_fetch(planned, data)
    if as_json:
        _print_json(planned, bill, forecasts if is_asked else [], unmet, to_fetch, found)
    else:
        told = unmet + (_priced_as_fp32(planned, named) if named else [])
        _print(planned, bill, forecasts, told, is_asked=is_asked, is_by_device=named is not None)
        for line in to_fetch:
            stdout().print(line, markup=False, soft_wrap=True)
        if html:
            stdout().print(f"page: {html}", soft_wrap=True)
        if found:
            from orchestrator.reports.power import power_table

            stdout().print(power_table(found))
        if kept:
            stdout().print(f"kept: {kept}", soft_wrap=True)


def _to_fetch(planned: "Plan", data: str | None) -> list[str]:
    """What nodes will fetch of the data, and how large it is; or why that could not be seen from here."""
    from orchestrator.worker.data_places import announced
    from trainer.datasets.errors import DataError

    try:
        place = data_folder(planned.sweep, data)
        return announced((trial.data for trial in planned.missing), place)
    except DataError as error:
        return [f"WARNING: the data cannot be seen from here: {error}"]


def _check_output(html: Path | None, *, dot: bool, as_json: bool) -> None:
    """Raises UserError where two kinds of output would mix, or the page has a name of something else."""
    from trainer.problems import UserError

    if dot and (html or as_json):
        raise UserError("--dot prints for Graphviz alone: leave out --html and --json")
    if html and html.suffix != ".html":
        raise UserError(f"--html: {html}: expected a name that ends in .html")


def _check_price(device: str | None, tflops: float | None) -> None:
    """Raises UserError where a GPU would have two prices."""
    from trainer.problems import UserError

    if device is not None and tflops:
        raise UserError("--device and --tflops both price a GPU: leave one of them out")


def _priced_as_fp32(planned: "Plan", device: "Device") -> list[str]:
    """A line for each precision that the device has not."""
    from trainer.trial import computed_in

    lacking = sorted({p for t in planned.missing if device.lacks(p := computed_in(t))})
    return [f"precision {p}: {device.title} has none, so it is priced as fp32" for p in lacking]


def _seen_on(address: str | None, planned: "Plan") -> tuple[int, list[str]]:
    """How many GPUs a cluster has, and what no node of it (or this machine, without one) can meet."""
    from orchestrator.cluster.connection import ExistingCluster, connected
    from orchestrator.cluster.nodes import (
        has_gpu,
        tf32_without_gpu,
        this_machine,
        unmet_requests,
    )
    from orchestrator.language.resources import job_kind

    if address is None:
        here, asked = this_machine(), planned.sweep.resources
        kinds = sorted({k for k in map(job_kind, planned.missing) if asked.of(k).cpu > here.cpu})
        few = [
            f"resources.{k}: {asked.of(k).cpu} CPU; this machine has {here.cpu:g}" for k in kinds
        ]
        return 0, few if has_gpu() else few + tf32_without_gpu(planned)
    with connected(ExistingCluster(address), stderr().print) as cluster:
        nodes = cluster.nodes()
    return int(sum(node.gpu for node in nodes)), unmet_requests(planned, nodes)


def _forecasts(
    planned: "Plan", price: "Pricing", counts: "Sequence[int]", *, is_asked: bool
) -> "list[Forecast]":
    """Simulated runs; of a large sweep only where they are asked for, as they take their time."""
    from orchestrator.planning.bill import forecast
    from orchestrator.planning.simulation import MOST_TRIALS

    if not planned.missing or not (is_asked or len(planned.missing) <= MOST_TRIALS):
        return []
    return [forecast(planned, count, price) for count in counts]


def _print_json(
    planned: "Plan",
    bill: "Bill",
    forecasts: "Sequence[Forecast]",
    unmet: "Sequence[str]",
    to_fetch: "Sequence[str]",
    power: "PlannedPower | None",
) -> None:
    from orchestrator.planning.bill import bill_as_json
    from orchestrator.reports.plan import plan_as_json
    from orchestrator.reports.power import power_as_json

    figures = {
        "bill": bill_as_json(bill, forecasts),
        "requests_no_node_meets": unmet,
        "data_to_fetch": to_fetch,
    }
    if power:
        figures["power"] = power_as_json(power)
    print_json(plan_as_json(planned) | figures)


def _print(
    planned: "Plan",
    bill: "Bill",
    forecasts: "Sequence[Forecast]",
    warnings: "Sequence[str]",
    *,
    is_asked: bool,
    is_by_device: bool,
) -> None:
    from orchestrator.reports.plan import forecast_table, order_table, plan_table, share_table

    console = stdout()
    console.print(plan_table(planned, bill))
    if is_by_device and bill.shares:
        console.print(share_table(bill.shares))
    if is_asked and forecasts:
        console.print(forecast_table(forecasts))
    for first in forecasts[:1]:
        console.print(order_table(first, planned.sweep.varied))
    for warning in warnings:
        console.print(f"WARNING: {warning}", style="yellow", markup=False, soft_wrap=True)


def _write_page(path: Path, planned: "Plan", bill: "Bill", forecasts: "Sequence[Forecast]") -> None:
    from orchestrator.reports.plan_page import render_plan
    from trainer.files import write_atomically

    with writing(path, "--html"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, render_plan(planned, bill, forecasts).encode())
