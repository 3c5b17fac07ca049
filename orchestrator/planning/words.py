"""Jobs, spans of time and figures in words, as plans, runs and jobs all say them."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.trial import Trial


def describe(trials: Sequence[Trial]) -> str:
    """A job in a few words: `9 students resnet20/resnet8 seed 0`."""
    first = trials[0]
    same_student = all(trial.student == first.student for trial in trials)
    models = f"{first.teacher}/{first.student}" if first.student and same_student else first.teacher
    if len(trials) == 1:
        what = first.kind + (f" {first.augmentation}" if first.augmentation else "")
    else:
        plural = {"student": "students", "stddev": "T. stddev", "teacher": "teachers"}
        what = f"{len(trials)} {plural[first.kind]}"
    return f"{what} {models} on {first.dataset}, seed {first.seed}"


def duration(seconds: float) -> str:
    """`1:02:03` or `02:03`."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


@dataclass(frozen=True)
class Unit:
    """A unit of time in which figures are neither tiny nor huge."""

    name: str
    per_hour: float

    def number(self, hours: float) -> str:
        return f"{hours * self.per_hour:,.1f}"

    def span(self, hours: float) -> str:
        """`5.8 h`."""
        return f"{self.number(hours)} {self.name}"


def unit_of(hours: float) -> Unit:
    """Hours, minutes or seconds, whichever the longest of some spans is readable in."""
    if hours >= 1:
        return Unit("h", 1)
    return Unit("min", 60) if hours >= 1 / 60 else Unit("s", 3600)


def span(hours: float) -> str:
    """A length of time by itself: `5.8 h`."""
    return unit_of(hours).span(hours)


def rounded(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
