"""How commands open what a user names: a sweep file, its store, its data, a store by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.language.sweep import Sweep
    from orchestrator.store.store import Store

DEFAULT_STORE = "kdsweep-store"
DEFAULT_DATA = Path("data")


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
