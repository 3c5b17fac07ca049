"""YAML, read safely: plain data and the place of every value, within limits.

What is written is what is meant. Plain values are read as YAML 1.2 and JSON read them, and nothing else is a
number: 5e-4 and 1e5 are; 010, 0x10, 1_000 and 1:30, in which YAML 1.1 saw 8, 16, 1000 and 90, are text, and
refused where a number is wanted. `true` and `false` are the only booleans, and dates are text.

Only plain tags, no duplicate keys, no more than a megabyte and 100,000 values (an alias counts as often as it
is used, so a file cannot blow up).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from trainer.problems import FileError, Problem, UserError, shortened

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
MAX_DEPTH = 50
MAX_DIGITS = 400
"""No number of anybody's is longer; the largest float has 309 digits before its point."""
MAX_LETTERS = 4096
"""No text of a sweep is longer than the longest path of a file system."""
TOO_MUCH = f"at most {MAX_VALUES} values, nested at most {MAX_DEPTH} deep, are read"

_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"

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


_PLAIN: Mapping[str, re.Pattern[str]] = {
    "null": re.compile(r"~|null|"),
    "bool": re.compile(r"true|false"),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan"
    ),
}
"""How a value of each tag is written; of a plain one, the first that fits counts, else it is text."""


class _Loader(yaml.SafeLoader):
    """Composes nodes; that there are too many is found while they are made."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self._path = path
        self._num_values = 0
        self._depth = 0

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            name = next((n for n, pattern in _PLAIN.items() if pattern.fullmatch(value)), "str")
            return _TAG + name
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        self._num_values += not is_key
        self._depth += 1
        if self._num_values > MAX_VALUES or self._depth > MAX_DEPTH + 1:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _LimitError(Problem(self._path, mark.line + 1, mark.column + 1, "", TOO_MUCH))
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Entries = dict[str, tuple[Mark, yaml.Node]]


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.marks: dict[KeyPath, Mark] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def read(self, node: yaml.Node, path: KeyPath = ()) -> Any:
        place = self._mark(node)
        self.marks.setdefault(path, place)
        self._count(place, depth=len(path))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._refuse(place, f"the tag {shortened(str(node.tag))} is not allowed")
        return None

    def _scalar(self, node: yaml.ScalarNode, place: Mark) -> Any:
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        if kind == "str":
            return self._text(text, place)
        if kind not in _PLAIN:
            self._refuse(place, f"the tag {shortened(node.tag)} is not allowed")
        elif not _PLAIN[kind].fullmatch(text):
            self._refuse(place, f"{shortened(repr(text))}: not a value of the tag {node.tag}")
        elif kind == "bool":
            return text == "true"
        elif kind != "null" and len(text) > MAX_DIGITS:
            self._refuse(place, f"a number of {len(text):,} digits; {MAX_DIGITS} are the most")
        elif kind == "int":
            return int(text)
        elif kind == "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return None

    def _text(self, text: str, place: Mark) -> str:
        """Halves of characters beyond the basic plane, as JSON escapes them, are put together."""
        if len(text) > MAX_LETTERS:
            self._refuse(place, f"a text of {len(text):,} letters; {MAX_LETTERS:,} are the most")
            return ""
        if "\0" in text:
            # No path, command or environment takes it.
            self._refuse(place, f"{shortened(repr(text))}: a NUL character is no text")
            return ""
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._refuse(place, f"{shortened(ascii(text))}: half a character is no text")
            return ""

    def _refuse(self, place: Mark, message: str) -> None:
        self.problems.append(Problem(*place, "", message))

    def _mark(self, node: yaml.Node) -> Mark:
        return Mark(self._path, node.start_mark.line + 1, node.start_mark.column + 1)

    def _count(self, place: Mark, depth: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise _LimitError(Problem(*place, "", TOO_MUCH))

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        own, bases = self._keys(node)
        for base in bases:
            for key, entry in self._merged(base, depth=len(path)).items():
                own.setdefault(key, entry)
        for key, (place, value_node) in own.items():
            self.marks[(*path, key)] = place
            yield key, self.read(value_node, (*path, key))

    def _keys(self, node: yaml.MappingNode) -> tuple[_Entries, list[yaml.Node]]:
        """What stands in a mapping by its keys, and what is merged into it (`<<: *base`)."""
        entries: _Entries = {}
        bases: list[yaml.Node] = []
        for key_node, value_node in node.value:
            place = self._mark(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(place, "a key is one word")
                continue
            key = self._text(str(key_node.value), place)
            if key == _MERGE and key_node.style is None:
                is_list = isinstance(value_node, yaml.SequenceNode)
                bases += value_node.value if is_list else [value_node]
            elif key in entries:
                self.problems.append(Problem(*place, shortened(key), "this key stands here twice"))
            else:
                entries[key] = (place, value_node)
        return entries, bases

    def _merged(self, node: yaml.Node, depth: int) -> _Entries:
        """The entries of a mapping that is merged into another; of several, the first that has a key counts."""
        place = self._mark(node)
        self._count(place, depth)
        if not isinstance(node, yaml.MappingNode):
            self._refuse(place, "<< takes keys with values, or a list of such")
            return {}
        entries, bases = self._keys(node)
        for base in bases:
            for key, entry in self._merged(base, depth + 1).items():
                entries.setdefault(key, entry)
        return entries


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
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlSource:
    """The same of a text; `path` says in mistakes and marks where it stands.

    Raises:
        FileError: it is not YAML, or has duplicate keys or unsafe tags.
    """
    reader = _Reader(path)
    try:
        node = _Loader(text, path).get_single_node()
        data = reader.read(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not YAML: {shortened(str(error.problem))}"
        raise FileError([Problem(path, line, column, "", message)]) from error
    except yaml.YAMLError as error:
        message = f"not YAML: {' '.join(str(error).split())}"
        raise FileError([Problem(path, 1, 1, "", message)]) from error
    except _LimitError as error:
        raise FileError([error.problem]) from error
    except (RecursionError, ValueError, OverflowError) as error:
        # Escapes beyond Unicode, and what else a parser of pure Python lets through.
        raise FileError([Problem(path, 1, 1, "", f"not YAML: {shortened(str(error))}")]) from error
    if reader.problems:
        raise FileError(reader.problems)
    return YamlSource(path, data, reader.marks)
