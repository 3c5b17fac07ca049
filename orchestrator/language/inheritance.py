"""Sweeps that build on others: `extends: other.yaml`.

The other file is read first; what this one says wins. The sections of hyper-parameters are merged key by
key, everything else is replaced as a whole; null takes a key of the other file away.
"""

from pathlib import Path
from typing import Any

from trainer.problems import FileError, Problem, shortened
from trainer.yaml_source import KeyPath, Mark, YamlSource, read_yaml

MERGED = ("teachers", "student", "stddev", "resources", "grid", "search")
MAX_DEPTH = 10


def read_sweep(path: Path) -> YamlSource:
    """A sweep file merged with those that it extends; every value knows the file it stands in.

    Raises:
        UserError: a file cannot be read.
        FileError: one is not YAML, or they extend each other in a circle.
    """
    return _read(path, ())


def _read(path: Path, readers: tuple[Path, ...]) -> YamlSource:
    source = read_yaml(path)
    if not isinstance(source.data, dict) or "extends" not in source.data:
        return source
    wanted = source.data["extends"]
    if not isinstance(wanted, str):
        raise FileError([source.problem(("extends",), "expected the path of one sweep file")])
    base_path = path.parent / wanted
    chain = (*readers, path.resolve())
    try:
        is_in_chain, is_file = base_path.resolve() in chain, base_path.is_file()
    except (OSError, ValueError) as error:
        # Too long for a path, or with a NUL in it.
        message = f"{shortened(repr(wanted))}: {getattr(error, 'strerror', None) or error}"
        raise FileError([source.problem(("extends",), message)]) from error
    if is_in_chain or len(chain) > MAX_DEPTH:
        raise FileError([source.problem(("extends",), f"{base_path} extends this file")])
    if not is_file:
        raise FileError([source.problem(("extends",), f"{base_path}: no such file")])
    base = _read(base_path, chain)
    if not isinstance(base.data, dict):
        raise FileError([Problem(base_path, 1, 1, "", "expected the keys of a sweep")])
    return _merged(base, source)


def _merged(base: YamlSource, source: YamlSource) -> YamlSource:
    data: dict[str, Any] = dict(base.data)
    marks: dict[KeyPath, Mark] = dict(base.marks)
    replaced = {}
    for key, value in source.data.items():
        section = data.get(key)
        if key in MERGED and isinstance(section, dict) and isinstance(value, dict):
            _replace(section := dict(section), marks, source, (key,), value)
            data[key] = section
        elif key != "extends":
            replaced[key] = value
    _replace(data, marks, source, (), replaced)
    marks[()] = source.marks[()]
    return YamlSource(source.path, data, marks)


def _replace(
    target: dict[str, Any],
    marks: dict[KeyPath, Mark],
    source: YamlSource,
    parents: KeyPath,
    values: dict[str, Any],
) -> None:
    """Set keys, with everything below them, and remember where they stand now."""
    length = len(parents) + 1
    here = {(*parents, key) for key in values}
    for old in [path for path in marks if path[:length] in here]:
        del marks[old]
    kept = {(*parents, key) for key, value in values.items() if value is not None}
    marks.update({path: mark for path, mark in source.marks.items() if path[:length] in kept})
    for key, value in values.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
