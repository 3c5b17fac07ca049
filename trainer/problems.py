"""A user's mistake, told in one line each: where, what, and the nearest thing that would be right."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.synonyms import SYNONYMS

MOST_TOLD = 50
"""So many mistakes of one file are told."""

LONGEST_LINE = 2000


class UserError(Exception):
    """Bad input: nothing was started. `str()` is what the user reads, one line per problem."""


class PlacedError(UserError):
    """Something is wrong at a place; what and where can be told apart."""

    def __init__(self, where: object, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = str(where)
        self.problem = problem


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file; lines and columns count from 1. Without a line it is of an option, named by its path."""

    path: Path
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        if not self.line:
            return f"{self.path} {key}{self.message}"
        return f"{self.path}:{self.line}:{self.column}: {key}{self.message}"


class FileError(UserError):
    """All the mistakes of a file, and of those that it builds on; the first of them are told.

    `num_more` are those that were only counted; without `is_all` the rest was not looked through.
    """

    def __init__(
        self, problems: Sequence[Problem], num_more: int = 0, *, is_all: bool = True
    ) -> None:
        self.problems = tuple(sorted(problems))
        lines = [str(problem) for problem in self.problems[:MOST_TOLD]]
        if more := len(self.problems) - len(lines) + num_more:
            lines.append(f"{self.problems[0].path}: and {more:,} more mistakes")
        elif not is_all:
            lines.append(f"{self.problems[0].path}: and perhaps more mistakes")
        super().__init__("\n".join(shortened(line, LONGEST_LINE) for line in lines))


def shortened(text: str, length: int = 100) -> str:
    """A text that somebody else wrote, at a length that can be told."""
    return text if len(text) <= length else f"{text[:length]}..."


def printable(text: str) -> str:
    """A text that somebody else wrote; what would steer a terminal, or break a line, is spelled out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def message_of(details: Mapping[str, Any]) -> str:
    """What pydantic says of a mistake (`ValidationError.errors()`); what a validator of ours raised, as it is."""
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    return str(details["msg"])


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that means the same elsewhere, else the one that is most like this one; None where none is."""
    folded = {w.lower(): w for w in reversed(list(known))}
    section, dot, name = word.lower().rpartition(".")
    for likely in (f"{section}{dot}{SYNONYMS.get(name, name)}", word.lower()):
        if near := difflib.get_close_matches(likely, folded, n=1, cutoff=0.6):
            return folded[near[0]]
    return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'flip'?` for the nearest known word, else the list of all."""
    words = list(known)
    near = nearest(word, words)
    return f"; did you mean {near!r}?" if near else f"; known are {', '.join(words)}"
