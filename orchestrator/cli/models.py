"""The command that lists models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import print_json, stdout
from orchestrator.cli.options import Changes, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.trial import Trial


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep models examples/own_model.yaml`")(models)


def models(
    sweep: Annotated[
        Path | None,
        typer.Argument(
            metavar="SWEEP", help="A sweep file: its models, on its data.", show_default=False
        ),
    ] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """List the architectures, with parameters (100 classes) and multiply-adds (a 32x32 image); or a sweep's own."""
    from orchestrator.reports.models import model_table, models_as_json, sizes_in, usual_sizes
    from trainer.problems import UserError

    if sweep is None and changes:
        raise UserError(f"--set {changes[0]} goes with a sweep file")
    sizes = usual_sizes() if sweep is None else sizes_in(_trials(sweep, changes or ()))
    if as_json:
        print_json(models_as_json(sizes))
    else:
        stdout().print(model_table(sizes))


def _trials(sweep: Path, changes: "Sequence[str]") -> "list[Trial]":
    from orchestrator.language.sweep import load_sweep
    from orchestrator.planning.plan import trials_of

    return trials_of(load_sweep(sweep, changes))
