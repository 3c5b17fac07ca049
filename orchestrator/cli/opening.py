"""How commands open what a user names: a sweep file, its store, its data, a store by itself."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.order import Order
    from orchestrator.language.sweep import Sweep
    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store
    from trainer.trial import Trial

DEFAULT_STORE = "kdsweep-store"
DEFAULT_DATA = "data"


def open_sweep(
    sweep_file: Path, store: str | Path | None, changes: Sequence[str] | None = None
) -> "tuple[Sweep, Store]":
    """A sweep file with `changes` (--set), and its store: as given, else as the sweep says, else the default."""
    from orchestrator.language.sweep import load_sweep
    from orchestrator.store.store import Store

    _check_not_empty(store)
    sweep = load_sweep(sweep_file, changes or ())
    return sweep, Store(store or sweep.store or DEFAULT_STORE)


def set_again(changes: Sequence[str] | None) -> tuple[str, ...]:
    """The words by which another command sets the same in a sweep."""
    return tuple(word for change in changes or () for word in ("--set", change))


def _check_not_empty(store: str | Path | None) -> None:
    """Raises UserError of a name without a letter, as of a variable that is not set: `--store "$STORE"`."""
    from trainer.problems import UserError

    if store == "":
        raise UserError("store: expected a folder or an address, not ''")


def data_folder(sweep: "Sweep", given: str | None) -> str:
    """Where the data sets are: as given, else as the sweep says, else the default; a folder or an address."""
    from orchestrator.store.addresses import is_remote

    place = given or sweep.data or DEFAULT_DATA
    return place if is_remote(place) else str(Path(place).expanduser().absolute())


def check_writable(store: "Store") -> None:
    """Nothing is made: a store begins with what is first kept in it.

    Raises:
        UserError: nothing can be written there, or where its folder is to be made.
    """
    import tempfile

    if store.is_remote:
        return
    folder = store.root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise store.unusable(error) from error


def is_store(store: "Store") -> bool:
    """Whether anything is kept there."""
    return not STORE_FOLDERS.isdisjoint(store.folder.folders())


@dataclass(frozen=True)
class Shown:
    """What a command shows: a store, of a sweep file that sweep's trials alone."""

    store: "Store"
    plan: "Plan | None"

    @cached_property
    def kept(self) -> "Sequence[tuple[str, Plan | None]]":
        """The sweeps that a store keeps, each planned anew; of a sweep file that one."""
        from orchestrator.planning.kept_sweeps import kept_plans

        if self.plan is not None:
            return [(self.plan.sweep.name, self.plan)]
        return list(kept_plans(self.store))

    @property
    def trials(self) -> "Sequence[Trial] | None":
        """What is shown; None: everything."""
        return None if self.plan is None else self.plan.trials

    @property
    def fingerprints(self) -> frozenset[str] | None:
        """The same by fingerprint."""
        return None if self.trials is None else frozenset(t.fingerprint for t in self.trials)


def open_shown(source: str, store: str | None, changes: Sequence[str] | None = None) -> Shown:
    """What is named by a store's address, or by a sweep file and perhaps its store.

    Raises:
        UserError: it is neither; a store, or something to set, was given to a store; the sweep file is refused.
    """
    from trainer.problems import UserError

    if names_a_sweep(source):
        from orchestrator.planning.guests import only_read
        from orchestrator.planning.plan import make_plan

        where = store or os.environ.get("KDSWEEP_STORE")
        sweep, opened = open_sweep(Path(source), where, changes)
        plan = make_plan(sweep, opened, retry_failed=False, guests=only_read)
        return Shown(existing_store(opened.address), plan)
    if store is not None:
        raise UserError(f"{source} is no sweep file: --store {store} goes with one")
    if changes:
        raise UserError(f"{source} is no sweep file: --set {changes[0]} goes with one")
    return Shown(existing_store(source), None)


def shown_order(kept: "Sequence[tuple[str, Plan | None]]") -> "Order":
    """In which order results are shown: as the sweep lists them where there is one, else as the paper does."""
    from analysis.order import PAPER, order_of

    plans = [plan for _, plan in kept]
    if len(plans) != 1 or plans[0] is None:
        return PAPER
    return order_of(plans[0].sweep)


def names_a_sweep(source: str) -> bool:
    """Whether a sweep file is meant, or a shipped sweep, and not a store."""
    from orchestrator.language.shipped import ENDING

    path = Path(source)
    if "://" in source:
        return False
    if path.is_dir() and (holds_a_store(path) or source not in _shipped()):
        return False
    is_file = path.is_file() or path.suffix in (ENDING, ".yml", ".json")
    return is_file or source in _shipped()


def _shipped() -> set[str]:
    from orchestrator.language.shipped import shipped_sweeps

    return {sweep.name for sweep in shipped_sweeps()}


def holds_a_store(folder: Path) -> bool:
    """Whether anything that a store keeps is in a folder."""
    return any((folder / name).is_dir() for name in STORE_FOLDERS)


STORE_FOLDERS = frozenset(
    {"results", "imported", "sweeps", "power", "trials", "failures", "running", "runs"}
)
"""What a store has one of as soon as anything was kept in it."""


def existing_store(address: str | Path) -> "Store":
    """The store at an address; raises UserError if there is none."""
    from orchestrator.store.store import Store
    from trainer.problems import UserError, nearest

    _check_not_empty(address)
    store = Store(address)
    if not store.is_remote and not store.root.is_dir():
        near = nearest(str(address), _shipped())
        hint = f"did you mean the sweep {near!r}?" if near else "kdsweep run SWEEP makes a store"
        raise UserError(f"{address}: no such folder, nor a sweep file; {hint}")
    if not is_store(store):
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
