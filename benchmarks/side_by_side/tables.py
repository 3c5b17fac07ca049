"""A record as tables in Markdown, as docs/performance.md has them."""

from collections.abc import Iterator, Sequence
from statistics import geometric_mean

from benchmarks.side_by_side.comparisons import (
    Comparison,
    What,
    alike,
    attained_rates,
    compare_steps,
    compare_sweeps,
    over_schemes,
    without_depthwise,
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


def _lines(record: Record) -> Iterator[str]:
    for what, comparisons in alike(compare_steps(record)).items():
        yield from _comparison_lines(what, comparisons)
    rates = attained_rates(record)
    if rates:
        yield from _head(
            "attained, 9 in lockstep",
            "precision",
            "n",
            "GFLOP per CPU second",
            "of the best convolution's",
        )
    for run, (rate, share) in rates.items():
        yield _row(run.pair, run.precision, share.n, f"{rate:.1f}", share)
    both = compare_sweeps(record.sweeps)
    if both:
        wall, cpu = both
        yield from _head("sweep", "n", "CPU seconds", "wall time")
        yield _row(record.sweeps[0].size, wall.n, cpu, wall)


def _comparison_lines(what: What, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """A row per pair, over its schemes, and the geometric means over pairs."""
    pairs: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        pairs.setdefault(comparison.run.pair, []).append(comparison)
    yield from _head(str(what), "n", "CPU seconds", "wall time")
    for pair, members in pairs.items():
        cpu, wall = over_schemes([c.cpu for c in members]), over_schemes([c.wall for c in members])
        yield _row(pair, cpu.n, cpu, wall)
    yield _mean_row("geometric mean", comparisons)
    dense = without_depthwise(comparisons)
    if 0 < len(dense) < len(comparisons):
        yield _mean_row("without depthwise students", dense)


def _mean_row(name: str, comparisons: Sequence[Comparison]) -> str:
    cpu, wall = (
        geometric_mean(values)
        for values in zip(*((c.cpu.middle, c.wall.middle) for c in comparisons), strict=True)
    )
    return _row(name, "", f"{cpu:.3f}", f"{wall:.3f}")
