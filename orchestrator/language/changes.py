"""Values that a command sets in a sweep: `--set student.epochs=3`.

They are set after a file was merged with what it extends and before anything is validated, in the order in which
they are given. A key is a path of keys; what stands below it is replaced as a whole, and null takes it away.
The sweep takes down, in `was_set`, what was set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.problems import FileError, Problem, UserError, shortened
from trainer.yaml_source import MAX_LETTERS, KeyPath, Mark, YamlSource, parse_yaml

RECORD = "was_set"
DOTTED = ("grid", "search")
"""Sections whose own keys have dots: what follows them is one key."""

_OPTION = Path("--set")
_PLACE = Mark(_OPTION, 0, 0)


def with_changes(source: YamlSource, changes: Sequence[str]) -> YamlSource:
    """A sweep file's content with what `KEY=VALUE`, each, say instead; a value is YAML.

    Raises:
        UserError: one is not of this form.
        FileError: a value is not YAML, or a key leads below what has no keys.
    """
    data: dict[str, Any] = dict(source.data)
    marks = dict(source.marks)
    for change in changes:
        key, value = _split(change)
        path = _path(key)
        _set(data, path, value.data)
        for old in [old for old in marks if old[: len(path)] == path]:
            del marks[old]
        for depth in range(1, len(path)):
            marks.setdefault(path[:depth], _PLACE)
        if value.data is not None:
            marks |= {(*path, *below): _PLACE for below in value.marks}
    if changes:
        recorded = data.get(RECORD)
        data[RECORD] = [*(recorded if isinstance(recorded, list) else ()), *changes]
    return YamlSource(source.path, data, marks)


def _split(change: str) -> tuple[str, YamlSource]:
    key, equals, written = change.partition("=")
    if not (equals and written.strip() and all(key.split("."))):
        raise UserError(
            f"{_OPTION} {shortened(change)}: expected KEY=VALUE, as in student.epochs=3; null takes a key away"
        )
    if key.partition(".")[0] == "extends":
        raise UserError(f"{_OPTION} {key}: a file says itself what it extends")
    if len(change) > MAX_LETTERS:
        raise UserError(f"{_OPTION} {key}: {len(change):,} letters; {MAX_LETTERS:,} are the most")
    try:
        return key, parse_yaml(written, _OPTION)
    except FileError as error:
        problems = [Problem(_OPTION, 0, 0, key, problem.message) for problem in error.problems]
        raise FileError(problems) from error


def _path(key: str) -> tuple[str, ...]:
    first, _, rest = key.partition(".")
    return (first, rest) if first in DOTTED and rest else tuple(key.split("."))


def _set(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set one value; the sections on the way are copied, as they are the source's."""
    *parents, last = path
    for depth, parent in enumerate(parents, start=1):
        below = data.get(parent, {})
        if not isinstance(below, dict):
            raise FileError([Problem(_OPTION, 0, 0, ".".join(path), _told(path[:depth], below))])
        data[parent] = data = dict(below)
    if value is None:
        data.pop(last, None)
    else:
        data[last] = value


def _told(path: KeyPath, found: Any) -> str:
    what = "a list" if isinstance(found, list) else shortened(repr(found))
    return f"{'.'.join(map(str, path))} is {what} and has no keys: set it as a whole"
