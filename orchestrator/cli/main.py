"""The command `kdsweep`. Each command wires; what it needs is imported when it runs."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import (
    diff,
    evidence,
    importing,
    jobs,
    kubernetes,
    models,
    plan,
    rank,
    run,
    slurm,
    status,
    sweeps,
    teachers,
    track,
    trial,
    upkeep,
)
from orchestrator.cli.console import BAD_INPUT, DONE, STOPPED, print_json, stderr
from orchestrator.cli.usage import READER_LEFT, call
from orchestrator.cluster.interruption import all_is_done, broke_in, end_deaf, listen
from trainer.ending import leave

app = typer.Typer(
    name="kdsweep",
    help="Sweeps of knowledge distillation with data augmentation: does T. stddev predict S. test loss?",
    epilog="Exit codes: 0 done, 1 some trial failed, 2 bad input, 3 stopped before it was finished.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"kdsweep {version('kdsweep')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """What can be given before any command."""


def main() -> None:
    """The entry point of the command `kdsweep`; it refuses to run another kdsweep's code."""
    listen()
    from orchestrator.store.provenance import TOP
    from orchestrator.worker.own_packages import installed_at

    own = installed_at()
    if own not in (None, TOP):
        stderr().print(
            f"the command kdsweep belongs to {own}, but Python finds the code of {TOP} first "
            "(PYTHONPATH?); python -m orchestrator in that folder runs it",
            markup=False,
            highlight=False,
            soft_wrap=True,
            style="red",
        )
        leave(BAD_INPUT)
    command_line()


def command_line() -> None:
    """Run the command; a user's mistake ends in one line and exit code 2, never in a traceback."""
    listen()
    from orchestrator.store.arriving import told_to
    from trainer.problems import UserError

    try:
        try:
            _stand_somewhere()
            with told_to(_tell_meanwhile):
                call(app)
        finally:
            # How it ended is decided: nothing breaks into the telling of it.
            end_deaf()
    except (UserError, OSError) as error:
        with suppress(OSError, SystemExit):  # the latter is rich's, where nobody reads
            stderr().print(
                _in_words(error), markup=False, highlight=False, soft_wrap=True, style="red"
            )
        leave(BAD_INPUT)
    except SystemExit as ended:
        code = _code_of_interrupted() if ended.code == INTERRUPTED else ended.code
        # Typer and rich both leave so when standard output is closed.
        code = READER_LEFT if isinstance(ended.__context__, BrokenPipeError) else code
        _leave_if_broken_into(code)
        leave(code)
    except KeyboardInterrupt:
        code = _code_of_interrupted()
        _leave_if_broken_into(code)
        leave(code)


def _tell_meanwhile(line: str) -> None:
    """What goes on does so also where nobody reads."""
    with suppress(OSError, SystemExit):
        stderr().print(line, highlight=False, soft_wrap=True)


def _stand_somewhere() -> None:
    """In a folder that was removed even absolute paths do not help: libraries of torch's ask where they are.

    Raises:
        UserError: the working folder is not there any more.
    """
    from trainer.problems import UserError

    try:
        Path.cwd()
    except OSError as error:
        raise UserError(
            f"the working folder is gone ({error.strerror}): cd to one that is there"
        ) from error


def _in_words(error: Exception) -> str:
    """`/etc/x: Permission denied` of what Python would tell with a number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _code_of_interrupted() -> int:
    return DONE if all_is_done() else STOPPED


def _leave_if_broken_into(code: object) -> None:
    """Python's own end would wait for threads of a Ray that does not answer, or take them down under their feet."""
    if broke_in() and isinstance(code, int):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


for commands in (
    *(plan, run, status, jobs, slurm, kubernetes),
    *(evidence, rank, diff, track, importing, trial),
):
    commands.add_commands(app)


@app.command(epilog="Example: `kdsweep schema > sweep.schema.json`")
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors."""
    from orchestrator.language.json_schema import sweep_schema

    print_json(sweep_schema())


models.add_commands(app)
upkeep.add_commands(app)
sweeps.add_commands(app)
teachers.add_commands(app)
