"""From rows to the points of a scatter plot.

A *cell* is the mean over trials that differ in the seed only. A point joins a student cell (S. test loss) with
the stddev cell (T. stddev) of the same teacher, told by its fingerprint, and the same augmentation;
cutmixpick_s, whose T. stddev depends on the student, also by the student's cell.

    panels(store.results()) -> one Panel per teacher, student and set of hyper-parameters
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.correlations import Correlation, correlate
from analysis.settings import Setting, variants
from trainer.catalog import AUGMENTATIONS
from trainer.trial import digest


@dataclass(frozen=True)
class Mean:
    """Mean, unbiased standard deviation (nan for one value) and number of a cell's values, by seed."""

    mean: float
    std: float
    seeds: tuple[int, ...]

    @property
    def n(self) -> int:
        return len(self.seeds)


@dataclass(frozen=True)
class Point:
    """One augmentation of a panel; a part is None where the store has no such trial yet."""

    augmentation: str
    test_loss: Mean | None
    test_accuracy: Mean | None
    t_stddev: Mean | None

    @property
    def is_complete(self) -> bool:
        return self.test_loss is not None and self.t_stddev is not None


@dataclass(frozen=True)
class Panel:
    """The points of one pair on one data set, under one setting of everything else.

    `variant` tells panels of one pair apart; empty where there is only one.
    """

    dataset: str
    teacher: str
    student: str
    variant: str
    points: tuple[Point, ...]

    @property
    def pair(self) -> str:
        return f"{self.teacher}/{self.student}"

    @property
    def title(self) -> str:
        return f"{self.dataset} {self.pair}" + (f" ({self.variant})" if self.variant else "")

    @property
    def complete(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.is_complete)

    @property
    def correlation(self) -> Correlation:
        """Over the augmentations that have both values."""
        stddevs = [p.t_stddev.mean for p in self.complete if p.t_stddev]
        losses = [p.test_loss.mean for p in self.complete if p.test_loss]
        return correlate(stddevs, losses)


def panels(results: pa.Table) -> list[Panel]:
    """All panels of a store's result rows, sorted by data set, teacher and student."""
    rows = results.to_pandas()
    rows = rows[rows["kind"] != "teacher"]
    settings = [Setting.of(trial) for trial in rows["trial"]]
    rows = rows.assign(common=[s.common for s in settings], special=[s.special for s in settings])
    students, stddevs = rows[rows["kind"] == "student"], rows[rows["kind"] == "stddev"]
    found = []
    for (dataset, teacher, student), of_pair in students.groupby(["dataset", "teacher", "student"]):
        of_this_pair = []
        for (fingerprint, _), of_setting in of_pair.groupby(["teacher_fingerprint", "common"]):
            of_teacher = stddevs[stddevs["teacher_fingerprint"] == fingerprint]
            measurements = [m for _, m in of_teacher.groupby("common")] or [of_teacher]
            for measured in measurements:
                for losses, values in variants(of_setting, measured):
                    points = tuple(_points(losses, values))
                    marks = digest(sorted([*losses["cell"], *values["cell"]]))[:8]
                    of_this_pair.append((marks, points))
        for marks, points in of_this_pair:
            variant = marks if len(of_this_pair) > 1 else ""
            found.append(Panel(str(dataset), str(teacher), str(student), variant, points))
    return found


def _points(students: pd.DataFrame, stddevs: pd.DataFrame) -> Iterator[Point]:
    for augmentation in ordered({*students["augmentation"], *stddevs["augmentation"]}):
        losses = students[students["augmentation"] == augmentation]
        cells = set(losses["cell"])
        alike = stddevs[stddevs["augmentation"] == augmentation]
        measured = alike[alike["student_cell"].isna() | alike["student_cell"].isin(cells)]
        if len(losses) or len(measured):
            yield Point(
                augmentation,
                _mean(losses, "test_loss"),
                _mean(losses, "test_accuracy"),
                _mean(measured, "t_stddev"),
            )


def ordered(augmentations: Iterable[str]) -> list[str]:
    """The paper's in its order, then the others by name."""
    names = set(augmentations)
    return [n for n in AUGMENTATIONS if n in names] + sorted(names.difference(AUGMENTATIONS))


def _mean(rows: pd.DataFrame, column: str) -> Mean | None:
    if rows.empty:
        return None
    ordered = rows.sort_values("seed")
    values: Any = ordered[column].to_numpy(dtype=np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Mean(float(values.mean()), std, _seeds(ordered["seed"].tolist()))


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(seed) for seed in seeds)
