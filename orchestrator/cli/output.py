"""How tables leave a command: in which format, to a file or to the terminal."""

import enum
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import print_json, stderr, stdout

if TYPE_CHECKING:
    from analysis.grid import Grid


Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write a file; its ending names the format.")
]


class Format(enum.StrEnum):
    """How tables are written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"
    JSON = "json"


FormatOption = Annotated[
    Format | None, typer.Option("--format", help="Of the tables; text by default.")
]


def chosen_format(given: Format | None, output: Path | None, as_json: bool) -> Format:
    """The format asked for: by --json, by --format, by the ending of the file, else text."""
    from analysis.formats import ENDINGS
    from trainer.problems import UserError, did_you_mean

    by_ending = {"txt": Format.TEXT, **{e: Format(name) for e, name in ENDINGS.items()}}
    asked = Format.JSON if as_json else given
    ending = output.suffix.lstrip(".") if output else ""
    if output is None or (asked and ending not in by_ending):
        return asked or Format.TEXT
    if ending not in by_ending:
        raise UserError(f"{output}: unknown format {ending!r}{did_you_mean(ending, by_ending)}")
    if asked and asked is not by_ending[ending]:
        raise UserError(
            f"{output}: its ending says {by_ending[ending]}, and {asked} is asked for: change one"
        )
    return by_ending[ending]


def write_records(grids: "Sequence[Grid]", chosen: Format, output: Path | None) -> None:
    """Tables whose JSON is their records."""
    if chosen is Format.JSON:
        write_json([dict(record) for grid in grids for record in grid.records], output)
    else:
        write_grids(grids, chosen, output)


def write_grids(grids: "Sequence[Grid]", chosen: Format, output: Path | None) -> None:
    from analysis.formats import WRITERS, terminal

    if chosen is not Format.TEXT:
        write_text(WRITERS[chosen](grids), output)
        return
    console = stdout(wide=True)
    if output is None:
        for part in terminal(grids, console.width):
            console.print(part)
        return
    with console.capture() as captured:
        for part in terminal(grids, console.width):
            console.print(part)
    write_text(captured.get(), output)


def write_json(value: object, output: Path | None) -> None:
    if output is None:
        print_json(value)
    else:
        write_text(json.dumps(value, indent=1) + "\n", output)


def write_text(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
        return
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    stdout().print(f"{output}", soft_wrap=True)


@contextmanager
def writing(path: Path, setting: str = "--output") -> Iterator[None]:
    """Write a file that `setting` names; a folder that was made for it is told on stderr.

    Raises:
        UserError: it cannot be written.
    """
    from trainer.problems import UserError

    is_new = not path.parent.exists()
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror}; {setting} names another place"
        ) from error
    if is_new:
        stderr().print(f"a new folder: {path.parent}", soft_wrap=True)
