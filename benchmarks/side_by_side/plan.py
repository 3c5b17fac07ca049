"""Which runs a benchmark consists of, and in which order they alternate."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from benchmarks.side_by_side.steps import PLAIN_SIDES, Run
from benchmarks.side_by_side.workloads import SCHEMES
from trainer.trial import Precision

Part = Literal["steps", "group", "stddev", "rate", "sweep"]
PARTS: tuple[Part, ...] = ("steps", "group", "stddev", "rate", "sweep")
PRECISIONS_BESIDE: tuple[Precision, ...] = ("fp32", "bf16")
"""The plain loop is fp32; kdsweep is measured in each of these."""


def step_runs(parts: Collection[Part], pair: str) -> Iterator[list[Run]]:
    """The runs of a round for one pair, in units whose members are compared."""
    students = {"steps", "group"} & set(parts)
    for scheme in SCHEMES:
        unit = []
        if students:
            unit.append(Run("plain", "student", pair, (scheme,)))
        if "steps" in parts:
            unit.append(Run("kdsweep", "student", pair, (scheme,)))
        yield unit
        if "stddev" in parts:
            plain = [Run(side, "stddev", pair, (scheme,)) for side in PLAIN_SIDES]
            yield [*plain, Run("kdsweep", "stddev", pair, (scheme,))]
    # "rate" needs something that attains one.
    if {"group", "rate"} & set(parts):
        yield [Run("kdsweep", "student", pair, SCHEMES, name) for name in PRECISIONS_BESIDE]
    if "stddev" in parts:
        yield [Run("kdsweep", "stddev", pair, SCHEMES)]


def alternating(units: Iterable[Sequence[Run]], round_number: int) -> Iterator[Run]:
    """All runs of all units; in every other round each unit runs backwards."""
    for unit in units:
        yield from unit if round_number % 2 else reversed(unit)
