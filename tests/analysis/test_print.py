"""Figures for print: their width, what stands on them, their type, and the numbers beside them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from analysis import plots
from analysis.bootstrap import Bootstrap
from analysis.coefficients import coefficients
from analysis.curves import Curve, in_windows
from analysis.evidence import Findings, weigh
from analysis.formats import csv_of
from analysis.grid import Record
from analysis.plots.pooled import standardised
from analysis.plots.sheet import LEAST_PANEL, Sheet
from analysis.points import Panel, panels
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.stores import PAPER_PAIRS, fill, paper_trials

COLUMN, PAGE = 3.25, 6.75
LONGEST = sorted(PAPER_PAIRS, key=len)[-3:]
Draw = Callable[..., None]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> list[Panel]:
    """Six panels that are called as the paper's longest names, of the numbers of two."""
    store = fill(Store(tmp_path_factory.mktemp("store")), paper_trials(["vgg13/vgg8"]))
    found = {panel.dataset: panel for panel in panels(read_rows(store))}
    return [
        replace(panel, teacher=pair.split("/")[0], student=pair.split("/")[1])
        for panel in found.values()
        for pair in LONGEST
    ]


@pytest.fixture(scope="module")
def findings(paper: list[Panel]) -> Findings:
    return weigh(paper, bootstrap=Bootstrap(100))


def made_up_curves(panel: Panel) -> list[Curve]:
    epochs = np.arange(1.0, 241.0)
    return [
        Curve(point.augmentation, epochs, mean, mean - 0.1, mean + 0.1, 3)
        for i, point in enumerate(panel.points)
        for mean in [np.where(epochs <= 150, 2.0, 1.0) + 0.01 * i]
    ]


def shown_by(kind: str, findings: Findings) -> tuple[Draw, object, Callable[..., Iterator[Record]]]:
    """How a kind is drawn, of what, and its numbers."""
    curves = [(e.panel, made_up_curves(e.panel)) for e in findings.evidence]
    return {
        "scatter": (plots.draw_scatter, findings, plots.scatter_numbers),
        "grid": (plots.draw_grid, findings, plots.scatter_numbers),
        "rank": (plots.draw_ranks, findings, plots.rank_numbers),
        "forest": (plots.draw_forest, findings, plots.forest_numbers),
        "pooled": (plots.draw_pooled, plots.clouds(findings, ("dataset",)), plots.pooled_numbers),
        "curves": (plots.draw_curves, curves, plots.curve_numbers),
    }[kind]


