"""A contest of predictors: what of a teacher alone orders augmentations best, over the same augmentations and seeds.

    hold(by_predictor) -> one Contest per panel, then one per pool

A coefficient counts in the direction that was expected of its predictor (`analysis.predictors`): that of T. stddev as it
is, that of entropy with its sign turned. So a predictor is better than another the larger its coefficient is, and one
that orders augmentations the wrong way round is worse than one that does not order them.

Every predictor of a contest is weighed over the augmentations that all of them have. Coefficients, p-values and regret
are those of `analysis.evidence`; p-values are adjusted for the number of predictors (Holm), coefficient by coefficient.

Two predictors are compared by the difference d of their coefficients, over seeds, in joint redraws: a redraw takes the
same seeds' residuals for both, and has one S. test loss for both, so that what they share cancels. Its interval is the
hull of `analysis.bootstrap`, of differences; the p-value is the one that belongs to it,

    p = the larger, of the redraws d* and of the same shifted to have the mean d, of
        2 min( (1 + #{d* <= 0}) / (m + 1), (1 + #{d* >= 0}) / (m + 1) )

over m redraws (Davison & Hinkley, Bootstrap Methods and their Application, 1997, sections 4.2 and 5.4), and Holm's
correction is over all pairs of predictors. The augmentations stay what they are: with other augmentations the order of
predictors may be another, and nine say little about that.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.blocks import fit
from analysis.bootstrap import Bootstrap, Interval, hull_interval
from analysis.coefficients import NAMES, Array, coefficients
from analysis.evidence import pools
from analysis.multiplicity import holm
from analysis.permutation import permutation_test
from analysis.points import Mean, Panel
from analysis.pooling import largest_common_part, seed_draws, teacher_weights, teachers_of
from analysis.predictors import Predictor, lowest_first
from analysis.redraws import Cells, means_of
from analysis.regret import PooledRegret, pooled_regret

OF_ONE_PREDICTOR = frozenset(
    f"stddev.{name}" for name in ("batches_per_window", "predictor", "own_predictor", "semantics")
)
"""Settings of a measurement that some predictors have and others have not, or not alike."""

LEAST = 3
"""Augmentations of a contest."""


@dataclass(frozen=True)
class Score:
    """One coefficient of one predictor, in its expected direction. p two-sided, 0..1; nan where undefined."""

    value: float
    over_seeds: Interval
    p: float
    holm: float


@dataclass(frozen=True)
class Contestant:
    """One predictor of a contest. `title` is its own, with its version where several take part."""

    name: str
    title: str
    lower_is_better: bool
    scores: dict[str, Score]
    regret: PooledRegret | None
    """None where there is no choice."""


@dataclass(frozen=True)
class Difference:
    """One coefficient of `one`, minus that of `other`, over seeds; nan where undefined."""

    value: float
    over_seeds: Interval
    p: float
    holm: float


@dataclass(frozen=True)
class Comparison:
    """Two contestants, by title."""

    one: str
    other: str
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Contest:
    """The predictors of one panel, or of the panels of a pool."""

    title: str
    dataset: str
    augmentations: tuple[str, ...]
    num_panels: int
    contestants: tuple[Contestant, ...]
    comparisons: tuple[Comparison, ...]
    tells_of_noise: bool

    @property
    def n(self) -> int:
        return len(self.augmentations)


Field = Mapping[tuple[Predictor, str], Panel]
"""The panels of one contest by predictor and title; all of the same augmentations."""


def hold(
    by_predictor: Mapping[Predictor, Sequence[Panel]],
    *,
    group_by: Sequence[str] = ("dataset",),
    bootstrap: Bootstrap | None = None,
) -> list[Contest]:
    """A contest per panel of which two predictors or more have three augmentations in common, then one per pool."""
    bootstrap = bootstrap or Bootstrap()
    fields = [field for field in map(_over_common, _fields(by_predictor)) if field]
    held = [
        _contest(_first(field).title, [field], [1.0], _names(field), bootstrap) for field in fields
    ]
    first_of = {id(_first(field)): field for field in fields}
    for title, group in pools(list(map(_first, fields)), group_by):
        kept, shared = largest_common_part(group)
        mine = [first_of[id(panel)] for panel in kept]
        everywhere = [who for who in (mine[0] if mine else {}) if all(who in f for f in mine)]
        if len(everywhere) > 1:
            same = [{who: field[who] for who in everywhere} for field in mine]
            weights = teacher_weights(teachers_of(kept))
            held.append(_contest(f"pooled: {title}", same, weights, tuple(shared), bootstrap))
    return held


def _fields(by_predictor: Mapping[Predictor, Sequence[Panel]]) -> list[Field]:
    """The panels that differ in the predictor alone."""
    found: dict[object, list[tuple[Predictor, Panel]]] = {}
    for predictor, panels in by_predictor.items():
        for panel in panels:
            if panel.complete:
                found.setdefault(_setting(panel), []).append((predictor, panel))
    fields: list[Field] = []
    for entries in found.values():
        several = [p for p, count in _counts(entries).items() if count > 1]
        fields.append(
            {(p, _title(p, panel if p in several else None)): panel for p, panel in entries}
        )
    return fields


def _counts(entries: Sequence[tuple[Predictor, Panel]]) -> dict[Predictor, int]:
    predictors = [predictor for predictor, _ in entries]
    return {predictor: predictors.count(predictor) for predictor in predictors}


def _title(predictor: Predictor, version: Panel | None) -> str:
    return f"{predictor.title} ({version.variant})" if version else predictor.title


def _setting(panel: Panel) -> object:
    told = ((k, v) for k, v in panel.hyperparameters.items() if k not in OF_ONE_PREDICTOR)
    own = (panel.dataset, panel.source, panel.pair, panel.teacher_fingerprint)
    return own, frozenset(told)


def _over_common(field: Field) -> Field:
    """The panels cut down to the augmentations that all have; empty where there is no contest."""
    shared = set.intersection(*({a for a, _, _ in panel.cells()} for panel in field.values()))
    if len(field) < 2 or len(shared) < LEAST:
        return {}
    return {
        who: replace(panel, points=tuple(p for p in panel.points if p.augmentation in shared))
        for who, panel in field.items()
    }


def _first(field: Field) -> Panel:
    return next(iter(field.values()))


def _names(field: Field) -> tuple[str, ...]:
    return tuple(name for name, _, _ in _first(field).cells())


def _contest(
    title: str,
    fields: Sequence[Field],
    weights: Sequence[float],
    names: tuple[str, ...],
    bootstrap: Bootstrap,
) -> Contest:
    aligned = [_aligned(field, names) for field in fields]
    seen = {who: [cells[who] for cells in aligned] for who in fields[0]}
    value = {who: _weighted(weights, who[0], _values(seen[who])) for who in seen}
    draws = {
        who: _weighted(
            weights, who[0], np.stack([seed_draws(x, y, bootstrap) for x, y in seen[who]])
        )
        for who in seen
    }
    p = np.stack([_permuted(seen[who], weights, bootstrap) for who in seen])
    adjusted = np.stack([holm(of_coefficient) for of_coefficient in p.T], axis=1)
    contestants = tuple(
        Contestant(
            name=predictor.name,
            title=told,
            lower_is_better=predictor.lower_is_better,
            scores={
                name: Score(
                    float(value[who][k]),
                    hull_interval(draws[who][:, k], float(value[who][k])),
                    float(p[i, k]),
                    float(adjusted[i, k]),
                )
                for k, name in enumerate(NAMES)
            },
            regret=pooled_regret(
                weights, names, [(lowest_first(x, predictor), y) for x, y in seen[who]], bootstrap
            ),
        )
        for i, (who, (predictor, told)) in enumerate(zip(seen, seen, strict=True))
    )
    return Contest(
        title=title,
        dataset=_first(fields[0]).dataset,
        augmentations=names,
        num_panels=len(fields),
        contestants=contestants,
        comparisons=_comparisons(value, draws),
        tells_of_noise=all(
            fit(cells).tells_of_noise
            for of_who in seen.values()
            for pair in of_who
            for cells in pair
        ),
    )


def _comparisons(
    value: Mapping[tuple[Predictor, str], Array], draws: Mapping[tuple[Predictor, str], Array]
) -> tuple[Comparison, ...]:
    pairs = list(itertools.combinations(value, 2))
    moved = [(value[one] - value[other], draws[one] - draws[other]) for one, other in pairs]
    p = np.array(
        [[difference_p(d[:, k], float(v[k])) for k in range(len(NAMES))] for v, d in moved]
    )
    adjusted = np.stack([holm(of_coefficient) for of_coefficient in p.T], axis=1)
    return tuple(
        Comparison(
            one=one[1],
            other=other[1],
            differences={
                name: Difference(
                    float(v[k]),
                    hull_interval(d[:, k], float(v[k]), furthest=2.0),
                    float(p[i, k]),
                    float(adjusted[i, k]),
                )
                for k, name in enumerate(NAMES)
            },
        )
        for i, ((one, other), (v, d)) in enumerate(zip(pairs, moved, strict=True))
    )


def difference_p(draws: Array, estimate: float) -> float:
    """The p-value of no difference, of redraws [m] (the module tells how); nan where any is undefined."""
    if not (math.isfinite(estimate) and np.isfinite(draws).all()):
        return math.nan
    shifted = draws - draws.mean() + estimate
    return max(_two_sided(draws), _two_sided(shifted))


def _two_sided(draws: Array) -> float:
    tails = [(1 + int(side.sum())) / (len(draws) + 1) for side in (draws <= 0, draws >= 0)]
    return min(1.0, 2 * min(tails))


def _aligned(
    field: Field, names: tuple[str, ...]
) -> dict[tuple[Predictor, str], tuple[Cells, Cells]]:
    """Cells of each contestant; those of equal seeds are redrawn as one, whoever measured them."""
    first: dict[tuple[str, tuple[int, ...]], tuple[str, ...]] = {}
    found = {}
    for who, panel in field.items():
        by_name = {a: (x, y) for a, x, y in panel.cells()}
        cells = [_as_first(by_name[name][0], name, first) for name in names]
        found[who] = tuple(cells), tuple(by_name[name][1] for name in names)
    return found


def _as_first(
    cell: Mean, augmentation: str, first: dict[tuple[str, tuple[int, ...]], tuple[str, ...]]
) -> Mean:
    address = first.setdefault((augmentation, cell.seeds), cell.fingerprints)
    return replace(cell, fingerprints=address)


def _values(panels: Sequence[tuple[Cells, Cells]]) -> Array:
    return np.stack([coefficients(means_of(x), means_of(y)) for x, y in panels])


def _permuted(
    panels: Sequence[tuple[Cells, Cells]], weights: Sequence[float], bootstrap: Bootstrap
) -> Array:
    samples = [(means_of(x), means_of(y)) for x, y in panels]
    return permutation_test(samples, weights, seed=bootstrap.seed).p


def _weighted(weights: Sequence[float], predictor: Predictor, values: Array) -> Array:
    return np.asarray(predictor.sign * np.tensordot(np.asarray(weights), values, axes=1))
