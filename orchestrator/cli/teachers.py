"""The commands for teachers that were published."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import print_json, stderr, stdout
from orchestrator.cli.options import Json

commands = typer.Typer(
    help="Fetch the authors' published teachers, and list those that are here.",
    epilog="Example: `kdsweep teachers fetch cifar100`, then `kdsweep teachers list`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

NO_CHECKSUM = (
    "no checksums of these files are published: their SHA-256 is pinned as they came now, and whatever differs "
    "later is told"
)


def add_commands(app: typer.Typer) -> None:
    """Add them to the command `kdsweep`."""
    app.add_typer(commands, name="teachers")


@commands.command("fetch", epilog="Example: `kdsweep teachers fetch cifar100 --to save/models`")
def fetch_teachers(
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="cifar100 or tinyimagenet.")],
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where they go; this machine's cache by default."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="Another address of the archive, as of a mirror."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Download also what is here, and compare.")
    ] = False,
) -> None:
    """Fetch the authors' published teachers of a data set, unpack them, and pin what they are."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from orchestrator.upkeep.teachers.fetching import fetch_teachers as have
    from orchestrator.upkeep.teachers.fetching import fetched_folder

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    # Begun with the first bytes: once begun, it leaves an empty line, also above a message.
    progress = Progress(*columns, console=stderr())
    task = progress.add_task(f"teachers for {dataset}", total=None)

    def tell(done: int, total: int | None) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)

    try:
        fetched = have(dataset, to or fetched_folder(dataset), tell, source=source, again=again)
    finally:
        if progress.live.is_started:
            progress.stop()
    verb = "fetched" if fetched.is_new else "already there, as pinned"
    stdout().print(f"{len(fetched.files)} teachers {verb}: {fetched.folder}", soft_wrap=True)
    if fetched.left:
        stdout().print(f"left in the archive: {len(fetched.left)} other files", soft_wrap=True)
    if fetched.is_new:
        stdout().print(NO_CHECKSUM, soft_wrap=True)
        if source and source.startswith("http:"):
            stdout().print(
                "they came without encryption: whoever was in between may have changed them"
            )
    if pattern := fetched.pattern:
        stdout().print(f'in a sweep: teachers: {{checkpoint: "{pattern}"}}', soft_wrap=True)


@commands.command("list", epilog="Example: `kdsweep teachers list save/models`")
def list_teachers(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="A folder of checkpoints; all that were fetched by default."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List published teachers: architecture, classes, image size, accuracy where it is known, and whether pinned."""
    from dataclasses import asdict

    from rich.table import Table

    from orchestrator.upkeep.teachers.listing import listed_teachers

    teachers = listed_teachers(folder)
    if as_json:
        print_json([asdict(teacher) for teacher in teachers])
        return
    if not teachers:
        where = folder or "the cache; kdsweep teachers fetch cifar100 brings some"
        stdout().print(f"no checkpoints named after architectures in {where}", soft_wrap=True)
        return
    table = Table("architecture", "classes", "size", "accuracy %", "pinned", "path")
    for one in teachers:
        accuracy = "" if one.accuracy is None else f"{100 * one.accuracy:.2f}"
        size = "" if one.image_size is None else str(one.image_size)
        classes = "" if one.num_classes is None else str(one.num_classes)
        table.add_row(one.architecture, classes, size, accuracy, one.pinned, one.path)
    stdout(wide=True).print(table)
    for one in teachers:
        if one.problem:
            stderr().print(
                f"{one.path}: {one.problem}", style="red", soft_wrap=True, highlight=False
            )
