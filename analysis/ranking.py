"""Augmentations in order of T. stddev: what to train a student with, before any student is trained.

Lower is better, by the paper's claim. Two augmentations are told apart where their means differ by more than
Tukey's honestly significant difference (Tukey, The Problem of Multiple Comparisons, 1953; Kramer, Biometrics 12, 1956, p. 307), which holds for all
pairs at once at 5%:

    q(0.95; A, nu) * s / sqrt(S)

All augmentations of a seed see the same batches, so seeds are blocks: with y_ak the value of augmentation a at
seed k, over A augmentations and the S seeds that all of them have, the noise is that of a randomised block
design (Montgomery, Design and Analysis of Experiments, chapter 4), with nu = (A - 1)(S - 1):

    s^2 = sum_ak (y_ak - mean_a - mean_k + mean)^2 / nu

Noise is taken to be equal for all augmentations. With one common seed, the jackknife standard errors e_a of
the single estimates serve where the store has them: q(0.95; A, infinity) * sqrt((e_a^2 + e_b^2) / 2), on the
wide side because it does not use that batches are shared.

A pick by a student, such as cutmixpick_s, needs that student trained before T. stddev can be measured, so it
stands aside, where there is one.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.coefficients import Array
from analysis.correlation_tables import counted
from analysis.grid import DASH, Entry, Grid, Row
from analysis.metrics import metric_of
from analysis.points import Mean, in_order, mean_of
from analysis.predictors import STANDARD_ERROR, T_STDDEV, VALUE, Predictor
from analysis.result_tables import entry
from analysis.teachers import Measured, measured_teachers
from trainer.catalog import pick_of

LEVEL = 0.95


@dataclass(frozen=True)
class Ranked:
    """One augmentation of a ranking. `groups`: augmentations that share one, a letter, cannot be told apart."""

    augmentation: str
    t_stddev: Mean
    groups: tuple[str, ...]

    @property
    def letters(self) -> str:
        """`ab`; `z aa` where there are more groups than letters."""
        return ("" if all(len(name) == 1 for name in self.groups) else " ").join(self.groups)


@dataclass(frozen=True)
class Ranking:
    """The augmentations of one teacher, lowest T. stddev first (or the better end of another predictor)."""

    dataset: str
    teacher: str
    variant: str
    source: str
    ranked: tuple[Ranked, ...]
    picked_by_student: tuple[tuple[str, Mean], ...]
    """What was measured of schemes that need a student, such as `cutmixpick_s of vgg8`; not ranked."""
    awaiting: tuple[str, ...]
    """Schemes that need a student and were not measured yet."""
    undefined: tuple[tuple[str, Mean], ...]
    """Augmentations of which no trial has a finite value; not ranked."""
    num_left_out: int
    """Trials whose seed not every ranked augmentation has with a finite value."""
    num_seeds: int
    """Seeds that all augmentations have."""
    noise: float
    """Standard deviation over seeds of one value, batches shared; nan where unknown."""
    has_uncertainty: bool
    predictor: Predictor = T_STDDEV

    def not_told_apart(self) -> tuple[tuple[str, ...], ...]:
        """The largest sets, two or more, among which nothing is told apart."""
        letters = sorted({letter for r in self.ranked for letter in r.groups})
        sets = [
            tuple(r.augmentation for r in self.ranked if letter in r.groups) for letter in letters
        ]
        return tuple(names for names in sets if len(names) > 1)


def rank(
    rows: pd.DataFrame, planned: Collection[str] = (), predictor: Predictor = T_STDDEV
) -> list[Ranking]:
    """A ranking per teacher and way of measuring, students left aside.

    Args:
        rows: of a store (`analysis.rows.read_rows`).
        planned: augmentations that there will be besides those that students were trained with.
        predictor: by what they are ranked; from the end that is better.
    """
    students = rows[rows["kind"] == "student"]
    return [
        _ranking(measured, {*planned, *_of_students(students, measured)})
        for measured in measured_teachers(rows, predictor)
    ]


def _of_students(students: pd.DataFrame, measured: Measured) -> set[str]:
    mine = students["teacher_fingerprint"].isin(set(measured.rows["teacher_fingerprint"]))
    return set(students[mine]["augmentation"])


def _ranking(measured: Measured, expected: Collection[str]) -> Ranking:
    alone = _with_common_seeds(measured.alone)
    cells: dict[str, Mean] = {}
    undefined: dict[str, Mean] = {}
    for name in in_order(measured.alone["augmentation"]):
        if mean := mean_of(alone[alone["augmentation"] == name], VALUE):
            (cells if mean.n else undefined)[name] = mean
    sign = measured.predictor.sign
    order = sorted(cells, key=lambda name: sign * cells[name].mean)
    noise, num_seeds = block_noise([cells[name] for name in order])
    reach = _reach(order, cells, noise, num_seeds, alone)
    means = sign * np.array([cells[name].mean for name in order])
    letters = groups(means, reach)
    return Ranking(
        dataset=measured.dataset,
        teacher=measured.teacher,
        variant=measured.variant,
        source=measured.source,
        ranked=tuple(
            Ranked(name, cells[name], letter) for name, letter in zip(order, letters, strict=True)
        ),
        picked_by_student=measured.picked_by_student(),
        awaiting=tuple(_awaiting(measured, expected)),
        undefined=tuple(undefined.items()),
        num_left_out=len(measured.alone) - len(alone),
        num_seeds=num_seeds,
        noise=noise,
        has_uncertainty=bool(np.isfinite(reach).all()) and len(order) > 1,
        predictor=measured.predictor,
    )


def _awaiting(measured: Measured, expected: Collection[str]) -> Iterator[str]:
    seen = set(measured.rows["augmentation"])
    for name in in_order(expected):
        pick = pick_of(name)
        if pick is not None and pick.needs_student and name not in seen:
            yield name


def _with_common_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of seeds that every augmentation has: a seed shifts them all, so means must share them.

    All rows where there is no such seed, and of augmentations that have no finite value.
    """
    finite = rows[np.isfinite(rows[VALUE].to_numpy(dtype=np.float64))]
    seeds = [set(group["seed"]) for _, group in finite.groupby("augmentation")]
    common = set.intersection(*seeds) if seeds else set()
    is_undefined = ~rows["augmentation"].isin(set(finite["augmentation"]))
    return rows[rows["seed"].isin(common) | is_undefined] if common else rows


