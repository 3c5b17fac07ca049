"""The command that brings in what other software has logged."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import print_json, stderr, stdout
from orchestrator.cli.opening import DEFAULT_STORE
from orchestrator.cli.options import Json


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep import-logs Experiments --store kdsweep-store`")(
        import_logs
    )


def import_logs(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder with log.txt files of the authors' code."),
    ],
    store: Annotated[
        str,
        typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
    ] = DEFAULT_STORE,
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
