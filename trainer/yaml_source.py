"""YAML, read safely: plain data and the place of every value, within limits.

Only the safe tags, no duplicate keys, no more than a megabyte and 100,000 values (an alias counts as often
as it is used, so a file cannot blow up).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from trainer.problems import FileError, Problem, UserError

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
MAX_DEPTH = 50
PLAIN_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

KeyPath = tuple[str | int, ...]


class Mark(NamedTuple):
    """A place in a file; lines and columns count from 1."""

    path: Path
    line: int
    column: int


@dataclass(frozen=True)
class YamlSource:
    """`data` is plain; `marks` maps the path of each value (and key) to where it stands."""

    path: Path
    data: Any
    marks: Mapping[KeyPath, Mark]

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A mistake at the value at `path`, or at the nearest one around it."""
        key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        while path not in self.marks and path:
            path = path[:-1]
        return Problem(*self.marks.get(path, Mark(self.path, 1, 1)), key, message)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.marks: dict[KeyPath, Mark] = {}
        self.problems: list[Problem] = []
        self._constructor = yaml.SafeLoader("")
        self._values = 0

    def read(self, node: yaml.Node, path: KeyPath = ()) -> Any:
        self._values += 1
        place = self._mark(node)
        self.marks.setdefault(path, place)
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            limit = f"at most {MAX_VALUES} values, nested at most {MAX_DEPTH} deep, are read"
            raise _LimitError(Problem(*place, "", limit))
        if isinstance(node, yaml.CollectionNode) and node.tag not in PLAIN_COLLECTIONS:
            self.problems.append(Problem(*place, "", f"the tag {node.tag} is not allowed"))
            return None
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        try:
            return self._constructor.construct_object(node)
        except yaml.constructor.ConstructorError as error:
            self.problems.append(Problem(*place, "", f"{error.problem}"))
        except (ValueError, OverflowError) as error:
            self.problems.append(Problem(*place, "", f"{node.value!r}: {error}"))
        return None

    def _mark(self, node: yaml.Node) -> Mark:
        return Mark(self._path, node.start_mark.line + 1, node.start_mark.column + 1)

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key, place = str(key_node.value), self._mark(key_node)
            if key in seen:
                self.problems.append(Problem(*place, key, "this key stands here twice"))
            seen.add(key)
            self.marks[(*path, key)] = place
            yield key, self.read(value_node, (*path, key))


class _LimitError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_yaml(path: Path) -> YamlSource:
    """Read one YAML document.

    Raises:
        UserError: the file is missing, too large or not text.
        FileError: it is not YAML, or has duplicate keys or unsafe tags.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise UserError(f"{path}: too long: a sweep has at most {MAX_BYTES:,} bytes")
        text = raw.decode()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error
    reader = _Reader(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = reader.read(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise FileError([Problem(path, line, column, "", f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise FileError([Problem(path, 1, 1, "", f"not YAML: {error}")]) from error
    except (_LimitError, RecursionError) as error:
        problem = error.problem if isinstance(error, _LimitError) else None
        raise FileError([problem or Problem(path, 1, 1, "", "nested too deep")]) from error
    if reader.problems:
        raise FileError(reader.problems)
    return YamlSource(path, data, reader.marks)
