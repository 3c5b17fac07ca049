"""The numbers that are told of a point: each has one name, one title and one way to be written, wherever it stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.points import Mean, Point
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
T_STDDEV = Metric("t_stddev", "T. stddev", "t_stddev", 6, 1.0, lower_is_better=True)
METRICS = (S_TEST_LOSS, S_ACCURACY, T_STDDEV)
CORRELATION = "correlation"
REGRET = "regret"
METRIC_NAMES = (*(metric.name for metric in METRICS), CORRELATION, REGRET)


def check_metrics(names: Sequence[str]) -> None:
    """Raises UserError if a name is no metric."""
    for name in names:
        if name not in METRIC_NAMES:
            raise UserError(f"--metric {name}: unknown metric{did_you_mean(name, METRIC_NAMES)}")