def block_noise(cells: Sequence[Mean]) -> tuple[float, int]:
    """Residual standard deviation over the seeds that all cells have, and how many those are.

    nan with fewer than two cells or two common seeds.
    """
    common = set.intersection(*(set(c.seeds) for c in cells)) if cells else set()
    seeds = sorted(common)
    if len(cells) < 2 or len(seeds) < 2:
        return math.nan, len(seeds)
    y = np.array([[dict(zip(c.seeds, c.values, strict=True))[s] for s in seeds] for c in cells])
    residuals = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + y.mean()
    freedom = (len(cells) - 1) * (len(seeds) - 1)
    return float(np.sqrt((residuals**2).sum() / freedom)), len(seeds)


def _reach(
    order: Sequence[str],
    cells: Mapping[str, Mean],
    noise: float,
    num_seeds: int,
    rows: pd.DataFrame,
) -> Array:
    """[A, A] how far two means must differ to be told apart; nan where that is unknown."""
    from scipy.stats import studentized_range

    size = len(order)
    if size < 2:
        return np.full((size, size), np.nan)
    if not math.isnan(noise):
        freedom = (size - 1) * (num_seeds - 1)
        q = float(studentized_range.ppf(LEVEL, size, freedom))
        return np.full((size, size), q * noise / math.sqrt(num_seeds))
    errors = _standard_errors(order, cells, rows)
    q = float(studentized_range.ppf(LEVEL, size, np.inf))
    return q * np.sqrt((errors[:, None] ** 2 + errors[None, :] ** 2) / 2)


def _standard_errors(order: Sequence[str], cells: Mapping[str, Mean], rows: pd.DataFrame) -> Array:
    """[A] standard error of each mean from the jackknife of its estimates; nan where one has none."""
    if STANDARD_ERROR not in rows.columns:
        return np.full(len(order), np.nan)
    by_fingerprint = rows.set_index("fingerprint")[STANDARD_ERROR].astype(float)
    return np.array(
        [
            math.sqrt(sum(by_fingerprint[f] ** 2 for f in cells[name].fingerprints)) / cells[name].n
            for name in order
        ]
    )


def groups(means: Array, reach: Array) -> list[tuple[str, ...]]:
    """Groups for ascending means [A], named by letters: two that share one differ by no more than reach [A, A].

    The letters of Piepho's display (J. Comput. Graph. Stat. 13, 2004, p. 456): one for each largest set in
    which no two are told apart. With unequal errors such a set need not be a run. None where a reach is
    unknown. Behind z comes aa.
    """
    size = len(means)
    if not np.isfinite(reach).all():
        return [()] * size
    alike = np.abs(means[:, None] - means[None, :]) <= reach
    friends = [{j for j in range(size) if j != i and alike[i, j]} for i in range(size)]
    cliques = sorted(sorted(clique) for clique in _cliques(set(), set(range(size)), set(), friends))
    return [
        tuple(_letters(k) for k, clique in enumerate(cliques) if i in clique) for i in range(size)
    ]


def _letters(number: int) -> str:
    """0: a, 25: z, 26: aa."""
    above, own = divmod(number, 26)
    return (_letters(above - 1) if above else "") + chr(ord("a") + own)


