"""The command that orders augmentations by T. stddev, from the teacher alone."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import as_command, stderr
from orchestrator.cli.opening import (
    data_folder,
    names_a_sweep,
    open_shown,
    open_sweep,
    set_again,
    shown_order,
)
from orchestrator.cli.options import (
    Changes,
    DataOption,
    Filters,
    Json,
    Predictor,
    Source,
    StoreOfSweep,
)
from orchestrator.cli.output import FormatOption, Output, chosen_format, write_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.language.sweep import Sweep
    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store
    from trainer.trial import Trial


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep rank sweeps/quickstart.yaml`")(rank)


def rank(
    source: Source,
    store: StoreOfSweep = None,
    changes: Changes = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="First measure what a sweep lacks; no student is trained."),
    ] = False,
    data: DataOption = None,
    predictor: Predictor = "t_stddev",
    filters: Filters = None,
    format_: FormatOption = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Order augmentations by T. stddev (or another predictor), from the teacher alone, before any student is trained."""
    from analysis.filters import parse_filters
    from analysis.predictors import chosen as chosen_predictor
    from analysis.ranking import rank as rank_rows
    from analysis.ranking import ranking_grids
    from analysis.rows import read_rows
    from trainer.problems import UserError

    chosen = chosen_format(format_, output, as_json)
    wanted: Sequence[Trial] | None = None
    planned: list[str] = []
    kept: Sequence[tuple[str, Plan | None]]
    if not names_a_sweep(source):
        if measure:
            raise UserError(f"{source}: a store cannot be measured; --measure takes a sweep file")
        shown = open_shown(source, store, changes)
        opened, kept = shown.store, shown.kept
    else:
        where = store or os.environ.get("KDSWEEP_STORE")
        sweep, opened = open_sweep(Path(source), where, changes)
        planned = list(sweep.augmentations)
        plan = _plan_without_students(sweep, opened)
        if measure and plan.missing:
            _run_here(plan, opened, data)
            plan = _plan_without_students(sweep, opened)
        wanted, kept = plan.trials, [(sweep.name, plan)]
        left = [trial for trial in plan.trials if trial.fingerprint not in plan.done]
        if left:
            at = set_again(changes) + (("--store", store) if store else ())
            stderr().print(
                f"partial: {len(left)} of {len(plan.trials)} teacher and T. stddev trials are not finished; "
                f"{as_command('rank', source, *at, '--measure')} runs them, and trains no student",
                soft_wrap=True,
            )
    rows = read_rows(opened, parse_filters(filters or ()), wanted)
    order = shown_order(kept)
    ranked_by = chosen_predictor(rows, predictor)
    rankings = sorted(
        rank_rows(rows, planned, ranked_by), key=lambda r: order.of_teacher(r.dataset, r.teacher)
    )
    grids = ranking_grids(rankings)
    if not grids:
        stderr().print(f"no {ranked_by.title} is measured yet")
    write_records(grids, chosen, output)


def _plan_without_students(sweep: "Sweep", store: "Store") -> "Plan":
    """A sweep's plan, cut down to what needs no student."""
    from orchestrator.planning.lost_weights import with_lost_weights
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.selection import without_students

    return with_lost_weights(without_students(make_plan(sweep, store, retry_failed=False)), store)


def _run_here(plan: "Plan", store: "Store", data: str | None) -> None:
    """Run what is missing of a plan, on this machine."""
    from orchestrator.cluster.connection import LocalCluster
    from orchestrator.driver.run import run_plan
    from orchestrator.driver.view import make_view

    folder = data_folder(plan.sweep, data)
    run_plan(plan, store, folder, LocalCluster(None, None), make_view(stderr()))
