"""A store beside the published points of four of the paper's figures: same, different, or undecided?

A published point is a mean over `PUBLISHED_SEEDS` runs or more, whose spread was not published. So the seed
noise s of a panel is estimated from the store alone, pooled over its augmentations:

    s^2 = sum_a (n_a - 1) s_a^2 / sum_a (n_a - 1),        nu = sum_a (n_a - 1) degrees of freedom

and the difference d of a cell has the standard error s * sqrt(1 / n_a + 1 / 3).
That no difference is seen shows nothing where noise is large. So a cell is *the same* only where two one-sided
tests at 5% (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987, p. 657) show that d lies within a margin, which is
stated (`Margins`; by default half of the standard deviation of the published values over augmentations); *different* where it is not the same and d
exceeds the 95% reach of noise; *undecided* otherwise. Half of the last printed digit counts as noise.

For a coefficient d is simulated: store and paper are drawn anew around their points with the noise of the
residuals of augmentation + seed (`analysis.blocks`), and the verdicts are those of the intervals of 90% and 95% (hulls, as in
`analysis.bootstrap`) and of a margin of its own.

Where settings differ from the paper's (`analysis.paper_settings`) there is no verdict: it would be about those.
"""

import csv
import functools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np

from analysis.blocks import fit
from analysis.bootstrap import UNDEFINED, Interval
from analysis.coefficients import NAMES, Array, coefficients
from analysis.grid import DASH, MISSING, Entry, Grid, Row
from analysis.metrics import CORRELATION, S_TEST_LOSS, T_STDDEV, Metric
from analysis.paper_settings import differing_settings
from analysis.points import Mean, Panel
from analysis.result_tables import entry
from trainer.problems import UserError

PUBLISHED_SEEDS = 3
SIMULATIONS = 10_000
Verdict = Literal["same", "different", "undecided", "unknown", "other settings"]
"""`unknown`: a value is missing, or no cell has two seeds."""

COMPARED = (T_STDDEV, S_TEST_LOSS)
"""What was published point by point: no accuracy was."""

COMPARED_NAMES = (*(metric.name for metric in COMPARED), CORRELATION)


@dataclass(frozen=True)
class Margins:
    """Within which a difference is none that matters; a reader who would allow less states less."""

    cells: float = 0.5
    """In standard deviations of the published values over augmentations."""
    coefficients: float = 0.1


@dataclass(frozen=True)
class PublishedPanel:
    """The points of one published figure, by augmentation: T. stddev and S. test loss."""

    dataset: str
    pair: str
    t_stddev: dict[str, float]
    s_test_loss: dict[str, float]


@functools.cache
def published_panels() -> tuple[PublishedPanel, ...]:
    """All published panels that kdsweep knows."""
    panel_of: dict[tuple[str, str], PublishedPanel] = {}
    source = resources.files("analysis").joinpath("published_points.csv")
    for row in csv.DictReader(source.read_text().splitlines()):
        key = row["dataset"], row["pair"]
        panel = panel_of.setdefault(key, PublishedPanel(*key, {}, {}))
        panel.t_stddev[row["augmentation"]] = float(row["t_stddev"])
        panel.s_test_loss[row["augmentation"]] = float(row["s_test_loss"])
    return tuple(panel_of.values())


@dataclass(frozen=True)
class Difference:
    """Ours minus the published value, with its intervals of 90% and 95%; nan where something is unknown."""

    published: float
    ours: float
    at_90: Interval
    at_95: Interval
    margin: float

    @property
    def value(self) -> float:
        return self.ours - self.published

    @property
    def verdict(self) -> Verdict:
        """By noise alone; settings are not looked at."""
        if math.isnan(self.at_95.low):
            return "unknown"
        if -self.margin <= self.at_90.low and self.at_90.high <= self.margin:
            return "same"
        return "undecided" if self.at_95.low <= 0 <= self.at_95.high else "different"


@dataclass(frozen=True)
class Comparison:
    """One panel of a store beside the published one."""

    panel: Panel
    differing: tuple[str, ...]
    """Settings that are not the paper's, in words."""
    ours: dict[str, dict[str, Mean | None]]
    """By metric (`t_stddev`, `s_test_loss`) and augmentation."""
    cells: dict[str, dict[str, Difference]]
    coefficients: dict[str, Difference]
    n: int
    margins: Margins

    def verdict(self, difference: Difference) -> Verdict:
        """On one of its differences; none where settings differ."""
        return "other settings" if self.differing else difference.verdict


def compare(
    panels: Sequence[Panel],
    seed: int = 0,
    num_samples: int = SIMULATIONS,
    margins: Margins = Margins(),
) -> list[Comparison]:
    """Every panel that has a published counterpart, beside it; `num_samples` simulations of each.

    Raises:
        UserError: no panel has one.
    """
    published = {(p.dataset, p.pair): p for p in published_panels()}
    comparisons = [
        _compare(panel, published[panel.dataset, panel.pair], seed, num_samples, margins)
        for panel in panels
        if (panel.dataset, panel.pair) in published
    ]
    if not comparisons:
        known = ", ".join(f"{p.dataset} {p.pair}" for p in published_panels())
        raise UserError(
            f"nothing to compare: the published points are of {known}; the store has none"
        )
    return comparisons


