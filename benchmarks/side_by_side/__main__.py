"""`python -m benchmarks.side_by_side`: measure, record, and print the tables."""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from benchmarks.side_by_side.convolutions import best_rate
from benchmarks.side_by_side.plan import PARTS, PRECISIONS_BESIDE, Part, alternating, step_runs
from benchmarks.side_by_side.record import ConvolutionRate, Record, StepCost, WholeSweep
from benchmarks.side_by_side.steps import measure
from benchmarks.side_by_side.tables import tables
from benchmarks.side_by_side.whole_sweeps import CHANGES, SweepSide, SweepSize, measure_sweep
from benchmarks.side_by_side.workloads import PAIRS, Pair, Scale, keep_weights

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = ["benchmarks.side_by_side.convolutions", "benchmarks.side_by_side.steps"]
"""So that no process spends seconds on imports, and none inherits another's threads."""


def in_fresh_process(
    act: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Answer:
    with ProcessPoolExecutor(1, mp_context=PROCESSES) as pool:
        return pool.submit(act, *args, **kwargs).result()


class _Size(NamedTuple):
    pairs: Sequence[str]
    rounds: int
    steps: int
    sweep: SweepSize


WHOLE = _Size(PAIRS, rounds=3, steps=3, sweep="quickstart")
QUICK = _Size(("resnet56/resnet20",), rounds=2, steps=1, sweep="small")


@dataclass(frozen=True)
class Options:
    parts: Sequence[Part]
    pairs: Sequence[str]
    rounds: int
    scale: Scale
    sweep: SweepSize
    output: Path


def run(options: Options) -> Record:
    """Measure everything that was asked for, round by round."""
    PROCESSES.set_forkserver_preload(PRELOADED)
    record = Record(options.output, options.scale)
    with tempfile.TemporaryDirectory() as name:
        weights = Path(name)
        for round_number in range(1, options.rounds + 1):
            _run_round(round_number, options, record, weights)
    return record


def _run_round(number: int, options: Options, record: Record, weights: Path) -> None:
    if "rate" in options.parts:
        for precision in PRECISIONS_BESIDE:
            rate = in_fresh_process(best_rate, precision)
            record.convolutions.append(ConvolutionRate(number, precision, rate))
            _tell(record, f"round {number}: convolution {precision}: {rate:.1f} GFLOP/s")
    if {"steps", "group", "stddev", "rate"} & set(options.parts):
        for pair in options.pairs:
            _run_pair(number, pair, options, record, weights)
    if "sweep" in options.parts:
        sides: tuple[SweepSide, ...] = ("plain", "kdsweep") if number % 2 else ("kdsweep", "plain")
        for side in sides:
            cost = in_fresh_process(measure_sweep, side, options.sweep)
            record.sweeps.append(WholeSweep(number, side, options.sweep, cost))
            told = f"{side}: {cost.wall_s:.1f} s, CPU {cost.cpu_s:.1f} s"
            _tell(record, f"round {number}: sweep {options.sweep} {told}")


def _run_pair(number: int, pair: str, options: Options, record: Record, weights: Path) -> None:
    in_fresh_process(keep_weights, Pair.of(pair), options.scale, weights)
    for one in alternating(step_runs(options.parts, pair), number):
        cost = in_fresh_process(measure, one, options.scale, weights)
        record.steps.append(StepCost(number, one, cost))
        schemes = one.schemes[0] if len(one.schemes) == 1 else f"{len(one.schemes)} schemes"
        told = f"{pair} {one.kind} {schemes} {one.precision} {one.side}"
        _tell(record, f"round {number}: {told}: {cost.cpu_s:.3f} CPU s, {cost.wall_s:.3f} s")


def _tell(record: Record, line: str) -> None:
    record.save()
    print(line, flush=True)


def _pair(text: str) -> str:
    try:
        Pair.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def read_options(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=PARTS, default=PARTS, help="(default: everything)")
    add("--pairs", nargs="+", type=_pair, metavar="T/S", help=f"(default: {' '.join(PAIRS)})")
    add("--rounds", type=int, help="n of every ratio (default: 3)")
    add("--steps", type=int, help="timed steps of a run (default: 3)")
    add("--warmup", type=int, default=1, help="steps before them (default: 1)")
    add("--batch-size", type=int, default=64, help="(default: 64)")
    add(
        "--images",
        choices=("cifar100", "fashion_mini"),
        default="cifar100",
        help="(default: made-up 32x32 pixels in the form of cifar100)",
    )
    add("--sweep", choices=tuple(CHANGES), help="size of the whole sweep (default: quickstart)")
    add("--output", type=Path, default=Path("bench.json"), help="(default: bench.json)")
    add("--quick", action="store_true", help="one pair, two rounds of one step, a small sweep")
    given = parser.parse_args(arguments)
    default = QUICK if given.quick else WHOLE
    return Options(
        parts=given.only,
        pairs=given.pairs or default.pairs,
        rounds=given.rounds or default.rounds,
        scale=Scale(given.images, given.batch_size, given.warmup, given.steps or default.steps),
        sweep=given.sweep or default.sweep,
        output=given.output,
    )


def main() -> None:
    options = read_options()
    begun = time.perf_counter()
    record = run(options)
    print(tables(record))
    print(f"\n{options.output}, {(time.perf_counter() - begun) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
