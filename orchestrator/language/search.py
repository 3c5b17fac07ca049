"""Random and quasi-random search: joint points of hyper-parameters, drawn once.

    search:
      student.temperature: {uniform: [1, 8]}
      student.learning_rate: {loguniform: [0.01, 0.2]}
      samples: 16
      method: sobol

The points belong to the sweep: they are drawn when it is first read, by scipy's samplers, and stand in it as it
was resolved. Whoever reads that takes them as they are, whatever its scipy would draw.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_serializer, model_validator

from orchestrator.language.mistakes import mistake, mistake_at
from orchestrator.language.variations import KEYS, OPTION, checked_value
from trainer.problems import did_you_mean
from trainer.trial import Frozen, Number, Seed

Method = Literal["sobol", "halton", "lhs", "random"]
"""Scrambled sequences of Sobol and Halton, a Latin hypercube, independent points."""

Kind = Literal["uniform", "loguniform", "int", "choice"]
KINDS: tuple[str, ...] = get_args(Kind)

MOST_SAMPLES = 4096
"""With their values they must fit into a file."""

DIGITS = 6
"""Significant ones of a value that is drawn."""

AXES = "axes"
SETTINGS = ("samples", "method", "seed", "points")
"""The keys of a search that are no hyper-parameters."""


class Distribution(Frozen):
    """Where the values of one hyper-parameter come from, written `{uniform: [1, 8]}`.

    `uniform`, `loguniform` and `int` have the least and the greatest value, both included; `choice` has all of them.
    """

    kind: Kind
    values: tuple[Any, ...]

    @classmethod
    def of(cls, key: str, value: object) -> Self:
        """That of a hyper-parameter, as a file has it; raises a mistake of what is none."""
        match value:
            case Mapping() if len(value) == 1:
                ((kind, values),) = value.items()
            case _:
                told = f"expected one of {', '.join(KINDS)}, as in {{uniform: [1, 8]}}"
                raise mistake_at(key, told)
        at = f"{key}/{kind}"
        if kind not in KINDS:
            raise mistake_at(at, f"unknown distribution{did_you_mean(str(kind), KINDS)}")
        if not isinstance(values, list | tuple) or not values:
            raise mistake_at(at, "expected a list, as in [1, 8]")
        if kind != "choice":
            _check_range(at, values, is_whole=kind == "int", is_log=kind == "loguniform")
        typed = [checked_value(key, value, f"{at}/{i}") for i, value in enumerate(values)]
        return cls(kind=kind, values=tuple(typed if kind == "choice" else values))

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {self.kind: list(self.values)}

    def at(self, share: float) -> Any:
        """The value below which such a share of all lies; `share` is in 0..1."""
        if self.kind == "choice":
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        low, high = self.values
        if self.kind == "int":
            return min(low + int(share * (high - low + 1)), high)
        if self.kind == "loguniform":
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        return min(max(float(f"{value:.{DIGITS}g}"), low), high)

    def holds(self, value: object) -> bool:
        """Whether it may have been drawn."""
        if self.kind == "choice":
            return value in self.values
        low, high = self.values
        return isinstance(value, int | float) and bool(low <= value <= high)


def _check_range(at: str, values: Sequence[Any], *, is_whole: bool, is_log: bool) -> None:
    wanted = int if is_whole else int | float
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, wanted) for v in values):
        what = "whole numbers" if is_whole else "numbers"
        raise mistake_at(at, f"expected two {what}, the least and the greatest, as in [1, 8]")
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise mistake_at(at, f"expected the smaller of two numbers first, not [{low}, {high}]")
    if is_log and low <= 0:
        raise mistake_at(f"{at}/0", f"expected greater than 0, not {low}: it has no logarithm")


class Search(Frozen):
    """Joint points of some hyper-parameters; each is tried with every value of the grid."""

    axes: dict[str, Distribution]
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES), Number]
    method: Method = "sobol"
    seed: Seed = 0
    points: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_a_file(cls, value: object) -> object:
        """From one mapping, in which hyper-parameters stand beside `samples`, `method` and `seed`."""
        if isinstance(value, Search):
            return value
        if not isinstance(value, Mapping):
            raise mistake("expected hyper-parameters with distributions, and samples")
        settings = {key: value[key] for key in SETTINGS if key in value}
        return {**settings, AXES: {k: _axis(k, v) for k, v in value.items() if k not in SETTINGS}}

    @model_validator(mode="after")
    def _is_of_something(self) -> Self:
        if not self.axes:
            raise mistake(
                "expected a hyper-parameter, as in student.temperature: {uniform: [1, 8]}"
            )
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        axes = {key: axis.model_dump() for key, axis in self.axes.items()}
        return {**axes, **{key: getattr(self, key) for key in SETTINGS}}

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        ranges = {
            kind: {"type": "array", "minItems": 1} if kind == "choice" else pair for kind in KINDS
        }
        axis = {
            "type": "object",
            "properties": ranges,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        settings = {
            "samples": {"type": "integer", "minimum": 1, "maximum": MOST_SAMPLES},
            "method": {"enum": list(get_args(Method)), "default": "sobol"},
            "seed": {"type": "integer", "minimum": 0, "default": 0},
            "points": {"type": "array", "items": {"type": "object"}},
        }
        return {
            "type": "object",
            "description": "Random or quasi-random points of hyper-parameters.",
            "properties": {**settings, **dict.fromkeys(KEYS, axis)},
            "patternProperties": {f"^{re.escape(OPTION)}": axis},
            "additionalProperties": False,
            "required": ["samples"],
        }

    @property
    def asked(self) -> "Search":
        """The same without what was drawn for it."""
        return self.model_copy(update={"points": ()})


def _axis(key: str, value: object) -> Distribution:
    if key not in KEYS and not key.startswith(OPTION):
        raise mistake_at(key, f"unknown key{did_you_mean(key, (*SETTINGS[:-1], *KEYS))}")
    return Distribution.of(key, value)


def _with_points(search: Search) -> Search:
    """Those that stand there, checked, or drawn where none do."""
    points = search.points or _drawn(search)
    if len(points) != search.samples:
        raise mistake_at("points", f"{len(points)} points; samples is {search.samples}")
    typed = tuple(_typed(search, index, point) for index, point in enumerate(points))
    return search.model_copy(update={"points": typed})


def _typed(search: Search, index: int, point: Mapping[str, Any]) -> dict[str, Any]:
    at = f"points/{index}" if search.points else ""
    if point.keys() != search.axes.keys():
        raise mistake_at(at, f"expected values of {', '.join(search.axes)}")
    typed = {key: checked_value(key, point[key], f"{at}/{key}") for key in search.axes}
    for key, axis in search.axes.items():
        if not axis.holds(typed[key]):
            raise mistake_at(f"{at}/{key}", f"{point[key]!r} is none of {axis.model_dump()}")
    return typed


def _drawn(search: Search) -> list[dict[str, Any]]:
    """The same points for one search and one scipy: those of a sweep that was run are read, not drawn."""
    import numpy as np
    from scipy.stats import qmc

    number, dimensions, seed = search.samples, len(search.axes), search.seed
    match search.method:
        case "sobol":
            # All of a power of two, of which the first are taken: the same points, and nothing to warn of.
            sampler = qmc.Sobol(dimensions, rng=np.random.default_rng(seed))
            shares = sampler.random_base2((number - 1).bit_length())[:number]
        case "halton":
            shares = qmc.Halton(dimensions, rng=np.random.default_rng(seed)).random(number)
        case "lhs":
            shares = qmc.LatinHypercube(dimensions, rng=np.random.default_rng(seed)).random(number)
        case "random":
            shares = np.random.default_rng(seed).random((number, dimensions))
    return [
        {
            key: axis.at(float(share))
            for (key, axis), share in zip(search.axes.items(), row, strict=True)
        }
        for row in shares
    ]


DrawnSearch = Annotated[Search, AfterValidator(_with_points)]