def seed_noise(cells: Sequence[Mean]) -> tuple[float, int]:
    """Pooled standard deviation over seeds and its degrees of freedom; (nan, 0) without two seeds."""
    freedom = sum(cell.n - 1 for cell in cells if cell.n)
    if freedom == 0:
        return math.nan, 0
    squares = sum((cell.n - 1) * cell.std**2 for cell in cells if cell.n > 1)
    return math.sqrt(squares / freedom), freedom


def _compare(
    panel: Panel, published: PublishedPanel, seed: int, num_samples: int, margins: Margins
) -> Comparison:
    ours = {
        metric.name: {p.augmentation: metric.of(p) for p in panel.points} for metric in COMPARED
    }
    cells = {
        metric.name: _cell_differences(
            metric, ours[metric.name], getattr(published, metric.name), margins.cells
        )
        for metric in COMPARED
    }
    shared = [a for a, _, _ in panel.cells() if a in published.t_stddev]
    return Comparison(
        panel=panel,
        differing=tuple(differing_settings(panel)),
        ours=ours,
        cells=cells,
        coefficients=_coefficient_differences(
            panel, published, shared, seed, num_samples, margins.coefficients
        ),
        n=len(shared),
        margins=margins,
    )


def _cell_differences(
    metric: Metric,
    ours: Mapping[str, Mean | None],
    published: Mapping[str, float],
    deviations: float,
) -> dict[str, Difference]:
    from scipy.special import stdtrit

    noise, freedom = seed_noise([cell for cell in ours.values() if cell])
    margin = deviations * float(np.std(list(published.values()), ddof=1))
    rounding = 0.5 * 10.0**-metric.digits
    differences = {}
    for augmentation, value in published.items():
        cell = ours.get(augmentation)
        if cell is None or not cell.n or not freedom:
            mean = cell.mean if cell else math.nan
            differences[augmentation] = Difference(value, mean, UNDEFINED, UNDEFINED, margin)
            continue
        error = noise * math.sqrt(1 / cell.n + 1 / PUBLISHED_SEEDS)
        difference = cell.mean - value
        at_90, at_95 = (
            Interval(difference - reach, difference + reach)
            for quantile in (0.95, 0.975)
            for reach in (float(stdtrit(freedom, quantile)) * error + rounding,)
        )
        differences[augmentation] = Difference(value, cell.mean, at_90, at_95, margin)
    return differences


def _coefficient_differences(
    panel: Panel,
    published: PublishedPanel,
    shared: Sequence[str],
    seed: int,
    num_samples: int,
    margin: float,
) -> dict[str, Difference]:
    unknown = Difference(math.nan, math.nan, UNDEFINED, UNDEFINED, margin)
    if len(shared) < 3:
        return dict.fromkeys(NAMES, unknown)
    by_name = {a: (x, y) for a, x, y in panel.cells()}
    generator = np.random.default_rng([seed, len(shared)])
    drawn_ours, drawn_theirs, seen_ours, seen_theirs = [], [], [], []
    for k, metric in enumerate(metric.name for metric in COMPARED):
        cells = [by_name[a][k] for a in shared]
        ours = np.array([cell.mean for cell in cells])
        theirs = np.array([getattr(published, metric)[a] for a in shared])
        # Without what a seed does to all alike.
        noise = fit(cells).noise
        shape = (num_samples, len(shared))
        sizes = np.array([cell.n for cell in cells])
        drawn_ours.append(ours + noise / np.sqrt(sizes) * generator.standard_normal(shape))
        spread = noise / math.sqrt(PUBLISHED_SEEDS)
        drawn_theirs.append(theirs + spread * generator.standard_normal(shape))
        seen_ours.append(ours)
        seen_theirs.append(theirs)
    value, printed = coefficients(*seen_ours), coefficients(*seen_theirs)
    draws = coefficients(*drawn_ours) - coefficients(*drawn_theirs)
    return {
        name: Difference(
            float(printed[k]),
            float(value[k]),
            _hull(draws[:, k], float(value[k] - printed[k]), 0.90),
            _hull(draws[:, k], float(value[k] - printed[k]), 0.95),
            margin,
        )
        for k, name in enumerate(NAMES)
    }


def _hull(draws: Array, difference: float, level: float) -> Interval:
    if not np.isfinite(draws).all():
        return UNDEFINED
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    shift = difference - draws.mean()
    return Interval(float(low + min(shift, 0.0)), float(high + max(shift, 0.0)))


_HEADINGS = ("published", "ours", "difference", "verdict")


