"""A sweep's mistakes: how validators raise them, and how each is told with its place in the file."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from trainer.problems import FileError, did_you_mean
from trainer.yaml_source import KeyPath, YamlSource

EVERY = "*"
"""Stands for every data set, where a file may name one value for all."""


def mistake(message: str) -> PydanticCustomError:
    """For a validator to raise; `message` is told as it is."""
    return PydanticCustomError("mistake", "{message}", {"message": message})


def mistake_at(key: str, message: str) -> PydanticCustomError:
    """As `mistake`, of the value at `key` (`overrides.0.set`) below what is validated."""
    return PydanticCustomError("mistake", "{message}", {"message": message, "at": key})


def known(
    word: str, words: Collection[str], what: str, shown: Collection[str] | None = None
) -> str:
    """The word, if it is one of them; else a mistake that shows the nearest."""
    if word not in words:
        raise mistake(f"unknown {what} {word!r}{did_you_mean(word, shown or words)}")
    return word


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, if there are any and none stands there twice."""
    if not values:
        raise mistake("expected at least one")
    twice = [v for i, v in enumerate(values) if v in values[:i]]
    if twice:
        raise mistake(f"{twice[0]} stands here twice")
    return values


def as_list(value: object) -> object:
    """A lone value stands for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def file_error(
    source: YamlSource, error: ValidationError, models: Mapping[KeyPath, type[BaseModel]]
) -> FileError:
    """All that a validation found, placed in the file; `models` tell which keys are known where."""
    problems = []
    for details in error.errors():
        path = _path_in_file(source, details)
        problems.append(source.problem(path, _message(details, path, models)))
    return FileError(problems)


def _path_in_file(source: YamlSource, details: ErrorDetails) -> KeyPath:
    """The location as the file has it: a lone value stands for the list that holds it."""
    path: KeyPath = ()
    at = details.get("ctx", {}).get("at", "")
    more = tuple(int(part) if part.isdigit() else part for part in at.split("/") if part)
    for part in (*details["loc"], *more):
        if (*path, part) not in source.marks and (isinstance(part, int) or part == EVERY):
            continue
        path = (*path, part)
    return path


def _message(
    details: ErrorDetails, path: KeyPath, models: Mapping[KeyPath, type[BaseModel]]
) -> str:
    match details["type"]:
        case "extra_forbidden":
            parents = tuple(p for p in path[:-1] if isinstance(p, str))
            model = models.get(parents)
            names = list(model.model_fields) if model else []
            return "unknown key" + (did_you_mean(str(path[-1]), names) if names else "")
        case "missing":
            return "this key is missing"
        case "literal_error":
            return f"{details['input']!r} is unknown; expected {details['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"{details['input']!r}: expected letters, digits, '.', '_' or '-', at most 100"
        case "mistake":
            return details["msg"]
        case _:
            message = details["msg"].replace("Input should be", "expected")
            value = details["input"]
            is_scalar = value is None or isinstance(value, str | int | float)
            return f"{message}, not {value!r}" if is_scalar else message
