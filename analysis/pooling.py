"""One coefficient for many panels, without counting anything twice.

Pairs that share a teacher share the very same T. stddev: eight of nine points of `vgg13/vgg8` and
`vgg13/MobileNetV2` have equal x. Their coefficients are not two observations. So the *teacher* (one trained
network on one data set) is the unit: coefficients are averaged over a teacher's pairs first, then over
teachers,

    estimate = 1/T  sum_t  1/m_t  sum_p r_tp          over T teachers with m_t pairs each,

and adding a copy of a pair, or a sister that behaves alike, changes nothing.
The mean is of the coefficients themselves, not of Fisher's z, which is infinite where a rank coefficient is 1,
as several of the paper's are.

What is uncertain about it depends on what else could have been, so three answers are given.
- p: could T. stddev and test loss be unrelated for these panels? One order of the augmentations for all
  panels at once (`analysis.permutation`): exact, whatever the panels share.
- over augmentations, and over seeds: the bootstrap, with one draw of the augmentations for all panels, and one
  draw of a cell's seeds wherever the cell is used (`analysis.bootstrap`). Spearman's over augmentations is the hull,
  since BCa holds 86 to 98% there; the interval of one panel (`analysis.rank_intervals`) would be too wide, since it
  knows nothing of what panels share. Measured: `benchmarks/rank_interval_coverage.py`.
- over teachers: would other teachers show it? Student's t over the T means, T - 1 degrees of freedom, which is
  valid, if wide, for few and unequal clusters (Ibragimov & Mueller, J. Bus. Econ. Stat. 28, 2010, p. 453);
  cut to -1..1, and undefined for one teacher.
- a new teacher: how much do teachers differ, and where would the next one lie (`analysis.partial_pooling`), with the
  teacher as the unit, or the architecture, which on two data sets makes two teachers.
- without noise: the mean of what infinitely many seeds would show of each panel (`analysis.attenuation`).
- within teachers: the slope that teachers have in common (`analysis.within_teachers`).

All panels of a pool have the same augmentations. Of the sets of panels with at least so many complete points,
the one is taken whose panels share most points in all; the panels outside of it are left out, and counted.
"""

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.attenuation import WithoutNoise, beyond_one, correct, reliability, without_noise
from analysis.blocks import fit
from analysis.bootstrap import (
    LEAST_POINTS,
    LEVEL,
    UNDEFINED,
    Bootstrap,
    Interval,
    bca_interval,
    hull_interval,
    with_a_width,
)
from analysis.coefficients import NAMES, Array, coefficients, leave_one_out
from analysis.families import Family, families_of, without_families
from analysis.partial_pooling import Hierarchy, hierarchy, mean_by_unit
from analysis.permutation import permutation_test
from analysis.points import Panel
from analysis.predictors import lowest_first
from analysis.redraws import Cells, means_of, redrawn
from analysis.regret import PooledRegret, pooled_regret
from analysis.within_teachers import WithinTeachers, within_teachers


@dataclass(frozen=True)
class PooledEstimate:
    """One coefficient over all teachers of a group."""

    value: float
    p: float
    over_seeds: Interval
    over_augmentations: Interval
    over_teachers: Interval
    of_teachers: tuple[float, ...]
    """The mean coefficient of each teacher, in the order of `Pooled.teachers`."""
    influence: tuple[float, ...]
    """By augmentation: the coefficient without it in all panels, minus the coefficient."""
    influence_of_families: tuple[float, ...]
    """The same by family."""
    without_noise: WithoutNoise
    by_teacher: Hierarchy
    """Partially pooled, in the order of `Pooled.teachers`."""
    by_architecture: Hierarchy
    """The same with the architectures of teachers as units, in the order of `Pooled.architectures`."""


@dataclass(frozen=True)
class Pooled:
    """The pooled coefficients of a group of panels."""

    group: str
    estimates: dict[str, PooledEstimate]
    teachers: tuple[str, ...]
    architectures: tuple[str, ...]
    augmentations: tuple[str, ...]
    num_panels: int
    num_datasets: int
    num_pairs: int
    """Distinct ones: two teachers of one architecture make two panels of a pair."""
    num_left_out: int
    is_exact: bool
    num_without_noise: int
    """Cells of whose noise nothing tells."""
    source: str
    """Own results or imported ones; empty where panels of both were given."""
    setting: str
    """What its panels' settings are called; empty where there is one only."""
    most_augmentations: int
    """How many the panels have at most: above `n` where they do not all have the same."""
    families: tuple[Family, ...]
    regret: PooledRegret | None
    within: WithinTeachers
    is_low_reliability: bool
    """Whether that of a panel is low: `analysis.attenuation`."""

    @property
    def n(self) -> int:
        return len(self.augmentations)

    def most_influential(self, name: str) -> tuple[str, float] | None:
        """The augmentation without which a coefficient moves most, and by how much; None if by nothing."""
        return furthest(self.augmentations, self.estimates[name].influence)

    def most_influential_family(self, name: str) -> tuple[str, float] | None:
        """The same of families."""
        names = [family.name for family in self.families]
        return furthest(names, self.estimates[name].influence_of_families)


