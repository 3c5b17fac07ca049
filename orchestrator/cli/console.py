"""How commands print, and what their exit codes mean."""

import json
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


DONE, SOME_FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3

WIDE = 240
"""Columns of a table that goes to a file or a pipe."""


def stdout(*, wide: bool = False) -> "Console":
    """Colours on a terminal only, and brackets are text; `wide` tables are not squeezed into a file or a pipe."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if wide and not console.is_terminal:
        console.width = max(console.width, WIDE)
    return console


def lasting_stdout() -> "Console":
    """For what goes on when nobody reads any more, or nothing can be written, as a run does: it is silent then."""
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            with suppress(SystemExit):  # by then rich has led standard output to nowhere
                super().on_broken_pipe()

        def print(self, *objects: Any, **how: Any) -> None:
            with suppress(OSError):
                super().print(*objects, **how)

    return Lasting(highlight=False, markup=False)


def stderr() -> "Console":
    from rich.console import Console

    return Console(stderr=True, markup=False)


def as_command(*words: object) -> str:
    """A command of kdsweep as it can be pasted into a shell: `kdsweep run 'my sweep.yaml'`."""
    return shlex.join(["kdsweep", *map(str, words)])


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1))
