"""What of a teacher may predict S. test loss: T. stddev, and what else was measured (docs/predictors.md).

A panel is of one predictor. Which one is decided on the rows, before anything is made of them:

    panels(rows_of(rows, chosen(rows, "entropy")), predictor=chosen(rows, "entropy"))

so a cell, a coefficient, a regret mean the same of each. Every predictor has a direction, fixed before anything was
measured: whether lower or higher values should go with a lower loss.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from trainer.problems import UserError, did_you_mean

if TYPE_CHECKING:
    from analysis.points import Mean

VALUE, STANDARD_ERROR = "t_stddev", "t_stddev_stderr"
"""The columns of rows in which the chosen predictor stands."""

OWN_KIND = "predictor"
"""The kind of trials that measure a predictor of one's own."""


@dataclass(frozen=True)
class Predictor:
    """`name` is what options and columns call it, `title` what tables do."""

    name: str
    title: str
    lower_is_better: bool = True
    is_own: bool = False

    @property
    def best(self) -> str:
        """The end of its scale from which one would choose."""
        return "lowest" if self.lower_is_better else "highest"

    @property
    def sign(self) -> float:
        """That of its coefficient, where it does what is expected of it: 1 or -1."""
        return 1.0 if self.lower_is_better else -1.0


T_STDDEV = Predictor("t_stddev", "T. stddev")
BUILT_IN = (
    T_STDDEV,
    Predictor("entropy", "T. entropy", lower_is_better=False),
    Predictor("confidence", "T. confidence"),
    Predictor("covariance_trace", "T. covariance trace"),
)


def measured(rows: pd.DataFrame) -> tuple[Predictor, ...]:
    """The predictors that any row has a value of, kdsweep's own first, then a researcher's by name."""
    stddevs = rows[rows["kind"] == "stddev"]
    found = [p for p in BUILT_IN if p.name in stddevs and stddevs[p.name].notna().any()]
    return (*found, *_own(rows))


def _own(rows: pd.DataFrame) -> list[Predictor]:
    own = rows[rows["kind"] == OWN_KIND]
    found = []
    for name, group in own.groupby("predictor"):
        # Of several versions of a file, the last that finished says it.
        last = group.sort_values("finished_at").iloc[-1]
        lower = bool(last["predictor_lower_is_better"])
        found.append(Predictor(str(name), str(name), lower_is_better=lower, is_own=True))
    return found


def chosen(rows: pd.DataFrame, name: str) -> Predictor:
    """The predictor of a name.

    Raises:
        UserError: it is neither kdsweep's nor one that was measured.
    """
    known = {p.name: p for p in (*BUILT_IN, *_own(rows))}
    if name not in known:
        raise UserError(f"--predictor {name}: unknown predictor{did_you_mean(name, list(known))}")
    return known[name]


def rows_of(rows: pd.DataFrame, predictor: Predictor) -> pd.DataFrame:
    """The rows with one predictor in the place of T. stddev; without the measurements that have no value of it."""
    if predictor == T_STDDEV:
        return rows
    is_other = rows["kind"].isin(["stddev", OWN_KIND])
    if predictor.is_own:
        mine = (rows["kind"] == OWN_KIND) & (rows["predictor"] == predictor.name)
        column, error = "predictor_value", "predictor_stderr"
    else:
        column, error = predictor.name, f"{predictor.name}_stderr"
        mine = (rows["kind"] == "stddev") & rows[column].notna()
    kept = rows[mine | ~is_other]
    is_measured = kept["kind"].isin(["stddev", OWN_KIND])
    return kept.assign(
        kind=kept["kind"].mask(is_measured, "stddev"),
        **{VALUE: kept[column], STANDARD_ERROR: kept[error]},
    )


def lowest_first(cells: "tuple[Mean, ...]", predictor: Predictor) -> "tuple[Mean, ...]":
    """The cells as who chooses sees them: of a predictor that should be high, negative."""
    if predictor.lower_is_better:
        return cells
    return tuple(
        replace(cell, mean=-cell.mean, values=tuple(-value for value in cell.values))
        for cell in cells
    )