def check_comparable(metrics: Sequence[str]) -> None:
    """Raises UserError if a metric was not published."""
    for name in metrics:
        if name not in COMPARED_NAMES:
            raise UserError(
                f"--metric {name}: the published points have none; with --compare-paper it is one of "
                f"{', '.join(COMPARED_NAMES)}"
            )


def comparison_grids(
    comparisons: Sequence[Comparison], metrics: Sequence[str] = COMPARED_NAMES
) -> list[Grid]:
    """Per panel its cells and coefficients of the chosen metrics beside the published ones."""
    return [_comparison_grid(comparison, metrics) for comparison in comparisons]


def _comparison_grid(comparison: Comparison, metrics: Sequence[str]) -> Grid:
    rows, records = [], []
    shown = {metric: comparison.cells[metric.name] for metric in COMPARED if metric.name in metrics}
    coefficients = comparison.coefficients if CORRELATION in metrics else {}
    for metric, cells in shown.items():
        for i, (name, difference) in enumerate(cells.items()):
            mean = comparison.ours[metric.name].get(name)
            entries = _cell_entries(comparison, metric, mean, difference)
            rows.append(Row(f"{metric.title}: {name}", entries, begins_section=i == 0))
            records.append(_record(comparison, f"{metric.name}:{name}", difference))
    for i, (name, difference) in enumerate(coefficients.items()):
        entries = _coefficient_entries(comparison, difference)
        rows.append(Row(f"{name.capitalize()}, n = {comparison.n}", entries, begins_section=i == 0))
        records.append(_record(comparison, name, difference))
    title = f"{comparison.panel.title} beside the paper"
    notes = tuple(_notes(comparison, [d for cells in shown.values() for d in cells.values()]))
    return Grid(title, "cell", _HEADINGS, tuple(rows), notes, tuple(records))


def _notes(comparison: Comparison, of_cells: Sequence[Difference]) -> Iterator[str]:
    if comparison.differing:
        yield f"no verdict: other settings than the paper's: {'; '.join(comparison.differing)}"
        return
    counts = Counter(comparison.verdict(difference) for difference in of_cells)
    if counts:
        yield (
            f"cells: {counts['same']} the same, {counts['different']} different, "
            f"{counts['undecided']} undecided for noise, {counts['unknown']} unknown (missing, not finite, "
            "or one seed only)"
        )
    yield (
        f"same: shown to lie within the margin in brackets (two one-sided tests at 5%), which for cells is "
        f"{comparison.margins.cells:g} standard deviations of the published values over augmentations, for "
        f"coefficients {comparison.margins.coefficients:g} (--margin, --coefficient-margin); "
        "different: further off than noise explains (95%)"
    )
    yield (
        f"seed noise from this store, pooled over augmentations; published values taken as means of "
        f"{PUBLISHED_SEEDS} runs"
    )


def _cell_entries(
    comparison: Comparison, metric: Metric, mean: Mean | None, difference: Difference
) -> tuple[Entry, ...]:
    published = Entry(metric.number(difference.published))
    if mean is None or not mean.n:
        return (published, entry(mean, metric), Entry(DASH), Entry(DASH))
    return (
        published,
        Entry(f"{metric.number(mean.mean)} ({_made_of(mean)})"),
        Entry(f"{difference.value:+z.{metric.digits}f}"),
        _verdict(comparison, difference, metric.digits),
    )


def _made_of(cell: Mean) -> str:
    undefined = f", {cell.num_undefined} not finite" if cell.num_undefined else ""
    return f"n={cell.n}{undefined}"


def _coefficient_entries(comparison: Comparison, difference: Difference) -> tuple[Entry, ...]:
    if math.isnan(difference.ours):
        missing = Entry(f"{MISSING} (n={comparison.n})", is_missing=True)
        return (Entry(DASH), missing, Entry(DASH), Entry(DASH))
    return (
        Entry(f"{difference.published:z.4f}"),
        Entry(f"{difference.ours:z.4f}"),
        Entry(f"{difference.value:+z.4f}"),
        _verdict(comparison, difference, 4),
    )


def _verdict(comparison: Comparison, difference: Difference, digits: int) -> Entry:
    match comparison.verdict(difference):
        case "same":
            return Entry(f"same (±{difference.margin:.{digits}f})")
        case "different":
            return Entry("DIFFERENT")
        case "unknown":
            return Entry("unknown")
        case other:
            return Entry(other)


def _record(
    comparison: Comparison, what: str, difference: Difference
) -> dict[str, str | float | int | None]:
    panel = comparison.panel
    return {
        "table": "comparison",
        "dataset": panel.dataset,
        "pair": panel.pair,
        "variant": panel.variant,
        "source": panel.source,
        "what": what,
        "published": _known(difference.published),
        "ours": _known(difference.ours),
        "low_90": _known(difference.at_90.low),
        "high_90": _known(difference.at_90.high),
        "margin": difference.margin,
        "verdict": comparison.verdict(difference),
        "other_settings": "; ".join(comparison.differing) or None,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
