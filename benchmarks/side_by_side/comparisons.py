"""Ratios of what was measured in the same round: kdsweep's cost / the plain loop's for the same trials."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.side_by_side.convolutions import group_gflop
from benchmarks.side_by_side.record import Record, StepCost, WholeSweep
from benchmarks.side_by_side.steps import PLAIN_SIDES, Cost, Run, Side
from benchmarks.side_by_side.workloads import DEPTHWISE, Pair


@dataclass(frozen=True)
class Spread:
    """The median over `n` rounds, and the smallest and the largest value."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Comparison:
    """One run of kdsweep beside the plain runs of its trials."""

    run: Run
    against: Side
    cpu: Spread
    wall: Spread

    @property
    def what(self) -> tuple[str, str, Side]:
        """What is alike in comparisons whose means are taken: trials, precision, baseline."""
        number = "one" if len(self.run.schemes) == 1 else f"{len(self.run.schemes)} in lockstep"
        return f"{self.run.kind}, {number}", self.run.precision, self.against


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


def geometric_means(
    comparisons: Iterable[Comparison],
) -> Iterator[tuple[tuple[str, str, Side], str, int, float]]:
    """What is compared, over which pairs, how many comparisons, the geometric mean of their medians of CPU seconds."""
    alike: dict[tuple[str, str, Side], list[Comparison]] = {}
    for comparison in comparisons:
        alike.setdefault(comparison.what, []).append(comparison)
    for what, members in alike.items():
        dense = [c for c in members if Pair.of(c.run.pair).student not in DEPTHWISE]
        yield what, "all pairs", len(members), _geometric_mean(members)
        if 0 < len(dense) < len(members):
            yield what, "without depthwise students", len(dense), _geometric_mean(dense)


def _geometric_mean(comparisons: Sequence[Comparison]) -> float:
    return math.exp(statistics.fmean(math.log(c.cpu.median) for c in comparisons))


def attained_rates(record: Record) -> dict[Run, tuple[float, Spread]]:
    """Of each kdsweep run: GFLOP per CPU second, and that beside the round's best large convolution."""
    best = {(rate.round, rate.precision): rate.gflop_per_s for rate in record.convolutions}
    rates: dict[Run, list[float]] = {}
    shares: dict[Run, list[float]] = {}
    for measured in record.steps:
        run, convolution = measured.run, best.get((measured.round, measured.run.precision))
        if run.side == "kdsweep" and convolution is not None:
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