KINDS = ("scatter", "grid", "rank", "forest", "pooled", "curves")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, laid out, instead of files."""
    seen: list[Figure] = []

    def look(figure: Figure, *_: object, **__: object) -> None:
        figure.draw_without_rendering()
        seen.append(figure)

    monkeypatch.setattr(Figure, "savefig", look)
    return seen


def texts_of(figure: Figure) -> list[Text]:
    """What can be read: ticks beyond the ends of an axis are not drawn."""
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    beyond = {
        id(tick_label)
        for ax in figure.axes
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim()))
        for tick in axis.get_major_ticks()
        for tick_label in (tick.label1, tick.label2)
        if not ax.get_visible() or not ax.axison or not low <= tick.get_loc() <= high
    }
    return [text for text in texts if id(text) not in beyond]


@pytest.mark.parametrize("width", [COLUMN, PAGE])
@pytest.mark.parametrize("kind", KINDS)
def test_all_text_can_be_read_in_print(
    kind: str, width: float, findings: Findings, looked_at: list[Figure], tmp_path: Path
) -> None:
    """It is of 6 points at least, nothing is cut off, and no two texts lie on each other."""
    draw, shown, _ = shown_by(kind, findings)
    draw(shown, tmp_path / "x.png", Sheet(width))
    (figure,) = looked_at
    assert figure.get_figwidth() == width
    assert figure.get_figheight() <= 10
    texts = texts_of(figure)
    assert len(texts) > 20
    assert min(float(text.get_fontsize()) for text in texts) >= 6
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    whole = figure.bbox.padded(1.0)
    cut = [text for text, box in boxes.items() if not _holds(whole, box)]
    assert cut == []
    for one, other in combinations(texts, 2):
        a, b = one.get_window_extent().padded(-1.0), other.get_window_extent().padded(-1.0)
        assert not a.overlaps(b), (one.get_text(), other.get_text())


def _holds(outer: Bbox, inner: Bbox) -> bool:
    return bool(
        outer.x0 <= inner.x0
        and inner.x1 <= outer.x1
        and outer.y0 <= inner.y0
        and inner.y1 <= outer.y1
    )


@pytest.mark.parametrize("width", [None, COLUMN, PAGE])
@pytest.mark.parametrize("kind", ["scatter", "grid", "pooled"])
def test_coefficients_cover_no_point(
    kind: str, width: float | None, findings: Findings, looked_at: list[Figure], tmp_path: Path
) -> None:
    draw, shown, _ = shown_by(kind, findings)
    draw(shown, tmp_path / "x.png", Sheet(width))
    for ax in (ax for ax in looked_at[0].axes if ax.texts):
        box = ax.texts[0].get_window_extent()
        for line in ax.lines:
            if line.get_marker() not in ("None", None, ""):
                for x, y in ax.transData.transform(line.get_xydata()):
                    assert not box.contains(x, y)


@pytest.mark.parametrize("width", [None, COLUMN])
@pytest.mark.parametrize("kind", KINDS)
def test_type_is_true_type(
    kind: str, width: float | None, findings: Findings, tmp_path: Path
) -> None:
    """Submission checks refuse Type 3, which matplotlib writes by default."""
    few = weigh([e.panel for e in findings.evidence[:2]], bootstrap=Bootstrap(100))
    draw, shown, _ = shown_by(kind, few)
    draw(shown, tmp_path / "x.pdf", Sheet(width))
    written = (tmp_path / "x.pdf").read_bytes()
    assert b"/CIDFontType2" in written
    assert b"/Type3" not in written
    draw(shown, tmp_path / "x.svg", Sheet(width))
    assert f"{LONGEST[0]}</text>" in (tmp_path / "x.svg").read_text() or kind in (
        "forest",
        "pooled",
    )


def test_dots_per_inch_are_those_of_the_png(findings: Findings, tmp_path: Path) -> None:
    few = weigh([findings.evidence[0].panel], bootstrap=Bootstrap(100))
    for dpi, dots in ((None, 975), (100, 325)):
        plots.draw_scatter(few, tmp_path / "x.png", Sheet(COLUMN, dpi))
        width = int.from_bytes((tmp_path / "x.png").read_bytes()[16:20], "big")
        assert width == dots


@pytest.mark.parametrize("width", [2.5, COLUMN, PAGE, 12.0])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 18])
def test_panels_fill_a_sheet(width: float, count: int) -> None:
    layout = Sheet(width).layout(count, 3, (4.9, 4.2))
    assert layout.rows * layout.columns >= count > (layout.rows - 1) * layout.columns
    assert layout.columns * layout.size[0] == pytest.approx(width)
    assert layout.size[0] >= LEAST_PANEL


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_beside_a_figure_are_those_in_it(
    kind: str, findings: Findings, looked_at: list[Figure], tmp_path: Path
) -> None:
    draw, shown, numbers = shown_by(kind, findings)
    draw(shown, tmp_path / "x.png", Sheet(PAGE))
    records = list(numbers(shown))
    assert csv_of(records).count("\n") == len(records) + 1
    x, y = {
        "scatter": ("t_stddev", "s_test_loss"),
        "grid": ("t_stddev", "s_test_loss"),
        "rank": ("t_stddev_rank", "s_test_loss_rank"),
        "forest": ("value", None),
        "pooled": ("t_stddev_standardised", "s_test_loss_standardised"),
        "curves": ("epoch", "mean"),
    }[kind]
    told = sorted(
        (r[x], r[y] if y else 0.0)
        for r in records
        if r["table"] in (kind, "ranks", "points", "means")
    )
    no_point = {"None", None, "", "|", "_"}
    drawn = sorted(
        (float(px), float(py) if y else 0.0)
        for ax in looked_at[0].axes
        for line in ax.lines
        if line.get_marker() not in no_point
        for px, py in line.get_xydata()
    )
    np.testing.assert_allclose(told, drawn)


def test_a_forest_shows_what_other_teachers_would_show(
    findings: Findings, looked_at: list[Figure], tmp_path: Path
) -> None:
    plots.draw_forest(findings, tmp_path / "x.png")
    ax = looked_at[0].axes[0]
    ends = [tuple(map(float, line.get_xdata())) for line in ax.lines if line.get_marker() == "|"]
    pooled = [p.estimates["pearson"].over_teachers for p in findings.pooled]
    np.testing.assert_allclose(ends[-len(pooled) :], [(i.low, i.high) for i in pooled])
    assert np.isnan(ends[: -len(pooled)]).all()
    assert "over teachers" in [text.get_text() for text in looked_at[0].legends[0].get_texts()]


def test_the_line_of_a_pool_is_its_pearson(findings: Findings) -> None:
    """Of standardised panels slopes are coefficients, and a pool's is their weighted mean."""
    for cloud in plots.clouds(findings, ("dataset",)):
        slopes = [np.polyfit(x, y, 1)[0] for x, y in zip(cloud.x, cloud.y, strict=True)]
        pearson = [coefficients(x, y)[0] for x, y in zip(cloud.x, cloud.y, strict=True)]
        assert slopes == pytest.approx(pearson)
        assert cloud.weights @ slopes == pytest.approx(cloud.pooled.estimates["pearson"].value)
    assert np.isnan(standardised(np.ones(4))).all()


def test_a_line_has_a_point_per_window_of_epochs() -> None:
    epochs = np.arange(1.0, 8.0)
    line = in_windows(Curve("flip", epochs, epochs**2, epochs, epochs + 1, 3), 3)
    assert list(line.epochs) == [2.0, 5.0, 7.0]
    assert line.mean == pytest.approx([14 / 3, 77 / 3, 49])
    assert (list(line.low), list(line.high), line.n) == ([2, 5, 7], [3, 6, 8], 3)
    short = Curve("flip", epochs, epochs, epochs, epochs, 3)
    assert list(in_windows(short, 24).mean) == list(epochs)
