"""From rows to the points of a scatter plot.

A *cell* is the mean over trials that differ in the seed only. A point joins a student cell (S. test loss) with
the stddev cell (T. stddev) of the same teacher, told by its fingerprint, and the same augmentation;
a pick by a student, such as cutmixpick_s, also by the student's cell.

    panels(read_rows(store)) -> one Panel per teacher, student and set of hyper-parameters

Imported rows make panels of their own: nothing is averaged over where a number comes from.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.blocks import fit
from analysis.coefficients import Array
from analysis.combinations import NOT_TOLD, Planned, pairings, units
from analysis.correlations import Correlation, correlate
from analysis.families import Naming
from analysis.naming import in_number_order, names_of, setting_of
from analysis.predictors import T_STDDEV, Predictor, rows_of
from analysis.settings import IMPORTED, OWN, of_teachers, with_settings, with_source
from trainer.catalog import AUGMENTATIONS


@dataclass(frozen=True)
class Mean:
    """A cell: mean, unbiased standard deviation (nan for one value), and what it is made of, by seed.

    Beside cells of other seeds the mean is what it would be on theirs (`comparable`).

    The trials `undefined` finished with a value that is not finite: they are left out, and counted. Where
    that is all of them, n is 0 and the mean nan.
    """

    mean: float
    std: float
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    fingerprints: tuple[str, ...]
    undefined: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.seeds)

    @property
    def is_adjusted(self) -> bool:
        """Whether the mean is not that of the values, but what it would be on other cells' seeds."""
        plain = math.fsum(self.values) / self.n if self.n else math.nan
        return self.n > 0 and not math.isclose(plain, self.mean, rel_tol=1e-9)

    @property
    def num_undefined(self) -> int:
        return len(self.undefined)

    @property
    def address(self) -> str:
        """What names this cell and its trials, wherever it is used."""
        return " ".join(self.fingerprints)


@dataclass(frozen=True)
class Point:
    """One augmentation of a panel; a part is None where no such trial has finished yet.

    `t_stddev` is T. stddev, or the panel's predictor in its place.
    """

    augmentation: str
    test_loss: Mean | None
    test_accuracy: Mean | None
    t_stddev: Mean | None

    @property
    def is_complete(self) -> bool:
        return bool(self.test_loss and self.test_loss.n and self.t_stddev and self.t_stddev.n)


@dataclass(frozen=True)
class Panel:
    """The points of one pair on one data set, under one setting of everything else.

    `predictor` is what stands for T. stddev. `variant` says in which settings panels differ; empty where there is only one. `hyperparameters` are all of
    them, by name; `namings` is what the sweeps that planned it call families.

    Points stand in the paper's order, whatever is shown: redraws go by their places. `order` is the one in which
    augmentations are shown (`names_shown`).
    """

    dataset: str
    teacher: str
    student: str
    variant: str
    source: str
    teacher_fingerprint: str
    points: tuple[Point, ...]
    hyperparameters: Mapping[str, str] = field(default_factory=dict, compare=False)
    namings: tuple[Naming, ...] = field(default=(), compare=False)
    order: tuple[str, ...] = field(default=AUGMENTATIONS, compare=False)
    predictor: Predictor = T_STDDEV

    @property
    def pair(self) -> str:
        return f"{self.teacher}/{self.student}"

    @property
    def setting(self) -> str:
        """Its variant, without what only tells teachers apart."""
        told = self.variant.split(", ")
        return ", ".join(name for name in told if not name.startswith("teacher_fingerprint="))

    @property
    def column(self) -> str:
        """The pair, with its variant."""
        return self.pair + (f" ({self.variant})" if self.variant else "")

    @property
    def title(self) -> str:
        return f"{self.dataset} {self.column}"

    @property
    def names(self) -> dict[str, str]:
        """What tells it apart, in records."""
        return {
            "dataset": self.dataset,
            "pair": self.pair,
            "variant": self.variant,
            "source": self.source,
        }

    @property
    def complete(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.is_complete)

    def cells(self) -> tuple[tuple[str, Mean, Mean], ...]:
        """Augmentation, T. stddev (or the predictor) and S. test loss of every complete point."""
        return tuple(
            (p.augmentation, p.t_stddev, p.test_loss)
            for p in self.complete
            if p.t_stddev is not None and p.test_loss is not None
        )

    def coordinates(self) -> tuple[Array, Array]:
        """T. stddev [n] and S. test loss [n] of the complete points."""
        cells = self.cells()
        return np.array([x.mean for _, x, _ in cells]), np.array([y.mean for _, _, y in cells])

    @property
    def correlation(self) -> Correlation:
        """Over the augmentations that have both values."""
        return correlate(*self.coordinates())


