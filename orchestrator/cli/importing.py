"""The commands that bring in what other software has logged, or found."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import print_json, stderr, stdout
from orchestrator.cli.opening import DEFAULT_STORE
from orchestrator.cli.options import Json
from trainer.problems import printable


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep import-logs Experiments --store kdsweep-store`")(
        import_logs
    )
    app.command(
        epilog="Example: `kdsweep import-table results.csv --columns loss=s_test_loss --store kdsweep-store`"
    )(import_table)


StoreToFill = Annotated[
    str,
    typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
]


def import_logs(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder with log.txt files of the authors' code."),
    ],
    store: StoreToFill = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Bring log.txt files of the authors' own code into a store, marked as imported."""
    from dataclasses import asdict

    from orchestrator.store.store import Store
    from orchestrator.upkeep.importing import import_logs as import_into

    outcome = import_into(folder, Store(store))
    if as_json:
        print_json(asdict(outcome))
    else:
        for message in outcome.refused:
            stderr().print(message, markup=False, highlight=False, soft_wrap=True, style="red")
        stdout().print(
            f"{outcome.imported} imported, {outcome.known} known already, "
            f"{len(outcome.refused)} refused; store: {store}",
            soft_wrap=True,
        )
    if outcome.refused:
        sys.exit(1 if outcome.imported or outcome.known else 2)


def import_table(
    table: Annotated[
        Path, typer.Argument(metavar="FILE", help="Results of other software: a .csv or .parquet.")
    ],
    store: StoreToFill = DEFAULT_STORE,
    columns: Annotated[
        str,
        typer.Option(
            metavar="THEIRS=OURS,...",
            help="Which of its columns are meant. Ours: dataset, teacher, student, augmentation, seed, "
            "s_test_loss, s_accuracy, t_stddev, and predictor.NAME for any other number of the teacher's.",
        ),
    ] = "",
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Where a run has another value in the store, take the new one."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a table of results from elsewhere into a store, marked as imported: all of it, or nothing."""
    from dataclasses import asdict

    from orchestrator.store.store import Store
    from orchestrator.upkeep.importing_tables import import_table as import_into
    from orchestrator.upkeep.table_files import parse_columns

    outcome = import_into(table, Store(store), parse_columns(columns), replace=replace)
    if as_json:
        print_json(asdict(outcome))
        return
    told = f"{outcome.imported} imported, {outcome.known} known already"
    if outcome.replaced:
        told += f", {outcome.replaced} replaced"
    stdout().print(f"{told}; store: {store}", soft_wrap=True)
    if outcome.ignored:
        names = printable(", ".join(outcome.ignored))
        stdout().print(f"columns that were not read: {names}", soft_wrap=True)
