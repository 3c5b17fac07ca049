"""The methods that a sweep's students may be taught by: kdsweep's and one's own, and whose options are whose.

A grid may vary the method as well as an option that only one of them has: a student gets the options that its own
method knows, so that `beta: [2, 8]` beside `method: [kd, dkd]` makes one student by kd and two by dkd.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.language.mistakes import mistake_at
from orchestrator.language.own_files import MethodFile
from orchestrator.language.search import Search
from orchestrator.language.settings import StudentSettings
from orchestrator.language.variations import OPTION, Override
from trainer.options import METHODS, Scalar, checked_weights, completed, options_of
from trainer.problems import did_you_mean

METHOD = "student.method"


@dataclass(frozen=True)
class MethodsInUse:
    """All that there are, with the defaults of their options."""

    options: Mapping[str, Mapping[str, Scalar]]

    @classmethod
    def of(cls, files: Sequence[MethodFile]) -> Self:
        own = {name: options_of(file.source, name) for file in files for name in file.names}
        return cls({**METHODS, **own})

    def options_said(self, student: StudentSettings) -> dict[str, Scalar]:
        """Those of a student's method, of all that are said."""
        known = self.options[student.method]
        return {name: value for name, value in student.method_options if name in known}

    def check(
        self,
        student: StudentSettings,
        grid: Mapping[str, Sequence[Any]],
        search: Search | None,
        overrides: Sequence[Override],
    ) -> None:
        """Raise a mistake where a method is none, or an option is none of any method that is in use."""
        used = {}
        varied = [*_of_grid(grid), *(_of_search(search) if search else ())]
        for at, method in _methods(student, varied, overrides):
            if method not in self.options:
                message = f"unknown method {method!r}{did_you_mean(method, self.options)}"
                raise mistake_at(at, message, of_a_name=True)
            used[method] = self.options[method]
        for at, name, value in _options(student, varied, overrides):
            knowing = [method for method, options in used.items() if name in options]
            if not knowing:
                known = sorted({option for options in used.values() for option in options})
                has = did_you_mean(name, known) if known else "; it has none"
                message = f"unknown option {name!r} of {', '.join(used)}{has}"
                raise mistake_at(at, message, of_a_name=True)
            for method in knowing:
                _check_value(at, method, {name: value}, self.options[method])


def _check_value(
    at: str, method: str, option: Mapping[str, Scalar], defaults: Mapping[str, Scalar]
) -> None:
    try:
        if method in METHODS:
            checked_weights(method, option)
        else:
            completed(method, option, defaults)
    except ValueError as error:
        raise mistake_at(at, str(error)) from error


_Varied = Sequence[tuple[str, str, Any]]
"""Place, hyper-parameter and value of each that grid and search name."""


def _of_grid(grid: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str, Any]]:
    for key, values in grid.items():
        yield from ((f"grid/{key}/{index}", key, value) for index, value in enumerate(values))


def _of_search(search: Search) -> Iterator[tuple[str, str, Any]]:
    """Of a range its ends, between which all that is drawn lies."""
    for key, axis in search.axes.items():
        for index, value in enumerate(axis.values):
            yield f"search/{key}/{axis.kind}/{index}", key, value


def _methods(
    student: StudentSettings, varied: _Varied, overrides: Sequence[Override]
) -> Iterator[tuple[str, str]]:
    """Each with its place in the file. Where grid or search have some, the section's is none of a student's."""
    several = [(at, value) for at, key, value in varied if key == METHOD]
    yield from several or [("student/method", student.method)]
    for index, rule in enumerate(overrides):
        if METHOD in rule.set:
            yield f"overrides/{index}/set/{METHOD}", rule.set[METHOD]


def _options(
    student: StudentSettings, varied: _Varied, overrides: Sequence[Override]
) -> Iterator[tuple[str, str, Scalar]]:
    """Place, name and value of each."""
    for name, value in student.method_options:
        yield f"student/method_options/{name}", name, value
    for at, key, value in varied:
        if key.startswith(OPTION):
            yield at, key.removeprefix(OPTION), value
    for number, rule in enumerate(overrides):
        for key, value in rule.set.items():
            if key.startswith(OPTION):
                yield f"overrides/{number}/set/{key}", key.removeprefix(OPTION), value
