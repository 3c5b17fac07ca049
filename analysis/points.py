"""From rows to the points of a scatter plot.

A *cell* is the mean over trials that differ in the seed only. A point joins a student cell (S. test loss) with
the stddev cell (T. stddev) of the same teacher, told by its fingerprint, and the same augmentation;
cutmixpick_s, whose T. stddev depends on the student, also by the student's cell.

    panels(store.results()) -> one Panel per teacher, student and set of hyper-parameters
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.correlations import Correlation, correlate
from trainer.catalog import AUGMENTATIONS
from trainer.trial import TRIAL, digest


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
    students = rows[rows["kind"] == "student"].copy()
    stddevs = rows[rows["kind"] == "stddev"]
    if students.empty:
        return []
    students["setting"] = [_setting(trial) for trial in students["trial"]]
    found = []
    for (dataset, teacher, student), of_pair in students.groupby(["dataset", "teacher", "student"]):
        settings = list(of_pair.groupby(["teacher_fingerprint", "setting"]))
        for (teacher_fingerprint, setting), of_setting in settings:
            of_teacher = stddevs[stddevs["teacher_fingerprint"] == teacher_fingerprint]
            measurements = list(_measurements(of_teacher))
            for measurement, measured in measurements:
                several = len(settings) > 1 or len(measurements) > 1
                marks = digest([teacher_fingerprint, setting, measurement])[:8]
                points = tuple(_points(of_setting, measured))
                variant = marks if several else ""
                found.append(Panel(str(dataset), str(teacher), str(student), variant, points))
    return found


def _setting(trial: str) -> str:
    """Everything of a student's identity but augmentation, seed and what acts in some schemes only."""
    identity = TRIAL.validate_json(trial).identity
    dropped = {"augmentation", "seed", "pick_size"}
    return digest({key: value for key, value in identity.items() if key not in dropped})


def _measurements(stddevs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """T. stddev rows that were measured alike; one empty set where there are none."""
    if stddevs.empty:
        yield "", stddevs
        return
    dropped = {"augmentation", "seed", "pick_size", "student", "student_fingerprint"}
    keys = [
        digest({k: v for k, v in TRIAL.validate_json(t).identity.items() if k not in dropped})
        for t in stddevs["trial"]
    ]
    for key, measured in stddevs.groupby(np.asarray(keys)):
        yield str(key), measured


def _points(students: pd.DataFrame, stddevs: pd.DataFrame) -> Iterator[Point]:
    for augmentation in AUGMENTATIONS:
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


def _mean(rows: pd.DataFrame, column: str) -> Mean | None:
    if rows.empty:
        return None
    ordered = rows.sort_values("seed")
    values: Any = ordered[column].to_numpy(dtype=np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Mean(float(values.mean()), std, _seeds(ordered["seed"].tolist()))


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(seed) for seed in seeds)