def largest_common_part(panels: Sequence[Panel]) -> tuple[list[Panel], list[str]]:
    """Panels and the augmentations that all of them have: of the sets of furthest panels, the one with most
    points in all. Both empty where no two panels share three augmentations.
    """
    best: tuple[list[Panel], list[str]] = ([], [])
    for least in sorted({len(panel.complete) for panel in panels}, reverse=True):
        kept = [panel for panel in panels if len(panel.complete) >= least]
        complete = [[a for a, _, _ in panel.cells()] for panel in kept]
        shared = [a for a in complete[0] if all(a in names for names in complete)]
        enough = len(kept) >= 2 and len(shared) >= 3
        # The strictest sets come first: of equal parts, the one with more augmentations stays.
        if enough and len(kept) * len(shared) > len(best[0]) * len(best[1]):
            best = (kept, shared)
    return best


def pool(group: str, panels: Sequence[Panel], bootstrap: Bootstrap) -> Pooled | None:
    """Pool the panels of a group; None where fewer than two share three augmentations."""
    kept, shared = largest_common_part(panels)
    if len(kept) < 2 or len(shared) < 3:
        return None
    cells = [_cells(panel, shared) for panel in kept]
    samples = [(means_of(x), means_of(y)) for x, y in cells]
    families = _families(kept, shared)
    teachers = teachers_of(kept)
    weights = teacher_weights(teachers)
    test = permutation_test(samples, weights, seed=bootstrap.seed)
    by_panel = np.stack([coefficients(x, y) for x, y in samples])
    value = _weighted(weights, by_panel)
    drawn = [panel_draws(*pair, bootstrap) for pair in cells]
    # nan in one panel is nan in the mean: one seed per cell in a panel leaves no interval.
    over_seeds = np.stack([seeds for seeds, _ in drawn])
    seeds = _weighted(weights, over_seeds)
    augmentations = _weighted(weights, np.stack([of_points for _, of_points in drawn]))
    left_out = _weighted(weights, np.stack([leave_one_out(x, y) for x, y in samples]))
    without = _weighted(
        weights, np.stack([without_families(x, y, shared, families) for x, y in samples])
    )
    distinct = list(dict.fromkeys(teachers))
    architectures = [teacher for _, teacher, _ in distinct]
    of_teachers = mean_by_unit(teachers, by_panel.T)
    draws_of_teachers = mean_by_unit(teachers, np.moveaxis(over_seeds, 0, -1)).swapaxes(0, 1)
    reliabilities = [reliability(*pair) for pair in cells]
    factors = np.array([shares.factor for shares in reliabilities])
    free = without_noise(
        _weighted(weights, correct(by_panel, factors)),
        _weighted(weights, correct(over_seeds, factors[:, None])),
        is_clipped=np.asarray(beyond_one(by_panel, factors).any(0)),
    )
    estimates = {
        name: PooledEstimate(
            value=float(value[k]),
            p=float(test.p[k]),
            over_seeds=hull_interval(seeds[:, k], float(value[k])),
            over_augmentations=hull_interval(augmentations[:, k], float(value[k]))
            if name == "spearman" and len(shared) >= LEAST_POINTS
            else bca_interval(augmentations[:, k], float(value[k]), left_out[:, k]),
            over_teachers=t_interval(of_teachers[k]),
            of_teachers=tuple(map(float, of_teachers[k])),
            influence=tuple(map(float, left_out[:, k] - value[k])),
            influence_of_families=tuple(map(float, without[:, k] - value[k])),
            without_noise=free[name],
            by_teacher=hierarchy(name, of_teachers[k], draws_of_teachers[k]),
            by_architecture=hierarchy(
                name,
                mean_by_unit(architectures, of_teachers[k]),
                mean_by_unit(architectures, draws_of_teachers[k]),
            ),
        )
        for k, name in enumerate(NAMES)
    }
    x, y = (mean_by_unit(teachers, np.stack(of, axis=-1)).T for of in zip(*samples, strict=True))
    return Pooled(
        group=group,
        estimates=estimates,
        teachers=tuple(f"{dataset} {teacher}" for dataset, teacher, _ in distinct),
        architectures=tuple(dict.fromkeys(architectures)),
        augmentations=tuple(shared),
        num_panels=len(kept),
        num_datasets=len({panel.dataset for panel in kept}),
        num_pairs=len({(panel.dataset, panel.pair) for panel in kept}),
        num_left_out=len(panels) - len(kept),
        is_exact=test.is_exact,
        num_without_noise=sum(num_without_noise(*pair) for pair in cells),
        source=kept[0].source if len({panel.source for panel in kept}) == 1 else "",
        setting=next((panel.setting for panel in kept if panel.setting), ""),
        most_augmentations=max(len(panel.complete) for panel in kept),
        families=families,
        regret=pooled_regret(
            weights,
            tuple(shared),
            [(lowest_first(x, kept[0].predictor), y) for x, y in cells],
            bootstrap,
        ),
        within=within_teachers(x, y, bootstrap),
        is_low_reliability=any(shares.is_low for shares in reliabilities),
    )


