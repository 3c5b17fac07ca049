"""Python files of a researcher's own, which register functions by name: schemes, models, methods, predictors.

One file stands alone and is run whole, once in a process: its hash is part of a trial's identity, and what it
imports of one's own is not hashed.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeVar

from trainer.trial import OwnFile

Registered = TypeVar("Registered", bound=Callable[..., Any])


def registrar(kind: str) -> Callable[[str], Callable[[Registered], Registered]]:
    """The `register` of one kind: `@register("NAME")` names a function or class in the way that a sweep will."""

    def register(name: str) -> Callable[[Registered], Registered]:
        def mark(function: Registered) -> Registered:
            setattr(function, _mark(kind), (*_marked(function, kind), name))
            return function

        return mark

    return register


def registered(file: OwnFile, kind: str, name: str) -> Any:
    """What a file registers under a name. Runs the file, once in this process.

    Raises:
        ValueError: it registers nothing of this kind under the name.
        RuntimeError: it calls `exit`.
        Exception: whatever the file raises.
    """
    with no_exit(file, name):
        found = _registered(file.source, file.path, kind)
    if name not in found:
        raise ValueError(f"{file.path} registers no {kind} {name!r}, but {list(found)}")
    return found[name]


@contextmanager
def no_exit(file: OwnFile, name: str) -> Iterator[None]:
    """While code of a file runs.

    Raises:
        RuntimeError: it would have ended the whole process.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"{file.path}: {name} would end the whole process") from error


def _mark(kind: str) -> str:
    return f"_kdsweep_{kind}"


def _marked(value: object, kind: str) -> tuple[str, ...]:
    """The names under which it is registered itself: no class is what it inherits from."""
    names: tuple[str, ...] = getattr(value, "__dict__", {}).get(_mark(kind), ())
    return names


@lru_cache
def _registered(source: str, path: str, kind: str) -> dict[str, Any]:
    values = vars(_module(source, path)).values()
    return {name: value for value in values for name in _marked(value, kind)}


@lru_cache
def _module(source: str, path: str) -> ModuleType:
    module = ModuleType(f"kdsweep_own_{hashlib.sha256(source.encode()).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102
    return module
