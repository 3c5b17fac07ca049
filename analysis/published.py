"""A store beside the published points of four of the paper's figures.

A published point is a mean over `PUBLISHED_SEEDS` runs or more, whose spread was not published. So the seed
noise s of a panel is estimated from the store alone, pooled over its augmentations:

    s^2 = sum_a (n_a - 1) s_a^2 / sum_a (n_a - 1),        nu = sum_a (n_a - 1) degrees of freedom

and a cell is *inside* seed noise where |ours - published| <= t_{0.975, nu} * s * sqrt(1 / n_a + 1 / 3), plus
half of the last printed digit: the two-sample t-test at 5% for equal noise (Student, Biometrika 6, 1908).
One in twenty cells is expected outside when nothing is wrong.

A coefficient is inside where a difference as large as the one seen arises by seed noise in 5% or more of
simulations in which store and paper have the same true points (their weighted mean) and noise s; its p-value is
(b + 1) / (m + 1) for b such differences in m simulations.
"""

import csv
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from analysis.coefficients import NAMES, coefficients
from analysis.grid import DASH, MISSING, Entry, Grid, Row
from analysis.metrics import CORRELATION, S_TEST_LOSS, T_STDDEV, Metric
from analysis.points import Mean, Panel
from analysis.result_tables import entry
from trainer.problems import UserError

PUBLISHED_SEEDS = 3
ALPHA = 0.05
SIMULATIONS = 10_000
COMPARED = (T_STDDEV, S_TEST_LOSS)
"""What was published point by point: no accuracy was."""

COMPARED_NAMES = (*(metric.name for metric in COMPARED), CORRELATION)


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
class CellVerdict:
    """One cell beside its published value; `is_inside` is None where noise is unknown or a value missing."""

    published: float
    ours: Mean | None
    reach: float
    """How far apart the two may be by seed noise; nan where it is unknown."""

    @property
    def is_inside(self) -> bool | None:
        if self.ours is None or math.isnan(self.reach):
            return None
        return abs(self.ours.mean - self.published) <= self.reach


@dataclass(frozen=True)
class CoefficientVerdict:
    """One coefficient beside the published one, both over the augmentations that the store has."""

    published: float
    ours: float
    p: float
    """How often seed noise alone sets the two at least so far apart; nan where noise is unknown."""

    @property
    def is_inside(self) -> bool | None:
        return None if math.isnan(self.p) else self.p >= ALPHA


@dataclass(frozen=True)
class Comparison:
    """One panel of a store beside the published one."""

    panel: Panel
    cells: dict[str, dict[str, CellVerdict]]
    """By metric (`t_stddev`, `s_test_loss`) and augmentation."""
    coefficients: dict[str, CoefficientVerdict]
    n: int


