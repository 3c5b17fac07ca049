"""Learning curves: a line per augmentation, its seeds between lowest and highest."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.curves import Curve, in_windows
from analysis.grid import Record
from analysis.marks import marks
from analysis.plots.canvas import entitle, hide_rest, label, legend_of, new_figure, save, style_of
from analysis.plots.sheet import Sheet
from analysis.points import Panel, names_shown

COLUMNS = 3
SIZE = (4.6, 3.4)
"""Of one panel, in inches."""

WINDOWS = 24
"""Points of a line: while the learning rate is high, losses jump by more from epoch to epoch than they differ."""

DASHES = ("-", "--", "-.")
"""Taken in turn, so that neighbours differ without colours, too."""

Shown = Sequence[tuple[Panel, Sequence[Curve]]]


def reach(lines: Sequence[Curve]) -> tuple[float, float]:
    """Between which losses curves are shown: the first epochs, far above, would flatten everything else."""
    late = [slice(len(line.epochs) // 8, None) for line in lines]
    low = min(float(line.low[part].min()) for line, part in zip(lines, late, strict=True))
    high = max(float(line.high[part].max()) for line, part in zip(lines, late, strict=True))
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    return low - margin, high + margin


def drawn_lines(shown: Shown) -> list[tuple[Panel, list[Curve]]]:
    """The lines as they are drawn; raises ValueError if there is nothing to draw."""
    drawn = [
        (panel, [in_windows(line, WINDOWS) for line in lines]) for panel, lines in shown if lines
    ]
    if not drawn:
        raise ValueError("nothing to draw")
    return drawn


def curve_numbers(shown: Shown) -> Iterator[Record]:
    """A record per point of a line."""
    for panel, lines in drawn_lines(shown):
        for line in lines:
            for epoch, mean, low, high in zip(
                line.epochs, line.mean, line.low, line.high, strict=True
            ):
                yield {
                    "table": "curves",
                    **panel.names,
                    "augmentation": line.augmentation,
                    "epoch": float(epoch),
                    "mean": float(mean),
                    "low": float(low),
                    "high": float(high),
                    "n": line.n,
                }


def draw_curves(shown: Shown, path: Path, sheet: Sheet) -> None:
    """One panel per pair; raises ValueError if there is nothing to draw."""
    drawn = drawn_lines(shown)
    names = (line.augmentation for _, lines in drawn for line in lines)
    looks = marks(names_shown([panel for panel, _ in drawn], names))
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(looks)}
    note = _note(shown)
    layout = sheet.layout(len(drawn), COLUMNS, SIZE)
    figure, axes = new_figure(layout, sheet, list(looks), note)
    flat = [ax for row in axes for ax in row]
    for (panel, lines), ax in zip(drawn, flat, strict=False):
        for i, line in enumerate(lines):
            style = style_of(looks[line.augmentation], 2.5 if sheet.is_print else 4)
            ax.plot(
                line.epochs,
                line.mean,
                linestyle=dashes[line.augmentation],
                linewidth=0.7 if sheet.is_print else 1.2,
                markevery=(i % 4, 4),
                **style,
            )
            ax.fill_between(
                line.epochs, line.low, line.high, color=style["color"], alpha=0.08, linewidth=0
            )
        entitle(ax, panel.title, layout.size[0], sheet)
        ax.set_ylim(*reach(lines))
        ax.locator_params(axis="x", integer=True, nbins=5)
        ax.locator_params(axis="y", nbins=5)
    label(flat[: len(drawn)], figure, "epoch", "test loss", sheet)
    hide_rest(flat, len(drawn))
    legend_of(figure, list(looks), sheet, note)
    save(figure, path, sheet)


def _note(shown: Shown) -> str:
    """What lines and bands are."""
    longest = max(len(line.epochs) for _, lines in shown for line in lines)
    window = -(-longest // WINDOWS)
    averaged = f", over {window} epochs" if window > 1 else ""
    return f"mean{averaged}; bands: all seeds"
