"""The command that runs one trial, without Ray and without a store."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    """Where a trial runs by hand."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Execution(StrEnum):
    """How its steps run on a GPU."""

    EAGER = "eager"
    GRAPH = "graph"


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep trial student.yaml --output runs`")(trial)


def trial(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="TRIAL", help="A trial (YAML), short or as a sweep left it in its store."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for results.")] = Path("trials"),
    weights: Annotated[
        Path | None, typer.Option(help="Folder with the weights it depends on; OUTPUT by default.")
    ] = None,
    data: Annotated[
        Path, typer.Option("--data", envvar="KDSWEEP_DATA", help="The folder of data sets.")
    ] = Path("data"),
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads; the bits of a result depend on it.")
    ] = 1,
    device: Annotated[
        Device, typer.Option(help="auto takes a GPU where there is one.")
    ] = Device.AUTO,
    execution: Annotated[
        Execution,
        typer.Option(help="On a GPU: operation by operation, or each step as one CUDA graph."),
    ] = Execution.GRAPH,
) -> None:
    """Run one trial without Ray: train, show progress, write its result and weights."""
    from trainer.__main__ import exit_code_of
    from trainer.alone import run_alone

    def run_one() -> Path:
        return run_alone(
            file,
            output=output,
            weights=weights,
            data_folder=data,
            threads=threads,
            device=device.value,
            execution=execution.value,
        )

    sys.exit(exit_code_of(run_one))