def compare(
    panels: Sequence[Panel], seed: int = 0, num_samples: int = SIMULATIONS
) -> list[Comparison]:
    """Every panel that has a published counterpart, beside it; `num_samples` simulations of each.

    Raises:
        UserError: no panel has one.
    """
    published = {(p.dataset, p.pair): p for p in published_panels()}
    comparisons = [
        _compare(panel, published[panel.dataset, panel.pair], seed, num_samples)
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


def _compare(panel: Panel, published: PublishedPanel, seed: int, num_samples: int) -> Comparison:
    ours = {
        metric.name: {p.augmentation: metric.of(p) for p in panel.points} for metric in COMPARED
    }
    noise = {
        metric: seed_noise([cell for cell in cells.values() if cell])
        for metric, cells in ours.items()
    }
    cells = {
        metric.name: {
            augmentation: CellVerdict(
                value,
                mean := ours[metric.name].get(augmentation),
                _reach(metric, mean, noise[metric.name]),
            )
            for augmentation, value in getattr(published, metric.name).items()
        }
        for metric in COMPARED
    }
    shared = [a for a, _, _ in panel.cells() if a in published.t_stddev]
    verdicts = _coefficient_verdicts(panel, published, shared, noise, seed, num_samples)
    return Comparison(panel, cells, verdicts, len(shared))


def _reach(metric: Metric, mean: Mean | None, noise: tuple[float, int]) -> float:
    from scipy.special import stdtrit

    std, freedom = noise
    if mean is None or not mean.n or freedom == 0:
        return math.nan
    spread = std * math.sqrt(1 / mean.n + 1 / PUBLISHED_SEEDS)
    return float(stdtrit(freedom, 1 - ALPHA / 2)) * spread + 0.5 * 10.0**-metric.digits


def _coefficient_verdicts(
    panel: Panel,
    published: PublishedPanel,
    shared: Sequence[str],
    noise: dict[str, tuple[float, int]],
    seed: int,
    num_samples: int,
) -> dict[str, CoefficientVerdict]:
    if len(shared) < 3:
        return {name: CoefficientVerdict(math.nan, math.nan, math.nan) for name in NAMES}
    ours = {a: (x, y) for a, x, y in panel.cells()}
    generator = np.random.default_rng([seed, len(shared)])
    drawn_ours, drawn_theirs, seen_ours, seen_theirs = [], [], [], []
    for k, metric in enumerate(metric.name for metric in COMPARED):
        means = np.array([ours[a][k].mean for a in shared])
        sizes = np.array([ours[a][k].n for a in shared])
        theirs = np.array([getattr(published, metric)[a] for a in shared])
        true = (sizes * means + PUBLISHED_SEEDS * theirs) / (sizes + PUBLISHED_SEEDS)
        std = noise[metric][0]
        shape = (num_samples, len(shared))
        drawn_ours.append(true + std / np.sqrt(sizes) * generator.standard_normal(shape))
        drawn_theirs.append(
            true + std / math.sqrt(PUBLISHED_SEEDS) * generator.standard_normal(shape)
        )
        seen_ours.append(means)
        seen_theirs.append(theirs)
    value, printed = coefficients(*seen_ours), coefficients(*seen_theirs)
    simulated = np.abs(coefficients(*drawn_ours) - coefficients(*drawn_theirs))
    # A difference of nothing but rounding is never extreme.
    extreme = (simulated >= np.abs(value - printed) - 1e-9).sum(axis=0)
    p = (extreme + 1) / (num_samples + 1)
    known = all(not math.isnan(std) for std, _ in noise.values())
    return {
        name: CoefficientVerdict(
            float(printed[k]), float(value[k]), float(p[k]) if known else math.nan
        )
        for k, name in enumerate(NAMES)
    }


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
        for i, (name, verdict) in enumerate(cells.items()):
            rows.append(
                Row(
                    f"{metric.title}: {name}",
                    _cell_entries(metric, verdict),
                    begins_section=i == 0,
                )
            )
            records.append(
                _record(
                    comparison.panel,
                    f"{metric.name}:{name}",
                    verdict.published,
                    verdict.ours.mean if verdict.ours else math.nan,
                    verdict.is_inside,
                )
            )
    for i, (name, coefficient) in enumerate(coefficients.items()):
        entries = _coefficient_entries(coefficient, comparison.n)
        rows.append(Row(f"{name.capitalize()}, n = {comparison.n}", entries, begins_section=i == 0))
        records.append(
            _record(
                comparison.panel,
                name,
                coefficient.published,
                coefficient.ours,
                coefficient.is_inside,
            )
        )
    verdicts = [v.is_inside for cells in shown.values() for v in cells.values()]
    of_cells = [
        f"{verdicts.count(True)} of {len(verdicts)} cells inside seed noise, {verdicts.count(False)} outside, "
        f"{verdicts.count(None)} unknown (missing, not finite, or one seed only); "
        f"at 5% one in twenty is outside when nothing is wrong",
    ]
    notes = [
        *(of_cells if verdicts else []),
        f"seed noise from this store, pooled over augmentations; published values taken as means of "
        f"{PUBLISHED_SEEDS} runs; settings are not compared, a paper's run has the paper's",
    ]
    title = f"{comparison.panel.title} beside the paper"
    return Grid(title, "cell", _HEADINGS, tuple(rows), tuple(notes), tuple(records))


def _cell_entries(metric: Metric, verdict: CellVerdict) -> tuple[Entry, ...]:
    published = Entry(metric.number(verdict.published))
    if verdict.ours is None or not verdict.ours.n:
        return (published, entry(verdict.ours, metric), Entry(DASH), Entry(DASH))
    difference = verdict.ours.mean - verdict.published
    return (
        published,
        Entry(f"{metric.number(verdict.ours.mean)} ({_made_of(verdict.ours)})"),
        Entry(f"{difference:+.{metric.digits}f}"),
        _verdict(verdict.is_inside, f"±{metric.number(verdict.reach)}"),
    )


def _made_of(cell: Mean) -> str:
    undefined = f", {cell.num_undefined} not finite" if cell.num_undefined else ""
    return f"n={cell.n}{undefined}"


def _coefficient_entries(verdict: CoefficientVerdict, n: int) -> tuple[Entry, ...]:
    if math.isnan(verdict.ours):
        return (Entry(DASH), Entry(f"{MISSING} (n={n})", is_missing=True), Entry(DASH), Entry(DASH))
    return (
        Entry(f"{verdict.published:.4f}"),
        Entry(f"{verdict.ours:.4f}"),
        Entry(f"{verdict.ours - verdict.published:+.4f}"),
        _verdict(verdict.is_inside, "p < 0.01" if verdict.p < 0.005 else f"p = {verdict.p:.2f}"),
    )


def _verdict(is_inside: bool | None, detail: str) -> Entry:
    if is_inside is None:
        return Entry("unknown: one seed")
    return Entry(f"{'inside' if is_inside else 'OUTSIDE'} ({detail})")


def _record(
    panel: Panel, what: str, published: float, ours: float, is_inside: bool | None
) -> dict[str, str | float | int | None]:
    words = {True: "inside", False: "outside", None: "unknown"}
    return {
        "table": "comparison",
        "dataset": panel.dataset,
        "pair": panel.pair,
        "variant": panel.variant,
        "source": panel.source,
        "what": what,
        "published": None if math.isnan(published) else published,
        "ours": None if math.isnan(ours) else ours,
        "verdict": words[is_inside],
    }
