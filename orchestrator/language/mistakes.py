"""A sweep's mistakes: how validators raise them, and how each is told with its place in the file."""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from trainer.problems import MOST_TOLD, FileError, Problem, did_you_mean, message_of, nearest
from trainer.synonyms import SYNONYMS
from trainer.yaml_source import KeyPath, YamlSource

NAMED = frozenset({"dataset", "pairs", "schemes", "methods", "models", "augmentations", "seeds"})
"""The keys whose values rules can name."""

MOST_VALIDATED = 300_000
"""So many values of a file are validated, over and over, to find all its mistakes."""

RULES = frozenset({"overrides", "include", "exclude"})
"""The keys whose values say which points are meant."""

MOST_NAMED = 2_000
"""So many names a list has at most: for each unknown one the nearest known is looked for."""

EVERY = "*"
"""Stands for every data set, where a file may name one value for all."""

KEY = "[key]"
"""Where pydantic says that a key is wrong, and not its value."""


def mistake(message: str) -> PydanticCustomError:
    """For a validator to raise; `message` is told as it is."""
    return PydanticCustomError("mistake", "{message}", {"message": message})


def mistake_at(key: str, message: str, *, of_a_name: bool = False) -> PydanticCustomError:
    """As `mistake`, of the value at `key` (`overrides/0/set`) below what is validated.

    `of_a_name`: it names something that the sweep has not, perhaps only because that is mistaken, too.
    """
    context = {"message": message, "at": key, "of_a_name": of_a_name}
    return PydanticCustomError("mistake", "{message}", context)


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
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise mistake_at(str(index), f"{value} stands here twice")
        seen.add(value)
    return values


def few(value: object) -> object:
    """A list of names, none of which is looked up where there are more than anybody means."""
    if isinstance(value, list | tuple) and len(value) > MOST_NAMED:
        raise mistake(f"{len(value):,} names; {MOST_NAMED:,} are the most")
    return value


def as_list(value: object) -> object:
    """A lone value stands for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def file_error(
    source: YamlSource, validate: Callable[[Any], object], models: Mapping[KeyPath, type[BaseModel]]
) -> FileError:
    """All that is wrong in a file, each at its place; `models` tell which keys are known where.

    A validation ends at its first stage that finds something, and some stages at their first mistake. So
    what was found wrong is taken out and the rest validated again, until nothing new is found, or enough.
    """
    problems: dict[KeyPath, Problem] = {}
    num_more = 0
    removed: set[KeyPath] = set()
    is_all = False
    for _ in range(1 + MOST_VALIDATED // max(1, len(source.marks))):
        if len(problems) >= MOST_TOLD:
            break
        kept: dict[KeyPath, list[int]] = {}
        try:
            validate(_without(source.data, removed, kept))
            is_all = True
            break
        except ValidationError as error:
            mistakes = {_path_in_file(source, details, kept): details for details in error.errors()}
        new = {path: details for path, details in mistakes.items() if path not in removed}
        for path, details in new.items():
            if _follows(path, details, removed):
                continue
            if len(problems) >= MOST_TOLD:
                num_more += 1
            else:
                problems[path] = source.problem(path, _message(details, path, models))
        removable = {path for path in new if path in source.marks and path}
        if not removable:
            is_all = True
            break
        removed |= removable
    return FileError(list(problems.values()), num_more, is_all=is_all)


def _without(
    data: Any, removed: Collection[KeyPath], kept: dict[KeyPath, list[int]], path: KeyPath = ()
) -> Any:
    """A copy without what was removed; `kept` takes down which items of each list are still there."""
    if isinstance(data, dict):
        return {
            key: _without(value, removed, kept, (*path, key))
            for key, value in data.items()
            if (*path, key) not in removed
        }
    if isinstance(data, list):
        kept[path] = [i for i in range(len(data)) if (*path, i) not in removed]
        return [_without(data[i], removed, kept, (*path, i)) for i in kept[path]]
    return data


def _follows(path: KeyPath, details: ErrorDetails, removed: Collection[KeyPath]) -> bool:
    """Whether a mistake may only be one because others were taken out."""
    is_of_a_list = details["type"] == "missing" and isinstance(path[-1], int)
    whole = path[:-1] if is_of_a_list else path
    holds_removed = any(other[: len(whole)] == whole for other in removed)
    is_of_a_name = details.get("ctx", {}).get("of_a_name", False)
    return holds_removed or (is_of_a_name and any(map(_is_named, removed)))


def _is_named(path: KeyPath) -> bool:
    return path[0] in NAMED or path[:2] == ("student", "method") or "student.method" in path


def _path_in_file(
    source: YamlSource, details: ErrorDetails, kept: Mapping[KeyPath, Sequence[int]]
) -> KeyPath:
    """The location as the file has it: a lone value stands for the list that holds it."""
    # pydantic counts in what it was given, from which mistaken items of lists were taken out (`kept` has the
    # numbers of those left) and in which a lone value was made a list, or one for all data sets: such steps
    # are in no file, and so have no mark.
    path: KeyPath = ()
    at = details.get("ctx", {}).get("at", "")
    more = tuple(int(part) if part.isdigit() else part for part in at.split("/") if part)
    for given in (*details["loc"], *more):
        part = given
        if isinstance(part, int) and part < len(kept.get(path, ())):
            part = kept[path][part]
        if (*path, part) not in source.marks and (isinstance(part, int) or part in (EVERY, KEY)):
            continue
        path = (*path, part)
    return path


EXPECTED = {
    "model_type": "expected keys with values",
    "dict_type": "expected keys with values",
    "tuple_type": "expected a list, as in [a, b]",
    "list_type": "expected a list, as in [a, b]",
    "int_from_float": "expected a whole number",
}
"""What pydantic says in words of Python, by the type of its error."""


def _unknown_word(word: object, expected: str) -> str:
    """`expected` is pydantic's: `'fp32', 'tf32' or 'bf16'`."""
    near = nearest(str(word), re.findall(r"'([^']*)'", expected))
    hint = f"; did you mean {near!r}?" if near else ""
    told = "null" if word is None else repr(word)
    return f"{told} is unknown; expected {expected}{hint}"


