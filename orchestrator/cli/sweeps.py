"""The commands for the sweeps that come with kdsweep."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import print_json, stdout
from orchestrator.cli.options import Json
from orchestrator.cli.output import writing

commands = typer.Typer(
    help="List the sweeps that come with kdsweep; copy one to change it.",
    epilog="Example: `kdsweep sweeps`, then `kdsweep plan paper_cifar100`",
    invoke_without_command=True,
    rich_markup_mode="markdown",
)


def add_commands(app: typer.Typer) -> None:
    """Add them to the command `kdsweep`."""
    app.add_typer(commands, name="sweeps")


@commands.callback()
def sweeps(context: typer.Context, as_json: Json = False) -> None:
    """List the sweeps that come with kdsweep; copy one to change it."""
    from orchestrator.language.shipped import shipped_sweeps

    if context.invoked_subcommand is not None:
        return
    if as_json:
        print_json([asdict(sweep) | {"path": str(sweep.path)} for sweep in shipped_sweeps()])
        return
    listed = shipped_sweeps()
    width = max(len(sweep.name) for sweep in listed)
    for sweep in listed:
        typer.echo(f"{sweep.name:<{width}}  {sweep.about}")


@commands.command(epilog="Example: `kdsweep sweeps copy paper_cifar100 mine`")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As kdsweep sweeps lists it.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if need be.")],
) -> None:
    """Copy a sweep, with what it extends, into a folder of your own."""
    from orchestrator.language import shipped

    with writing(folder, "DIR"):
        copied = shipped.copy(name, folder)
    for path in copied:
        stdout().print(f"{path}", soft_wrap=True)