def in_order(augmentations: Iterable[str], order: Sequence[str] = AUGMENTATIONS) -> list[str]:
    """Distinct augmentations: those of an order, then the paper's in its own, then others by name."""
    distinct = set(augmentations)
    known = dict.fromkeys((*order, *AUGMENTATIONS))
    return [a for a in known if a in distinct] + sorted(distinct.difference(known))


def names_shown(panels: Sequence[Panel], augmentations: Iterable[str] | None = None) -> list[str]:
    """Augmentations as panels are to show them, which have one order; all of theirs if none are given."""
    if augmentations is None:
        augmentations = (point.augmentation for panel in panels for point in panel.points)
    return in_order(augmentations, panels[0].order if panels else AUGMENTATIONS)


_NEEDED = (
    *("fingerprint", "kind", "source", "dataset", "teacher", "student", "augmentation", "seed"),
    *("teacher_fingerprint", "cell", "student_cell", "common", "special", "is_of_all"),
    *("test_loss", "test_accuracy", "t_stddev"),
)
"""The columns that points are made of; rows of all columns take several times as long to cut up."""


def panels(
    rows: pd.DataFrame, planned: Planned = NOT_TOLD, predictor: Predictor = T_STDDEV
) -> list[Panel]:
    """All panels of a store's rows (`analysis.rows.read_rows`), sorted by data set, teacher and student.

    Args:
        rows: of a store.
        planned: which trials were planned together, where it is known; no panel is of trials that never were.
        predictor: what stands for T. stddev (`analysis.predictors`).
    """
    rows = rows_of(rows, predictor)
    teachers = of_teachers(rows)
    # Only where something was imported there is a `form`.
    needed = [*_NEEDED, *(["form"] if "form" in rows else [])]
    rows = with_settings(rows[rows["kind"] != "teacher"])[needed]
    students, stddevs = rows[rows["kind"] == "student"], rows[rows["kind"] == "stddev"]
    drafts: list[Panel] = []
    keys = ["dataset", "source", "teacher", "student", "teacher_fingerprint"]
    for (*_, fingerprint), of_pair in students.groupby(keys):
        of_teacher = stddevs[stddevs["teacher_fingerprint"] == fingerprint]
        for student, measured in pairings(units(of_pair, planned), units(of_teacher, planned)):
            setting = {"teacher_fingerprint": str(fingerprint), **setting_of(student, measured)}
            alike = measured.rows if measured else of_teacher.iloc[:0]
            draft = _draft(of_pair.iloc[0], student.rows, alike)
            drafts.append(
                replace(
                    draft,
                    hyperparameters=teachers.get(str(fingerprint), {}) | setting,
                    namings=planned.namings_of(student.rows["fingerprint"]),
                    predictor=predictor,
                )
            )
    named = [panel for source in (OWN, IMPORTED) for panel in _named(drafts, source)]
    return sorted(named, key=_place)


def _place(
    panel: "Panel",
) -> tuple[str, str, str, bool, list[tuple[str, bool, float, str]]]:
    own_first = panel.source != OWN
    setting = in_number_order(panel.hyperparameters)
    return panel.dataset, panel.teacher, panel.student, own_first, setting