def _message(
    details: ErrorDetails, path: KeyPath, models: Mapping[KeyPath, type[BaseModel]]
) -> str:
    match details["type"]:
        case "mistake" | "value_error":
            return message_of(details)
        case "extra_forbidden":
            return _unknown_key(path, models)
        case "literal_error":
            return _unknown_word(details["input"], details["ctx"]["expected"])
        case "string_pattern_mismatch":
            return f"{details['input']!r}: expected letters, digits, '.', '_' or '-', at most 100"
        case "missing" | "too_short" | "too_long":
            return _miscounted(details)
        case kind:
            general = details["msg"].replace("Input should be", "expected")
            return EXPECTED.get(kind, general) + _instead(details)


def _miscounted(details: ErrorDetails) -> str:
    """What is not there, a key or values of a list, or which values are too many."""
    if details["type"] == "too_short":
        return "expected at least one"
    if details["type"] == "too_long":
        return f"expected {details['ctx']['max_length']} values at most, not {details['ctx']['actual_length']}"
    place = details["loc"][-1]
    if isinstance(place, str):
        return "this key is missing"
    # Each value that a list lacks is a mistake at the list's place; the last one stays, and tells their number.
    return f"expected {place + 1} values, not {len(details['input'])}"


def _unknown_key(path: KeyPath, models: Mapping[KeyPath, type[BaseModel]]) -> str:
    name, parents = str(path[-1]), tuple(p for p in path[:-1] if isinstance(p, str))
    if homes := _homes(name, parents, models):
        return f"unknown key here; it belongs {homes}"
    model = models.get(parents)
    meant = SYNONYMS.get(name.lower(), "")
    if model and meant not in model.model_fields and (homes := _homes(meant, parents, models)):
        return f"unknown key here; {meant} belongs {homes}"
    return "unknown key" + (did_you_mean(name, model.model_fields) if model else "")


def _homes(name: str, parents: KeyPath, models: Mapping[KeyPath, type[BaseModel]]) -> str:
    """Where a key is known, in words; rules count only where it stands at the top. Empty: nowhere."""
    places = [place for place, model in models.items() if name in model.model_fields]
    if () in places:
        return "at the top of the file"
    below = [p for p in places if not (parents and p[0] in RULES)]
    return f"below {' or '.join('.'.join(map(str, p)) for p in below)}" if below else ""


def _instead(details: ErrorDetails) -> str:
    value = details["input"]
    is_scalar = value is None or isinstance(value, str | int | float)
    return f", not {value!r}" if is_scalar else ""
