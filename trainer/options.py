"""The methods of distillation by name, and their options: which there are, and how they are written.

A method of one's own has the options that its function takes by keyword only. Both are known without torch and
without running a file, so that a plan knows them too.
"""

import ast
import math
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, TypeGuard

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from trainer.problems import did_you_mean, shortened

Scalar = bool | int | float | str | None
"""What JSON can write in one word."""

METHODS: Mapping[str, Mapping[str, Scalar]] = MappingProxyType(
    {"kd": {}, "dkd": {"alpha": 1.0, "beta": 8.0}, "dist": {"beta": 1.0, "gamma": 1.0}}
)
"""kdsweep's own, with the defaults of their options: weights, each 0 or more."""


def _pairs(value: object) -> tuple[tuple[str, Scalar], ...]:
    if isinstance(value, tuple):
        value = dict(value)
    if not isinstance(value, Mapping):
        message = "expected options by name, as in {beta: 2}"
        raise PydanticCustomError("mistake", "{message}", {"message": message})
    for name, option in value.items():
        is_scalar = option is None or isinstance(option, bool | int | float | str)
        if not isinstance(name, str) or not name.isidentifier():
            message = f"{shortened(repr(name))} is no name of an option"
        elif not is_scalar or (isinstance(option, float) and not math.isfinite(option)):
            message = f"expected a number, a word, true or false, not {shortened(repr(option))}"
        else:
            continue
        raise PydanticCustomError("mistake", "{message}", {"message": message, "at": str(name)})
    return tuple(sorted(value.items()))


Options = Annotated[
    tuple[tuple[str, Scalar], ...],
    PlainValidator(_pairs),
    PlainSerializer(dict, return_type=dict[str, Any]),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean"]}}
    ),
]
"""Names and values, sorted by name; written as a mapping."""


def completed(
    method: str, given: Mapping[str, Scalar], defaults: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """All options of a method, as its defaults are typed: 2 is 2.0 where a default is 8.0.

    Raises:
        ValueError: an unknown option, or one of another type than its default's.
    """
    return {**defaults, **{name: _known(method, name, given[name], defaults) for name in given}}


def checked_weights(method: str, options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The options of one of `METHODS`, completed.

    Raises:
        ValueError: as `completed` does, or one is below 0.
    """
    whole = completed(method, options, METHODS[method])
    for name, value in whole.items():
        if isinstance(value, int | float) and value < 0:
            raise ValueError(f"{name} of {method}: expected 0 or more, not {value}")
    return whole


def _known(method: str, name: str, value: Scalar, defaults: Mapping[str, Scalar]) -> Scalar:
    if name not in defaults:
        has = did_you_mean(name, defaults) if defaults else "; it has none"
        raise ValueError(f"unknown option {name!r} of {method}{has}")
    default = defaults[name]
    if default is None or type(value) is type(default):
        return _without_sign(value)
    if _is_number(default) and _is_number(value):
        is_whole = isinstance(default, int) and float(value).is_integer()
        return int(value) if is_whole else _without_sign(float(value))
    like = f"{name} = {default!r}"
    raise ValueError(
        f"{name} of {method}: expected a value like its default, {like}, not {value!r}"
    )


def registrations(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """The names in `@register("NAME")` of a file, each with what it registers."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call):
                continue
            is_one = ast.unparse(decorator.func).endswith("register")
            for argument in decorator.args if is_one else ():
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, node


@lru_cache
def options_of(source: str, method: str) -> Mapping[str, Scalar]:
    """The options of a method that a file registers, with their defaults: its keyword-only arguments.

    Raises:
        ValueError: the file is no Python or registers no function under the name, or an option has no
            default that JSON can write in one word.
    """
    try:
        registered = dict(registrations(ast.parse(source)))
    except SyntaxError as error:
        raise ValueError(f"not a Python file: {error}") from error
    node = registered.get(method)
    if not isinstance(node, ast.FunctionDef):
        raise ValueError(f"registers no function {method!r}, but {sorted(registered)}")
    arguments = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return MappingProxyType({a.arg: _default(method, a.arg, value) for a, value in arguments})


def _default(method: str, option: str, written: ast.expr | None) -> Scalar:
    if written is None:
        raise ValueError(f"option {option!r} of {method} has no default; expected one")
    try:
        value: Any = ast.literal_eval(written)
    except ValueError:
        value = ()
    is_finite = _is_number(value) and abs(value) <= sys.float_info.max
    if not (is_finite or value is None or isinstance(value, bool | str)):
        told = shortened(ast.unparse(written))
        raise ValueError(
            f"option {option!r} of {method}: expected a number, a word, True, False or None as its "
            f"default, not {told}"
        )
    return _without_sign(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_sign(value: Scalar) -> Scalar:
    """-0.0 is 0.0, and no other trial."""
    return value + 0.0 if isinstance(value, float) else value
