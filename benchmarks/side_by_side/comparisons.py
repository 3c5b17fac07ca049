"""Ratios of what was measured in the same round: kdsweep's cost / the plain loop's for the same trials."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from benchmarks.side_by_side.convolutions import group_gflop
from benchmarks.side_by_side.record import Record, StepCost, WholeSweep
from benchmarks.side_by_side.steps import PLAIN_SIDES, Cost, Run, Side
from benchmarks.side_by_side.workloads import DEPTHWISE, Kind, Pair
from trainer.trial import Precision


@dataclass(frozen=True)
class Spread:
    """A middle value over `n` rounds, and the smallest and the largest."""

    middle: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"


class What(NamedTuple):
    """What is alike in comparisons whose means are taken: trials, precision, baseline."""

    kind: Kind
    num_schemes: int
    precision: Precision
    against: Side

    def __str__(self) -> str:
        number = "one scheme" if self.num_schemes == 1 else f"{self.num_schemes} in lockstep"
        return f"{self.kind}, {number}, {self.precision}, beside {self.against}"


@dataclass(frozen=True)
class Comparison:
    """One run of kdsweep beside the plain runs of its trials."""

    run: Run
    against: Side
    cpu: Spread
    wall: Spread

    @property
    def what(self) -> What:
        return What(self.run.kind, len(self.run.schemes), self.run.precision, self.against)


def compare_steps(record: Record) -> list[Comparison]:
    """Each kdsweep run beside each kind of plain runs of the same trials, over the rounds that have all.

    Raises:
        ValueError: two sides that are compared have not seen the same number of images in a step.
    """
    costs = {(measured.run, measured.round): measured.cost for measured in record.steps}
    runs = dict.fromkeys(m.run for m in record.steps if m.run.side == "kdsweep")
    compared = (_compare(run, side, record.steps, costs) for run in runs for side in PLAIN_SIDES)
    return [comparison for comparison in compared if comparison is not None]


def _compare(
    run: Run, side: Side, steps: Iterable[StepCost], costs: Mapping[tuple[Run, int], Cost]
) -> Comparison | None:
    cpu, wall = [], []
    plain_runs = [Run(side, run.kind, run.pair, (scheme,)) for scheme in run.schemes]
    for own in (measured for measured in steps if measured.run == run):
        plain = [costs.get((plain_run, own.round)) for plain_run in plain_runs]
        there = [cost for cost in plain if cost is not None]
        if len(there) < len(plain):
            continue
        if {cost.images for cost in there} != {own.cost.images}:
            raise ValueError(f"{run}: the plain loop has seen another number of images in a step")
        cpu.append(own.cost.cpu_s / sum(cost.cpu_s for cost in there))
        wall.append(own.cost.wall_s / sum(cost.wall_s for cost in there))
    return Comparison(run, side, Spread.of(cpu), Spread.of(wall)) if cpu else None


def alike(comparisons: Iterable[Comparison]) -> dict[What, list[Comparison]]:
    """The comparisons of the same kind, over pairs and schemes."""
    kinds: dict[What, list[Comparison]] = {}
    for comparison in comparisons:
        kinds.setdefault(comparison.what, []).append(comparison)
    return kinds


def over_schemes(spreads: Sequence[Spread]) -> Spread:
    """One spread as it is; of several, the geometric mean, and the smallest and the largest median."""
    if len(spreads) == 1:
        return spreads[0]
    medians = [spread.middle for spread in spreads]
    n = min(spread.n for spread in spreads)
    return Spread(statistics.geometric_mean(medians), min(medians), max(medians), n)


def without_depthwise(comparisons: Iterable[Comparison]) -> list[Comparison]:
    return [c for c in comparisons if Pair.of(c.run.pair).student not in DEPTHWISE]


def attained_rates(record: Record) -> dict[Run, tuple[float, Spread]]:
    """Of each group in lockstep: GFLOP per CPU second, and that beside the round's best large convolution."""
    best = {(rate.round, rate.precision): rate.gflop_per_s for rate in record.convolutions}
    rates: dict[Run, list[float]] = {}
    shares: dict[Run, list[float]] = {}
    for measured in record.steps:
        run, convolution = measured.run, best.get((measured.round, measured.run.precision))
        if run.side == "kdsweep" and run.kind == "student" and len(run.schemes) > 1 and convolution:
            gflop = group_gflop(run.kind, Pair.of(run.pair), run.schemes, record.scale)
            rates.setdefault(run, []).append(gflop / measured.cost.cpu_s)
            shares.setdefault(run, []).append(gflop / measured.cost.cpu_s / convolution)
    return {run: (statistics.median(rates[run]), Spread.of(shares[run])) for run in rates}


def compare_sweeps(sweeps: Sequence[WholeSweep]) -> tuple[Spread, Spread] | None:
    """Wall time and CPU seconds of `kdsweep run` / the plain loop's, over the rounds that have both."""
    costs = {(sweep.round, sweep.side): sweep.cost for sweep in sweeps}
    both = [
        (costs[number, "kdsweep"], costs[number, "plain"])
        for number, side in costs
        if side == "kdsweep" and (number, "plain") in costs
    ]
    if not both:
        return None
    wall = Spread.of([own.wall_s / plain.wall_s for own, plain in both])
    return wall, Spread.of([own.cpu_s / plain.cpu_s for own, plain in both])
