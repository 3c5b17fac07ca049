"""A large bill is shown before the run, and a person is asked."""

import sys
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.console import STOPPED

if TYPE_CHECKING:
    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store

ASK_FROM_GPU_HOURS = 10.0


def confirm(plan: "Plan", store: "Store", *, yes: bool) -> None:
    """Ask whether to go on where the bill is large and somebody is there to answer.

    Raises:
        SystemExit: the answer was no; nothing was started.
    """
    if yes or not plan.missing or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    from orchestrator.planning.bill import bill_of
    from orchestrator.planning.measurements import measured_jobs, pricing

    bill = bill_of(plan, pricing(measured_jobs(store)))
    if bill.gpu_hours < ASK_FROM_GPU_HOURS:
        return
    question = (
        f"{len(plan.missing)} trials, {bill.gpu_hours:,.0f} GPU-hours at {bill.throughput.tflops:.3g} "
        f"TFLOP/s per GPU ({bill.throughput.source}). Go on?"
    )
    try:
        goes_on = typer.confirm(question)
    except typer.Abort:
        goes_on = False
    if not goes_on:
        typer.echo("nothing was started; --yes does not ask")
        sys.exit(STOPPED)
