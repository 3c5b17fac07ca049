"""Whose code runs: kdsweep's packages are imported from where the command belongs to, whatever lies around.

`trainer`, `analysis` and `orchestrator` are words that others use as well. A finder of our own comes before
every path: in the command itself, and in each worker before it imports anything of ours.

Nothing of kdsweep is imported here: until `pin` has run, it might be somebody else's.
"""

import json
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def pin(top: str, names: Sequence[str]) -> None:
    """From now on, packages of these names are imported from below the folder `top`, and nowhere else.

    Raises:
        ImportError: another package of such a name is imported already.
    """
    # Everything is imported here, as the function travels to workers by its code alone.
    import importlib.machinery
    import importlib.util
    import os
    import sys

    for name in names:
        own = os.path.join(top, name, "__init__.py")  # noqa: PTH118
        module = sys.modules.get(name)
        loaded = getattr(module, "__file__", None) or "a folder without code"
        if module is not None and os.path.realpath(loaded) != os.path.realpath(own):
            raise ImportError(f"{name} is {loaded} here; kdsweep's own is {own}")

    class OwnPackages:
        places = (top, tuple(names))

        @classmethod
        def find_spec(
            cls, name: str, path: object = None, target: object = None
        ) -> "importlib.machinery.ModuleSpec | None":
            if name not in names:
                return None
            folder = os.path.join(top, name)  # noqa: PTH118
            return importlib.util.spec_from_file_location(
                name,
                os.path.join(folder, "__init__.py"),  # noqa: PTH118
                submodule_search_locations=[folder],
            )

    if not any(getattr(finder, "places", None) == OwnPackages.places for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackages)


def hook_for(top: str, names: Sequence[str]) -> Callable[[], None]:
    """What a worker runs before anything else, where the folder `top` is there as well.

    Elsewhere the packages are those that the machine has; whether they are the same is told by their digest.
    """

    def pin_own_packages() -> None:
        import os

        starts = [os.path.join(top, name, "__init__.py") for name in names]  # noqa: PTH118
        if all(map(os.path.isfile, starts)):
            pin(top, names)

    return pin_own_packages


def installed_at() -> Path | None:
    """The folder of the kdsweep that is installed here; None where none is."""
    try:
        installed = distribution("kdsweep")
    except PackageNotFoundError:
        return None
    url = json.loads(installed.read_text("direct_url.json") or "{}")
    if url.get("dir_info", {}).get("editable"):
        return Path(_path_of(url["url"])).resolve()
    return Path(str(installed.locate_file(""))).resolve()


def _path_of(url: str) -> str:
    """The path in a file:// address."""
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path)
