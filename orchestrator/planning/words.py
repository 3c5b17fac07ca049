"""Jobs, spans of time and figures in words, as plans, runs and jobs all say them."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.language.resources import SECTIONS, job_kind
from orchestrator.language.variations import OPTION
from trainer.trial import Trial


def describe(trials: Sequence[Trial], varied: Collection[str] = ()) -> str:
    """A job in a few words: `9 students resnet20/resnet8 on cifar100, seed 0`.

    Of the hyper-parameters that are `varied` in a sweep, those are told that all its trials have in common:
    `..., seed 0, precision=bf16`.
    """
    first = trials[0]
    same_student = all(trial.student == first.student for trial in trials)
    models = f"{first.teacher}/{first.student}" if first.student and same_student else first.teacher
    if len(trials) == 1:
        name = first.predictor if first.kind == "predictor" else first.kind
        what = name + (f" {first.augmentation}" if first.augmentation else "")
    else:
        plural = {"student": "students", "stddev": "T. stddev", "teacher": "teachers"}
        counts = Counter(plural.get(trial.kind, "predictors") for trial in trials)
        what = " and ".join(f"{count} {word}" for word, count in counts.items())
    settings = "".join(f", {name}={value}" for name, value in _in_common(trials, varied))
    return f"{what} {models} on {first.dataset}, seed {first.seed}{settings}"


def _in_common(trials: Sequence[Trial], varied: Collection[str]) -> Iterator[tuple[str, object]]:
    section = SECTIONS[job_kind(trials[0])]
    for key in varied:
        of, _, name = key.rpartition(".")
        if key.startswith(OPTION):
            of, values = (
                "student",
                {dict(t.method_options).get(name) for t in trials if t.kind == "student"},
            )
        else:
            values = {getattr(trial, name, None) for trial in trials}
        if of in ("", section) and len(values) == 1 and (value := values.pop()) is not None:
            yield name, value


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
    """The unit, from hours to milliseconds, that the longest of some spans is readable in."""
    if hours >= 1:
        return Unit("h", 1)
    if hours >= 1 / 60:
        return Unit("min", 60)
    return Unit("ms", 3.6e6) if 0 < hours < 0.1 / 3600 else Unit("s", 3600)


def span(hours: float) -> str:
    """A length of time by itself: `5.8 h`."""
    return unit_of(hours).span(hours)


def rounded(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
