"""The numbers that are told of a point: each has one name, one title and one way to be written, wherever it stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.points import Mean, Panel, Point
from analysis.predictors import T_STDDEV as USUAL
from analysis.predictors import Predictor
from trainer.problems import UserError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """A number of a point. `column` is what it is called in a store's rows, and so in a `Point`."""

    name: str
    title: str
    column: str
    digits: int
    scale: float
    lower_is_better: bool

    def of(self, point: Point | None) -> Mean | None:
        mean: Mean | None = getattr(point, self.column) if point else None
        return mean

    def number(self, value: float) -> str:
        """`1.2345`."""
        return f"{self.scale * value:z.{self.digits}f}"

    def cell(self, mean: Mean) -> str:
        """`1.2345 ± 0.0012`; without the second part where there is one seed only."""
        spread = "" if math.isnan(mean.std) else f" ± {self.number(mean.std)}"
        return self.number(mean.mean) + spread


S_TEST_LOSS = Metric("s_test_loss", "S. test loss", "test_loss", 4, 1.0, lower_is_better=True)
S_ACCURACY = Metric("s_accuracy", "S. accuracy %", "test_accuracy", 2, 100.0, lower_is_better=False)


def metric_of(predictor: Predictor) -> Metric:
    """The numbers of a predictor."""
    lower = predictor.lower_is_better
    return Metric(predictor.name, predictor.title, "t_stddev", 6, 1.0, lower_is_better=lower)


T_STDDEV = metric_of(USUAL)
METRICS = (S_TEST_LOSS, S_ACCURACY, T_STDDEV)


def metrics_of(panels: Sequence[Panel]) -> tuple[Metric, ...]:
    """What is told of the points of panels, which have one predictor."""
    return (S_TEST_LOSS, S_ACCURACY, metric_of(panels[0].predictor if panels else USUAL))


CORRELATION = "correlation"
REGRET = "regret"


def names_with(predictor: Predictor) -> tuple[str, ...]:
    """All that `--metric` can name beside a predictor."""
    columns = (metric.name for metric in (S_TEST_LOSS, S_ACCURACY, metric_of(predictor)))
    return (*columns, CORRELATION, REGRET)


METRIC_NAMES = names_with(USUAL)


def check_metrics(names: Sequence[str], predictor: Predictor = USUAL) -> None:
    """Raises UserError if a name is no metric."""
    known = names_with(predictor)
    for name in names:
        if name not in known:
            raise UserError(f"--metric {name}: unknown metric{did_you_mean(name, known)}")
