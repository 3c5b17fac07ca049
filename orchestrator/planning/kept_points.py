"""The points of a search that a store has kept: they stay, whatever today's scipy would draw."""

import json
from collections.abc import Callable, Iterator

from pydantic import TypeAdapter, ValidationError

from orchestrator.language.search import DrawnSearch, Search
from orchestrator.language.sweep import Sweep
from orchestrator.store.store import Store, sweep_name

SEARCH: TypeAdapter[Search] = TypeAdapter(DrawnSearch)


def with_kept_points(sweep: Sweep, store: Store, note: Callable[[str], None]) -> Sweep:
    """A sweep with the points that its store has kept for the same search, of whatever sweep; `note` hears if they differ.

    Where several were kept, as of stores that were put together, its own stay if they are among them; else those
    of a sweep of its name count, and of these the first.
    """
    if sweep.search is None:
        return sweep
    kept = [search for search in _kept(sweep.name, store) if search.asked == sweep.search.asked]
    if not kept or sweep.search in kept:
        return sweep
    note(
        "search: the points are those that the store has kept of it, not those that were drawn now"
    )
    return sweep.model_copy(update={"search": kept[0]})


def _kept(name: str, store: Store) -> Iterator[Search]:
    """Those of sweeps of a name first."""
    sweeps = store.sweeps()
    for file in sorted(sweeps, key=lambda file: (sweep_name(file) != name, file)):
        try:
            content = json.loads(sweeps[file])
            yield SEARCH.validate_python(content["search"])
        except (ValidationError, ValueError, KeyError, TypeError):
            continue
