"""Seeds: a list of them, or so many in a row (`{first: 0, count: 5}`), which stands for that list."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError

from orchestrator.language.mistakes import mistake_at
from trainer.problems import did_you_mean
from trainer.trial import Frozen, Number, Seed

MOST_SEEDS = 10_000
"""So many in a row: written out, they must fit into a file."""


class SeedRange(Frozen):
    """So many seeds in a row."""

    first: Seed = 0
    count: Annotated[int, Field(ge=1, le=MOST_SEEDS), Number]


def written_out(value: object) -> object:
    """The list that a range of seeds stands for; whatever else is given, as it is."""
    if not isinstance(value, Mapping):
        return value
    try:
        seeds = SeedRange.model_validate(value)
    except ValidationError as error:
        details = error.errors()[0]
        key = str(details["loc"][0])
        if details["type"] == "extra_forbidden":
            told = f"unknown key{did_you_mean(key, SeedRange.model_fields)}"
        elif details["type"] == "missing":
            told = "this key is missing"
        elif details["type"] == "mistake":
            told = details["msg"]
        else:
            message = details["msg"].replace("Input should be", "expected")
            told = message if "not " in message else f"{message}, not {details['input']!r}"
        raise mistake_at(key, told) from error
    return list(range(seeds.first, seeds.first + seeds.count))
