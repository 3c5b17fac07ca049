"""Puts a failing folder under every store of a process: Python imports this by itself where it is on PYTHONPATH.

FAILING_NUMBER   the error's number, as of `FailingFolder`
FAILING_NOTED    where call sites are noted
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

ADDRESSES = "orchestrator.store.addresses"


class FailingStores:
    """Finds the module that opens stores, and changes it once it has been executed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == ADDRESSES else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change
        return spec


def change(addresses: Any) -> None:
    """From now on stores of the file system fail."""
    from failing_folder import failing

    number, noted = int(os.environ["FAILING_NUMBER"]), Path(os.environ["FAILING_NOTED"])
    addresses.open_folder = failing(addresses.open_folder, number, noted)


sys.meta_path.insert(0, FailingStores)
