"""kdsweep for notebooks and scripts: plan a sweep, read a store, correlate.

    import kdsweep

    sweep = kdsweep.load_sweep("quickstart")
    store = kdsweep.Store("kdsweep-store")
    plan = kdsweep.plan(sweep, store)
    for panel in kdsweep.panels(store, sweep):
        print(panel.title, kdsweep.correlate(*panel.coordinates()))

Neither torch nor Ray is imported. docs/python.md has a page of it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.correlations import Correlation, correlate
from analysis.evidence import Findings, weigh
from analysis.metrics import METRIC_NAMES
from analysis.points import Mean, Panel, Point
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import Plan, expand
from orchestrator.store.store import Store
from trainer.problems import UserError
from trainer.trial import PredictorTrial, StddevTrial, StudentTrial, TeacherTrial, Trial

if TYPE_CHECKING:
    import pandas

__all__ = [
    "Correlation",
    "Findings",
    "Mean",
    "Panel",
    "Plan",
    "Point",
    "PredictorTrial",
    "StddevTrial",
    "Store",
    "StudentTrial",
    "Sweep",
    "TeacherTrial",
    "Trial",
    "UserError",
    "correlate",
    "expand",
    "load_sweep",
    "panels",
    "panels_from",
    "plan",
    "tables",
    "weigh",
]


def plan(sweep: Sweep, store: Store) -> Plan:
    """A sweep against what a store has: `plan.trials`, `plan.done`, `plan.missing`, `plan.failed`.

    Raises:
        UserError: images of one's own are missing or wrong, or the store is damaged.
    """
    from orchestrator.planning.lost_weights import as_far_as_known
    from orchestrator.planning.plan import make_plan

    return as_far_as_known(make_plan(sweep, store, retry_failed=False), store)


def panels(
    store: Store,
    sweep: Sweep | None = None,
    filters: Sequence[str] = (),
    predictor: str = "t_stddev",
) -> list[Panel]:
    """The panels of a store: per pair and setting, the points that a scatter plot shows.

    Args:
        store: where the results are.
        sweep: only its trials; None: all, and what was imported.
        filters: as `--filter` has them: `["dataset=cifar100", "augmentation!=mixup,cutmix*"]`.
        predictor: what stands in the place of T. stddev: kdsweep's, or one of your own (docs/predictors.md).

    Raises:
        UserError: a filter is none, or names something that no row has; or there is no such predictor.
    """
    from analysis.combinations import Planned
    from analysis.filters import parse_filters
    from analysis.points import panels as panels_of
    from analysis.predictors import chosen
    from analysis.rows import read_rows
    from orchestrator.planning.guests import only_read
    from orchestrator.planning.kept_sweeps import of_sweeps, planned_together

    trials = None if sweep is None else expand(sweep, guests=only_read)
    rows = read_rows(store, parse_filters(filters), trials)
    told = of_sweeps([(sweep, trials)]) if sweep and trials else planned_together(store)
    return panels_of(rows, Planned(*told), chosen(rows, predictor))


def panels_from(
    table: "pandas.DataFrame",
    columns: Mapping[str, str] | None = None,
    predictor: str = "t_stddev",
) -> list[Panel]:
    """The panels of a table of results from anywhere; no store is needed.

    Args:
        table: one row per run, with the columns that `kdsweep import-table` reads (docs/imports.md): dataset,
            teacher, student, augmentation, seed, s_test_loss, s_accuracy, t_stddev, predictor.NAME. Others are
            ignored.
        columns: the table's names -> these, where it has others: `{"loss": "s_test_loss"}`.
        predictor: what stands in the place of T. stddev, as the NAME of `predictor.NAME`.

    Raises:
        UserError: a column is missing, a row cannot be, one line each; or there is no such predictor.
    """
    from analysis.points import panels as panels_of
    from analysis.predictors import chosen
    from analysis.rows import rows_without_a_store
    from orchestrator.upkeep.importing_tables import in_memory

    rows = rows_without_a_store(in_memory(table, columns or {}))
    return panels_of(rows, predictor=chosen(rows, predictor))


def tables(
    panels: Sequence[Panel], findings: Findings, metrics: Sequence[str] = METRIC_NAMES
) -> str:
    """Result tables and correlations in Markdown, as `kdsweep table --format markdown` prints them.

    Args:
        panels: what is shown.
        findings: what `weigh(panels)` makes of them.
        metrics: any of `s_test_loss`, `s_accuracy`, `t_stddev`, `correlation`.

    Raises:
        UserError: a metric is unknown.
    """
    from analysis.formats import markdown
    from analysis.metrics import check_metrics
    from analysis.tables import table_grids

    check_metrics(metrics)
    return markdown(table_grids(panels, findings, metrics))