def _draft(first: "pd.Series[Any]", students: pd.DataFrame, stddevs: pd.DataFrame) -> Panel:
    return Panel(
        dataset=str(first["dataset"]),
        teacher=str(first["teacher"]),
        student=str(first["student"]),
        variant="",
        source=str(first["source"]),
        teacher_fingerprint=str(first["teacher_fingerprint"]),
        points=tuple(_comparable_points(list(_points(students, stddevs)))),
    )


def _named(drafts: Sequence[Panel], source: str) -> Iterator[Panel]:
    mine = [draft for draft in drafts if draft.source == source]
    pairs = [(draft.dataset, draft.pair) for draft in mine]
    names = names_of([draft.hyperparameters for draft in mine], pairs)
    for draft, name in zip(mine, names, strict=True):
        yield replace(draft, variant=with_source(name, source))


def _points(students: pd.DataFrame, stddevs: pd.DataFrame) -> Iterator[Point]:
    for augmentation in in_order([*students["augmentation"], *stddevs["augmentation"]]):
        losses = students[(students["augmentation"] == augmentation) | students["is_of_all"]]
        alike = stddevs[stddevs["augmentation"] == augmentation]
        measured = alike[_belongs(alike, students, losses)]
        if len(losses) or len(measured):
            yield Point(
                augmentation,
                mean_of(losses, "test_loss"),
                mean_of(losses, "test_accuracy"),
                mean_of(measured, "t_stddev"),
            )


def _comparable_points(points: Sequence[Point]) -> Iterator[Point]:
    columns = [
        comparable([getattr(point, metric) for point in points])
        for metric in ("test_loss", "test_accuracy", "t_stddev")
    ]
    for point, (loss, accuracy, t_stddev) in zip(points, zip(*columns, strict=True), strict=True):
        yield replace(point, test_loss=loss, test_accuracy=accuracy, t_stddev=t_stddev)


def comparable(cells: Sequence[Mean | None]) -> list[Mean | None]:
    """The same cells of several augmentations, with means that a missing trial does not shift (`analysis.blocks`)."""
    filled = [cell for cell in cells if cell and cell.n]
    if len({cell.seeds for cell in filled}) < 2:
        return list(cells)
    means = iter(fit(filled).means)
    return [replace(c, mean=float(next(means))) if c and c.n else c for c in cells]


def _belongs(stddevs: pd.DataFrame, students: pd.DataFrame, losses: pd.DataFrame) -> "pd.Series":
    """Which T. stddev rows are of the teacher alone, or were picked by a student of this very cell.

    An imported one does not say which student it was: it belongs to all imported ones of its pair.
    """
    of_teacher = stddevs["student"].isna()
    of_cell = stddevs["student_cell"].isin(set(losses["cell"]))
    of_pair = (stddevs["source"] == IMPORTED) & stddevs["student"].isin(set(students["student"]))
    return of_teacher | of_cell | of_pair


def _mean(values: Array) -> float:
    """Nan without a value; of equal values exactly that."""
    if not len(values):
        return math.nan
    return float(values[0] + (values - values[0]).mean())


def mean_of(rows: pd.DataFrame, column: str) -> Mean | None:
    """The cell that rows of different seeds make; None without a row that tells of it."""
    if "form" in rows:
        # A table of other software may leave out what it does not know; nothing diverged there.
        rows = rows[~((rows["form"] == "table") & rows[column].isna())]
    if rows.empty:
        return None
    is_finite = np.isfinite(rows[column].to_numpy(dtype=np.float64))
    finite, undefined = rows[is_finite].sort_values("seed"), rows[~is_finite]
    values = finite[column].to_numpy(dtype=np.float64)
    return Mean(
        mean=_mean(values),
        std=float(values.std(ddof=1)) if len(values) > 1 else math.nan,
        seeds=tuple(int(seed) for seed in finite["seed"]),
        values=tuple(map(float, values)),
        fingerprints=tuple(map(str, finite["fingerprint"])),
        undefined=tuple(map(str, undefined["fingerprint"])),
    )