def _families(panels: Sequence[Panel], shared: Sequence[str]) -> tuple[Family, ...]:
    """Of the augmentations that panels share, by what any of them calls families."""
    found = [family for panel in panels for family in families_of(shared, panel.namings)]
    return tuple({family.members: family for family in reversed(found)}.values())[::-1]


def teachers_of(panels: Sequence[Panel]) -> list[tuple[str, str, str]]:
    """Whose each panel is: data set, teacher and its fingerprint."""
    return [(panel.dataset, panel.teacher, panel.teacher_fingerprint) for panel in panels]


def teacher_weights(teachers: Sequence[object]) -> list[float]:
    """A weight per panel: equal for all teachers, shared equally by a teacher's panels; they add to 1."""
    sizes = Counter(teachers)
    return [1 / (len(sizes) * sizes[teacher]) for teacher in teachers]


def t_interval(values: Array, level: float = LEVEL) -> Interval:
    """Student's interval for the mean of values [T], T - 1 degrees of freedom, cut to -1..1."""
    from scipy.special import stdtrit

    size = len(values)
    if size < 2 or not np.isfinite(values).all():
        return UNDEFINED
    reach = stdtrit(size - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(size)
    mean = values.mean()
    return with_a_width(max(mean - reach, -1.0), min(mean + reach, 1.0))


def furthest(names: Sequence[str], moves: Sequence[float]) -> tuple[str, float] | None:
    """Whose leaving out moves a coefficient most, and by how much; None if nothing does."""
    felt = [
        (name, move)
        for name, move in zip(names, moves, strict=True)
        if math.isfinite(move) and abs(move) > 1e-9
    ]
    return max(felt, key=lambda item: abs(item[1])) if felt else None


def _cells(panel: Panel, augmentations: Sequence[str]) -> tuple[Cells, Cells]:
    by_name = {a: (x, y) for a, x, y in panel.cells()}
    return (
        tuple(by_name[a][0] for a in augmentations),
        tuple(by_name[a][1] for a in augmentations),
    )


@functools.lru_cache(maxsize=128)
def panel_draws(x: Cells, y: Cells, bootstrap: Bootstrap) -> tuple[Array, Array]:
    """[num_samples, 3] redrawn coefficients of one panel: over seeds, and over augmentations."""
    # Drawn from n alone: panels of one pool, which have equal n, all get the same augmentations.
    chosen = bootstrap.of_points(len(x))
    return seed_draws(x, y, bootstrap), coefficients(means_of(x)[chosen], means_of(y)[chosen])


@functools.lru_cache(maxsize=128)
def seed_draws(x: Cells, y: Cells, bootstrap: Bootstrap) -> Array:
    """[num_samples, 3] coefficients of one panel, redrawn over seeds.

    nan where neither T. stddev nor S. test loss tells of its noise; where one does not, it stays where it is
    (`num_without_noise`).
    """
    of_x, of_y = fit(x), fit(y)
    if of_x.tells_of_noise or of_y.tells_of_noise:
        return coefficients(redrawn(x, of_x, bootstrap), redrawn(y, of_y, bootstrap))
    return np.full((bootstrap.num_samples, len(NAMES)), np.nan)


def num_without_noise(x: Cells, y: Cells) -> int:
    """Cells of whose noise nothing tells: they are fixed in every redraw over seeds."""
    return sum(len(cells) for cells in (x, y) if not fit(cells).tells_of_noise)


def _weighted(weights: Sequence[float], values: Array) -> Array:
    return np.asarray(np.tensordot(np.asarray(weights), values, axes=1))
