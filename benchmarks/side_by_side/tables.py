"""A record as tables in Markdown, as docs/performance.md has them."""

from collections.abc import Iterator, Sequence

from benchmarks.side_by_side.comparisons import (
    attained_rates,
    compare_steps,
    compare_sweeps,
    geometric_means,
)
from benchmarks.side_by_side.record import Record


def tables(record: Record) -> str:
    return "\n".join(_lines(record))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _head(*names: str) -> Iterator[str]:
    yield ""
    yield _row(*names)
    yield f"|{'---|' * len(names)}"


def _schemes(schemes: Sequence[str]) -> str:
    return schemes[0] if len(schemes) == 1 else f"{len(schemes)} in lockstep"


def _lines(record: Record) -> Iterator[str]:
    comparisons = compare_steps(record)
    if comparisons:
        columns = ("pair", "trials", "precision", "beside", "n", "CPU seconds", "wall time")
        yield from _head(*columns)
        for c in comparisons:
            name = f"{c.run.kind} {_schemes(c.run.schemes)}"
            yield _row(c.run.pair, name, c.run.precision, c.against, c.cpu.n, c.cpu, c.wall)
        yield from _head("geometric mean", "precision", "beside", "over", "of", "CPU seconds")
        for (name, precision, against), over, count, mean in geometric_means(comparisons):
            yield _row(name, precision, against, over, count, f"{mean:.3f}")
    rates = attained_rates(record)
    if rates:
        yield from _head(
            "pair", "trials", "precision", "n", "GFLOP per CPU second", "of the best convolution's"
        )
        for run, (rate, share) in rates.items():
            name = f"{run.kind} {_schemes(run.schemes)}"
            yield _row(run.pair, name, run.precision, share.n, f"{rate:.1f}", share)
    both = compare_sweeps(record.sweeps)
    if both:
        wall, cpu = both
        yield from _head("sweep", "n", "wall time", "CPU seconds")
        yield _row(record.sweeps[0].size, wall.n, wall, cpu)
