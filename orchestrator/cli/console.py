"""How commands print, how they open a store, and the options that several of them have."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.language.sweep import Sweep
    from orchestrator.store.store import Store

DONE, SOME_FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3

SUBMITTED = "KDSWEEP_SUBMITTED"
"""An environment variable that is set where kdsweep runs as a submitted job."""

DEFAULT_STORE = "kdsweep-store"
DEFAULT_DATA = Path("data")

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="KDSWEEP_DATA", help="The folder of data sets."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

Deadline = Annotated[
    str | None,
    typer.Option(help="Save everything and leave within this time: 11h, 90m, 45s. Exit code 3."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however large the bill.")]

WIDE = 240
"""Columns of a table that goes to a file or a pipe."""


def stdout(*, wide: bool = False) -> "Console":
    """Colours on a terminal only; `wide` tables are not squeezed into a file or a pipe."""
    from rich.console import Console

    console = Console(highlight=False)
    if wide and not console.is_terminal:
        console.width = max(console.width, WIDE)
    return console


def stderr() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1))


def open_sweep(sweep_file: Path, store: str | Path | None) -> "tuple[Sweep, Store]":
    """A sweep file, and its store: as given, else as the sweep says, else the default."""
    from orchestrator.language.sweep import load_sweep
    from orchestrator.store.store import Store

    sweep = load_sweep(sweep_file)
    return sweep, Store(store or sweep.store or DEFAULT_STORE)


def data_folder(sweep: "Sweep", given: Path | None) -> Path:
    """Where the data sets are: as given, else as the sweep says, else the default."""
    return (given or (Path(sweep.data) if sweep.data else DEFAULT_DATA)).expanduser().absolute()


STORE_FOLDERS = frozenset(
    {"results", "imported", "sweeps", "trials", "failures", "running", "runs"}
)
"""What a store has one of as soon as anything was kept in it."""


def existing_store(address: str | Path) -> "Store":
    """The store at an address; raises UserError if there is none."""
    from orchestrator.store.store import Store
    from trainer.problems import UserError

    store = Store(address)
    if not store.is_remote and not store.root.is_dir():
        raise UserError(f"{address}: no such folder; kdsweep run SWEEP makes a store")
    if STORE_FOLDERS.isdisjoint(store.folder.folders()):
        raise UserError(
            f"{address}: not a store: neither results/ nor imported/ nor sweeps/ is in it"
            f"{_store_nearby(store)}; kdsweep run SWEEP makes a store"
        )
    return store


def _store_nearby(store: "Store") -> str:
    """The store that holds this folder, or lies in it under the usual name, as a suggestion."""
    if store.is_remote:
        return ""
    for place in (store.root.parent, store.root / DEFAULT_STORE):
        if place.is_dir() and any((place / name).is_dir() for name in STORE_FOLDERS - {"runs"}):
            return f"; did you mean {place}?"
    return ""
