"""T. stddev against S. test loss, one point per augmentation: the paper's Figure 1b."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.coefficients import NAMES
from analysis.correlation_tables import number, p_equals
from analysis.evidence import Estimate, Evidence, Findings
from analysis.grid import Record, finite
from analysis.marks import Mark, marks
from analysis.plots.canvas import (
    bar,
    entitle,
    hide_rest,
    label,
    legend_of,
    new_figure,
    save,
    style_of,
    write_above,
)
from analysis.plots.sheet import Sheet
from analysis.points import names_shown
from analysis.pooling import PooledEstimate
from analysis.tables import coefficient_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
SIZE, SIZE_IN_GRID = (4.9, 4.2), (3.6, 2.9)
"""Of one panel, in inches."""

BARS = "bars: ± 1 std over seeds"
S_TEST_LOSS = "S. test loss"

LETTERS = ("r", "\N{GREEK SMALL LETTER RHO}", "\N{GREEK SMALL LETTER TAU}")
"""Of the coefficients, where a panel is flat."""

TALL_ENOUGH = 1.25
"""Inches of a printed panel that has room for a line per coefficient, with its p."""


def scatter_numbers(findings: Findings) -> Iterator[Record]:
    """A record per point, of the means and what the bars are; then one per coefficient."""
    shown = _drawable(findings)
    for evidence in shown:
        predictor = evidence.panel.predictor.name
        for name, x, y in evidence.panel.cells():
            yield {
                "table": "points",
                **evidence.panel.names,
                "augmentation": name,
                predictor: x.mean,
                f"{predictor}_std": finite(x.std),
                f"{predictor}_n": x.n,
                "s_test_loss": y.mean,
                "s_test_loss_std": finite(y.std),
                "s_test_loss_n": y.n,
            }
    for evidence in shown:
        for name, estimate in evidence.estimates.items():
            yield {
                "table": "coefficients",
                **evidence.panel.names,
                "coefficient": name,
                "value": finite(estimate.value),
                "p": finite(estimate.p),
                "n": evidence.n,
            }


def draw_scatter(findings: Findings, path: Path, sheet: Sheet) -> None:
    """One panel per pair with its coefficients; raises ValueError if there is nothing to draw."""
    shown = _drawable(findings)
    looks = marks(_names(shown))
    layout = sheet.layout(len(shown), COLUMNS, SIZE)
    note = _note(shown, layout.size[1], sheet)
    figure, axes = new_figure(layout, sheet, list(looks), note)
    flat = [ax for row in axes for ax in row]
    for evidence, ax in zip(shown, flat, strict=False):
        _draw(evidence, ax, looks, layout.size, sheet)
    label(flat[: len(shown)], figure, findings.predictor.title, S_TEST_LOSS, sheet)
    hide_rest(flat, len(shown))
    legend_of(figure, list(looks), sheet, note)
    save(figure, path, sheet)


def draw_grid(findings: Findings, path: Path, sheet: Sheet) -> None:
    """Rows pairs, columns data sets, one legend; raises ValueError if there is nothing to draw."""
    shown = _drawable(findings)
    looks = marks(_names(shown))
    datasets = list(dict.fromkeys(e.panel.dataset for e in shown))
    pairs = list(dict.fromkeys(e.panel.column for e in shown))
    layout = sheet.rows_of(len(pairs), len(datasets), SIZE_IN_GRID)
    note = _note(shown, layout.size[1], sheet)
    figure, axes = new_figure(layout, sheet, list(looks), note)
    evidence_at = {(e.panel.column, e.panel.dataset): e for e in shown}
    for i, pair in enumerate(pairs):
        for j, dataset in enumerate(datasets):
            evidence, ax = evidence_at.get((pair, dataset)), axes[i][j]
            if evidence is None:
                ax.set_axis_off()
                ax.text(0.5, 0.5, "missing", ha="center", va="center", transform=ax.transAxes)
            else:
                _draw(evidence, ax, looks, layout.size, sheet)
    figure.supxlabel(findings.predictor.title, fontsize="medium")
    figure.supylabel(S_TEST_LOSS, fontsize="medium")
    legend_of(figure, list(looks), sheet, note)
    save(figure, path, sheet)


def _drawable(findings: Findings) -> list[Evidence]:
    shown = [evidence for evidence in findings.evidence if evidence.panel.complete]
    if not shown:
        raise ValueError("nothing to draw")
    return shown


def _names(drawn: Sequence[Evidence]) -> list[str]:
    names = (name for evidence in drawn for name in evidence.augmentations)
    return names_shown([evidence.panel for evidence in drawn], names)


def _note(shown: Sequence[Evidence], height: float, sheet: Sheet) -> str:
    """In print panels have no room for n: it stands below, once."""
    if not sheet.is_print:
        return BARS
    counts = sorted({evidence.n for evidence in shown})
    n = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    named = f"\n{', '.join(LETTERS)}: Pearson, Spearman, Kendall"
    return f"{BARS}; n = {n}" + (named if height < TALL_ENOUGH else "")


def _draw(
    evidence: Evidence,
    ax: "Axes",
    looks: Mapping[str, Mark],
    size: tuple[float, float],
    sheet: Sheet,
) -> None:
    """`looks` are those of the whole figure: a panel may lack some of its augmentations."""
    for name, x, y in evidence.panel.cells():
        ax.errorbar(
            x.mean,
            y.mean,
            xerr=bar(x.std),
            yerr=bar(y.std),
            linestyle="",
            markeredgecolor="white",
            markeredgewidth=0.3 if sheet.is_print else 0.6,
            elinewidth=0.6 if sheet.is_print else 1,
            capsize=1 if sheet.is_print else 2,
            label=name,
            **style_of(looks[name], 4 if sheet.is_print else 8),
        )
    entitle(ax, evidence.panel.title, size[0], sheet)
    ax.ticklabel_format(axis="x", style="plain", useOffset=False)
    ax.locator_params(axis="x", nbins=max(3, round(size[0])))
    if sheet.is_print:
        ax.locator_params(axis="y", nbins=4)
    ax.margins(0.08)
    write_above(ax, _lines(evidence, size[1], sheet), size[1], sheet)


def _lines(evidence: Evidence, height: float, sheet: Sheet) -> list[str]:
    """The coefficients; in print, where a panel is small, with two digits, and in a flat one without p."""
    estimates = evidence.estimates
    if not sheet.is_print or evidence.n < 3:
        p = [estimate.p for estimate in estimates.values()]
        return coefficient_lines(evidence.panel.correlation, p, evidence.panel.predictor)
    if height < TALL_ENOUGH:
        return [
            ", ".join(
                f"{letter} {number(estimates[name].value, 2)}"
                for letter, name in zip(LETTERS, NAMES, strict=True)
            )
        ]
    return coefficients_in_short(estimates)


def coefficients_in_short(
    estimates: Mapping[str, Estimate] | Mapping[str, PooledEstimate],
) -> list[str]:
    """A line each, of two digits and p."""
    return [
        f"{name.capitalize()} {number(estimate.value, 2)}, {p_equals(estimate.p)}"
        for name, estimate in estimates.items()
    ]