def _cliques(
    chosen: set[int], open_: set[int], tried: set[int], friends: Sequence[set[int]]
) -> Iterator[set[int]]:
    """All largest sets of mutual friends (Bron & Kerbosch, Commun. ACM 16, 1973, p. 575)."""
    if not open_ and not tried:
        yield chosen
    for i in sorted(open_):
        yield from _cliques(chosen | {i}, open_ & friends[i], tried & friends[i], friends)
        open_ = open_ - {i}
        tried = tried | {i}


def ranking_grids(rankings: Sequence[Ranking]) -> list[Grid]:
    """A table per ranking."""
    return [_grid(ranking) for ranking in rankings]


def _grid(ranking: Ranking) -> Grid:
    usual = max((r.t_stddev.n for r in ranking.ranked), default=0)
    metric, predictor = metric_of(ranking.predictor), ranking.predictor
    rows = [
        Row(
            str(place),
            (Entry(r.augmentation), entry(r.t_stddev, metric, usual), Entry(r.letters or "?")),
        )
        for place, r in enumerate(ranking.ranked, start=1)
    ]
    rows += [
        Row(
            DASH,
            (Entry(name), entry(mean, metric, usual), Entry("aside" if mean.n else DASH)),
            begins_section=i == 0,
        )
        for i, (name, mean) in enumerate((*ranking.undefined, *ranking.picked_by_student))
    ]
    needs = Entry("needs its student", is_missing=True)
    rows += [
        Row(DASH, (Entry(name), needs, Entry("aside")), begins_section=i == 0)
        for i, name in enumerate(ranking.awaiting)
    ]
    title = f"{ranking.dataset} {ranking.teacher}" + (
        f" ({ranking.variant})" if ranking.variant else ""
    )
    return Grid(
        title=f"{title}: augmentations by {predictor.title}, {predictor.best} first",
        corner="rank",
        headings=("augmentation", f"{predictor.title} (n = {usual})", "group"),
        rows=tuple(rows),
        notes=tuple(_notes(ranking)),
        records=tuple(_records(ranking)),
    )


def _notes(ranking: Ranking) -> Iterator[str]:
    if not ranking.ranked:
        yield "nothing measured yet"
        return
    best = ranking.ranked[0]
    if len(ranking.ranked) == 1:
        yield f"only {best.augmentation} is measured: there is nothing to compare it with"
    elif not ranking.has_uncertainty:
        several = any(r.t_stddev.n > 1 for r in ranking.ranked)
        why = "no two seeds that all have" if several else "one seed"
        yield f"{ranking.predictor.best}: {best.augmentation}; with {why} nothing says how certain the order is"
    else:
        equals = [r.augmentation for r in ranking.ranked if set(r.groups) & set(best.groups)]
        if len(equals) > 1:
            yield f"train first with one of {', '.join(equals)}: they cannot be told apart at this n"
        else:
            yield f"train first with {best.augmentation}: its {ranking.predictor.title} is {ranking.predictor.best}, told apart from all others"
        for names in ranking.not_told_apart():
            yield f"cannot be told apart at n = {ranking.num_seeds}: {', '.join(names)}"
        noise = (
            "by the jackknife errors of single estimates"
            if math.isnan(ranking.noise)
            else "batches are shared by seed"
        )
        yield f"Tukey's honestly significant difference, all pairs at once at 5%; {noise}"
    if ranking.num_left_out:
        yield (
            f"left out: {counted(ranking.num_left_out, f'{ranking.predictor.title} trial')} of seeds that some augmentation lacks, or "
            "has with a value that is not finite"
        )
    aside = in_order(
        {*ranking.awaiting, *(n.split(" of ")[0] for n, _ in ranking.picked_by_student)}
    )
    if aside:
        yield (
            f"{', '.join(aside)}: picked by a student, so measured after one was trained, and never "
            "trained for this"
        )


def _records(ranking: Ranking) -> Iterator[Mapping[str, str | float | int | None]]:
    common = {
        "table": "ranking",
        "dataset": ranking.dataset,
        "teacher": ranking.teacher,
        "variant": ranking.variant,
        "source": ranking.source,
        "predictor": ranking.predictor.name,
    }
    for place, r in enumerate(ranking.ranked, start=1):
        cell = r.t_stddev
        yield {
            **common,
            "rank": place,
            "augmentation": r.augmentation,
            "mean": cell.mean,
            "std": None if math.isnan(cell.std) else cell.std,
            "n": cell.n,
            "groups": r.letters or None,
        }
    for name, cell in (*ranking.undefined, *ranking.picked_by_student):
        yield {
            **common,
            "rank": None,
            "augmentation": name,
            "mean": cell.mean if cell.n else None,
            "std": None if math.isnan(cell.std) else cell.std,
            "n": cell.n,
            "groups": None,
        }
