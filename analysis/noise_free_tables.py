"""The table of coefficients without seed noise: a row per panel, and one per pool below (`analysis.attenuation`)."""

import math
from collections.abc import Iterator
from dataclasses import replace

from analysis.attenuation import LOW_RELIABILITY, Reliability, WithoutNoise
from analysis.bootstrap import LEVEL
from analysis.coefficients import NAMES
from analysis.correlation_tables import LEAST, interval, number
from analysis.evidence import Evidence, Findings
from analysis.grid import DASH, Entry, Grid, Row
from analysis.pooling import Pooled


def noise_free_grids(findings: Findings) -> Iterator[Grid]:
    """The table, where the noise of a panel is known."""
    if not any(e.tells_of_noise and e.n >= LEAST for e in findings.evidence):
        return
    rows = [
        _row(evidence.panel.title, evidence, _shares(evidence.reliability))
        for evidence in findings.evidence
    ]
    for i, pooled in enumerate(findings.pooled):
        row = _row(f"pooled: {pooled.group}", pooled, "low" if pooled.is_low_reliability else "")
        rows.append(replace(row, begins_section=i == 0))
    yield Grid(
        title="Without seed noise: coefficients and reliabilities",
        corner="panel",
        headings=(*(n.capitalize() for n in NAMES), f"R of {findings.predictor.title}, loss"),
        rows=tuple(rows),
        notes=tuple(_notes(findings)),
    )


def _row(heading: str, group: Evidence | Pooled, shares: str) -> Row:
    told = [free_of_noise(group.estimates[name].without_noise) for name in NAMES]
    return Row(heading, tuple(map(Entry, (*told, shares))))


def _shares(found: Reliability) -> str:
    return f"{number(found.t_stddev, 3)}, {number(found.s_test_loss, 3)}"


def free_of_noise(found: WithoutNoise) -> str:
    """`0.969 (0.951 to 0.982)`, with a word where it is cut to 1; a dash where it is undefined."""
    if math.isnan(found.value):
        return DASH
    reach = f" ({interval(found.interval)})" if math.isfinite(found.interval.low) else ""
    # A mean that holds a clipped coefficient may be below 1 itself.
    clipped = ", clipped" if abs(found.value) == 1 else ", one clipped"
    return f"{found.value:z.3f}{reach}" + (clipped if found.is_clipped else "")


def _notes(findings: Findings) -> Iterator[str]:
    yield (
        f"what infinitely many seeds would show of these augmentations, in brackets {LEVEL:.0%}; R: the share of the "
        "variance of the means that is no noise"
    )
    groups: tuple[Evidence | Pooled, ...] = (*findings.evidence, *findings.pooled)
    shown = [estimate.without_noise for group in groups for estimate in group.estimates.values()]
    if any(found.is_clipped for found in shown):
        yield "clipped: it, or one that it is the mean of, would pass 1"
    low = sum(evidence.reliability.is_low for evidence in findings.evidence)
    if low:
        yield (
            f"{low} of {len(findings.evidence)} panels have an R below {LOW_RELIABILITY:g}: what is told of them, and of "
            "pools with them (low), hangs on how well the noise is known"
        )
