"""Everything a store says in tables: results per group, correlations, regret, pooled estimates; and as JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from analysis.coefficients import NAMES
from analysis.correlation_tables import LEAST, correlation_grids, p_equals
from analysis.correlations import Correlation
from analysis.evidence import Evidence, Findings
from analysis.grid import Grid
from analysis.metrics import CORRELATION, METRIC_NAMES, REGRET, metrics_of
from analysis.noise_free_tables import noise_free_grids
from analysis.points import Panel
from analysis.pooling import Pooled
from analysis.predictors import T_STDDEV, Predictor
from analysis.regret_tables import regret_grids
from analysis.result_tables import result_grids, teacher_grids
from analysis.teachers import Measured


def table_grids(
    panels: Sequence[Panel],
    findings: Findings,
    metrics: Sequence[str] = METRIC_NAMES,
    group_by: Sequence[str] = ("dataset",),
    teachers: Sequence[Measured] = (),
) -> list[Grid]:
    """Result tables of the chosen metrics, T. stddev of teachers without students, correlations, regret."""
    grids = list(result_grids(panels, metrics, group_by))
    if _predictor_of(panels, teachers).name in metrics:
        grids += teacher_grids(teachers, group_by)
    most = max((evidence.n for evidence in findings.evidence), default=LEAST)
    if CORRELATION in metrics and (most >= LEAST or not grids):
        grids += [*correlation_grids(findings), *noise_free_grids(findings)]
    elif CORRELATION in metrics:
        grids[-1] = replace(
            grids[-1], notes=(*grids[-1].notes, no_correlation(most, findings.predictor))
        )
    if REGRET in metrics:
        grids += regret_grids(findings)
    return grids


def _predictor_of(panels: Sequence[Panel], teachers: Sequence[Measured]) -> Predictor:
    found = [*(panel.predictor for panel in panels), *(one.predictor for one in teachers)]
    return found[0] if found else T_STDDEV


def all_alike(predictor: Predictor) -> str:
    """Why many points may have no correlation."""
    return f"all augmentations have the same {predictor.title}, or the same S. test loss"


def no_correlation(n: int, predictor: Predictor = T_STDDEV) -> str:
    """Why there is none, of so many augmentations with both values."""
    if n < LEAST:
        return f"no correlation yet: {n} augmentations have both values, {LEAST} are needed"
    return f"no correlation: {all_alike(predictor)}"


def coefficient_lines(
    correlation: Correlation,
    p: Sequence[float] | None = None,
    predictor: Predictor = T_STDDEV,
) -> list[str]:
    """A line per coefficient, with a p-value and n: those of a permutation test if given, else as printed."""
    n = correlation.n
    if math.isnan(correlation.pearson):
        return [no_correlation(n, predictor)]
    shown = p if p is not None else [getattr(correlation, f"{name}_p") for name in NAMES]
    return [
        f"{name.capitalize():8} {getattr(correlation, name):z7.4f}  {p_equals(value)}  n = {n}"
        for name, value in zip(NAMES, shown, strict=True)
    ]


def as_json(
    panels: Sequence[Panel],
    findings: Findings,
    metrics: Sequence[str] = METRIC_NAMES,
    teachers: Sequence[Measured] = (),
) -> dict[str, Any]:
    """Panels with their points, correlations, evidence and regret, teachers without students, pooled estimates.

    Values that are undefined are None; what is of no chosen metric is left out.
    """
    shown = [_panel_as_json(panel, metrics) for panel in panels]
    written_out: dict[str, Any] = {"panels": shown}
    if _predictor_of(panels, teachers).name in metrics:
        written_out["teachers"] = [_teacher_as_json(teacher) for teacher in teachers]
    if CORRELATION in metrics or REGRET in metrics:
        by_panel = {id(evidence.panel): evidence for evidence in findings.evidence}
        for panel, written in zip(panels, shown, strict=True):
            evidence = by_panel[id(panel)]
            if CORRELATION in metrics:
                written.update(_evidence_as_json(evidence))
            if REGRET in metrics:
                written["regret"] = evidence.regret and plain(asdict(evidence.regret))
        written_out["pooled"] = [_pooled_as_json(pooled, metrics) for pooled in findings.pooled]
        written_out["num_tests"] = findings.num_tests
        written_out["bootstrap"] = asdict(findings.bootstrap)
    return written_out


def _pooled_as_json(pooled: Pooled, metrics: Sequence[str]) -> dict[str, Any]:
    written: dict[str, Any] = plain(asdict(pooled))
    for metric, key in ((CORRELATION, "estimates"), (REGRET, "regret")):
        if metric not in metrics:
            del written[key]
    return written


def _panel_as_json(panel: Panel, metrics: Sequence[str]) -> dict[str, Any]:
    written: dict[str, Any] = plain(asdict(panel)) | {"predictor": panel.predictor.name}
    for point in written["points"]:
        for metric in metrics_of([panel]):
            cell = point.pop(metric.column)
            if metric.name in metrics:
                # A predictor stands in the place of T. stddev, but under its own name.
                is_predictor = metric.name == panel.predictor.name
                point[metric.name if is_predictor else metric.column] = cell
    return written


def _teacher_as_json(teacher: Measured) -> dict[str, Any]:
    return {
        "dataset": teacher.dataset,
        "teacher": teacher.teacher,
        "variant": teacher.variant,
        "source": teacher.source,
        "predictor": teacher.predictor.name,
        teacher.predictor.name: {n: plain(asdict(cell)) for n, cell in teacher.cells().items()},
    }


def _evidence_as_json(evidence: Evidence) -> dict[str, Any]:
    estimates = {name: asdict(estimate) for name, estimate in evidence.estimates.items()}
    for estimate in estimates.values():
        moves = zip(evidence.augmentations, estimate["influence"], strict=True)
        estimate["influence"] = dict(moves)
    return {
        "correlation": plain(asdict(evidence.panel.correlation)),
        "evidence": {
            "is_exact": evidence.is_exact,
            "families": [plain(asdict(family)) for family in evidence.families],
            "reliability": plain(
                {
                    evidence.panel.predictor.name: evidence.reliability.t_stddev,
                    "s_test_loss": evidence.reliability.s_test_loss,
                }
            ),
            **plain(estimates),
        },
    }


def plain(value: Any) -> Any:
    """The same as JSON can hold it: lists for tuples, None for NaN."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value
