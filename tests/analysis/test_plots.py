"""Every plot in every format, and augmentations beyond the nine."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis import plots
from analysis.bootstrap import Bootstrap
from analysis.curves import Curve, curves, read_epochs
from analysis.evidence import Findings, weigh
from analysis.marks import SHAPES, marks
from analysis.plots.canvas import LEGEND_WIDTH, MARKERS
from analysis.plots.curves import reach
from analysis.plots.ranks import midranks
from analysis.points import Panel, panels
from analysis.report.charts import SHAPES as DRAWN_SHAPES
from analysis.report.charts import TICK_LETTER, Scale, roomy_ticks, tick_texts
from analysis.rows import read_rows
from orchestrator.store.provenance import TOP
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from trainer.catalog import AUGMENTATIONS

PAIRS = ("vgg13/vgg8", "wrn_40_2/wrn_16_2")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = fill(Store(tmp_path_factory.mktemp("store")), paper_trials(PAIRS, ["cifar100"]))
    return fill(store, paper_trials(PAIRS[:1], ["tinyimagenet"], seeds=[0]))


@pytest.fixture(scope="module")
def found(store: Store) -> list[Panel]:
    return panels(read_rows(store))


@pytest.fixture(scope="module")
def findings(found: list[Panel]) -> Findings:
    return weigh(found, bootstrap=Bootstrap(100))


def draw_pools(findings: Findings, path: Path) -> None:
    plots.draw_pooled(plots.clouds(findings, ("dataset",)), path)


@pytest.mark.parametrize("ending", plots.FORMATS)
@pytest.mark.parametrize(
    "draw",
    [plots.draw_scatter, plots.draw_grid, plots.draw_ranks, plots.draw_forest, draw_pools],
)
def test_each_kind_in_each_format(
    draw: object, ending: str, findings: Findings, tmp_path: Path
) -> None:
    assert callable(draw)
    paths = [tmp_path / "new" / f"{i}.{ending}" for i in range(2)]
    for path in paths:
        draw(findings, path)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert paths[0].read_bytes().startswith(start)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_scatter_plot_names_everything(findings: Findings, tmp_path: Path) -> None:
    plots.draw_scatter(findings, tmp_path / "x.svg")
    drawn = (tmp_path / "x.svg").read_text()
    said = ("cifar100 vgg13/vgg8", "T. stddev", "S. test loss", "bars: ± 1 std over seeds")
    for name in (*AUGMENTATIONS, *said):
        assert f">{name}<" in drawn
    assert drawn.count(">Kendall ") == 3


def test_a_grid_shows_what_is_missing(findings: Findings, tmp_path: Path) -> None:
    plots.draw_grid(findings, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().count(">missing<") == 1


def test_a_forest_has_all_panels_and_pools(findings: Findings, tmp_path: Path) -> None:
    plots.draw_forest(findings, tmp_path / "x.svg")
    drawn = (tmp_path / "x.svg").read_text()
    assert ">tinyimagenet vgg13/vgg8<" in drawn
    assert ">pooled: all (3 teachers)<" in drawn


def test_learning_curves_are_means_over_seeds(
    store: Store, found: list[Panel], tmp_path: Path
) -> None:
    epochs = read_epochs(store)
    lines = curves(found[0], epochs)
    assert [line.augmentation for line in lines] == list(AUGMENTATIONS)
    assert found[0].points[0].test_loss is not None
    own = epochs[epochs["fingerprint"].isin(found[0].points[0].test_loss.fingerprints)]
    last = own[own["epoch"] == 24]["test_loss"]
    assert lines[0].n == len(last) == 3
    assert (lines[0].mean[-1], lines[0].low[-1]) == pytest.approx((last.mean(), last.min()))
    plots.draw_curves([(panel, curves(panel, epochs)) for panel in found], tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().count(">epoch<") == 3


def test_nothing_to_draw(tmp_path: Path) -> None:
    empty = weigh([])
    for draw in (plots.draw_scatter, plots.draw_grid, plots.draw_ranks, plots.draw_forest):
        with pytest.raises(ValueError, match="nothing to draw"):
            draw(empty, tmp_path / "x.png")
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.draw_curves([], tmp_path / "x.png")


def test_no_two_augmentations_look_alike() -> None:
    others = [f"own_{i}" for i in range(12)]
    looks = marks([*AUGMENTATIONS, *others])
    assert len(set(looks.values())) == len(looks)
    assert [looks[a].shape for a in AUGMENTATIONS] == list(SHAPES[:9])
    assert len({looks[a].colour for a in AUGMENTATIONS}) == 9
    assert marks(["mixup"])["mixup"] == looks["mixup"]
    assert set(SHAPES) == set(MARKERS) == set(DRAWN_SHAPES)


def test_ranks_of_equal_values_are_shared() -> None:
    assert list(midranks(np.array([0.3, 0.1, 0.3, 0.2]))) == [3.5, 1.0, 3.5, 2.0]


@pytest.mark.parametrize("values", [[0.003, 0.0055], [1.0, 1.0], [0.0, 0.0], [-2.0, 900.0]])
def test_scales_have_a_few_round_ticks(values: list[float]) -> None:
    scale = Scale(values, 0, 100, margin=0.05)
    ticks = scale.ticks(5)
    assert 2 <= len(ticks) <= 6
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    texts = tick_texts(ticks)
    assert len(set(texts)) == len(texts)
    assert [float(t) for t in texts] == pytest.approx(ticks)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9))
@example([0.00388, 0.00515])  # once six labels of seven letters, side by side without a space
def test_no_label_of_a_horizontal_axis_touches_the_next_one(values: list[float]) -> None:
    scale = Scale(values, 54, 348, margin=0.06)
    ticks = roomy_ticks(scale, 6)
    assert 1 <= len(ticks) <= 7
    assert set(ticks) <= {tick for most in range(2, 7) for tick in scale.ticks(most)}
    texts = tick_texts(ticks)
    for (a, left), (b, right) in itertools.pairwise(zip(ticks, texts, strict=True)):
        assert scale(b) - scale(a) > TICK_LETTER * (len(left) + len(right)) / 2


@pytest.mark.parametrize("draw", [plots.draw_scatter, plots.draw_grid, plots.draw_ranks])
def test_a_legend_takes_nothing_from_the_panels(
    draw: Callable[[Findings, Path], None], found: list[Panel], tmp_path: Path
) -> None:
    """A grid of one data set was squeezed by it until its numbers overlapped."""
    sizes = []
    for count in (1, 2):
        datasets = [replace(found[0], dataset=f"data{i}", source="own") for i in range(count)]
        draw(weigh(datasets, bootstrap=Bootstrap(100)), tmp_path / "x.svg")
        sizes.append(float(re.findall(r'width="([\d.]+)pt"', (tmp_path / "x.svg").read_text())[0]))
    of_panel = sizes[1] - sizes[0]
    assert sizes[0] - of_panel == pytest.approx(72 * LEGEND_WIDTH)


def test_a_long_title_is_written_in_lines(found: list[Panel], tmp_path: Path) -> None:
    variant = ", ".join(f"student.option_{i}=long_value" for i in range(4))
    long = [replace(panel, variant=variant) for panel in found[:2]]
    plots.draw_grid(weigh(long, bootstrap=Bootstrap(100)), tmp_path / "x.svg")
    said = re.findall(r"<text[^>]*>(.*?)</text>", (tmp_path / "x.svg").read_text())
    assert sum("option_0" in line for line in said) == len(found[:2])
    assert all(len(line) <= 36 for line in said)


def test_the_first_epochs_do_not_flatten_a_learning_curve() -> None:
    epochs = np.arange(1.0, 241.0)
    mean = np.where(epochs < 20, 50.0, 1.0 + 1 / epochs)
    low, high = reach([Curve("flip", epochs, mean, mean - 0.1, mean + 0.1, 3)])
    assert 0.8 < low < 1.0
    assert 1.1 < high < 1.3
    low, high = reach([Curve("flip", epochs[:1], mean[:1], mean[:1], mean[:1], 1)])
    assert low < 50.0 < high


@pytest.mark.parametrize("backend", ["module://ipympl.backend_nbagg", "nonsense"])
@pytest.mark.parametrize(
    "settings", [None, b"lines.linewidth: 30\nfont.size: 40\n", b"\xff\xfe\x00"]
)
def test_nothing_of_where_one_stands_reaches_a_plot(
    backend: str, settings: bytes | None, tmp_path: Path
) -> None:
    """Notebooks set MPLBACKEND, and matplotlib reads a matplotlibrc of the working folder before any other."""
    pictures = []
    for name, environment in (("plain", {}), ("odd", {"MPLBACKEND": backend})):
        folder = tmp_path / name
        folder.mkdir()
        if settings is not None and name == "odd":
            (folder / "matplotlibrc").write_bytes(settings)
        ended = subprocess.run(
            [sys.executable, "-c", DRAWN],
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": str(TOP)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip() == str(folder)
        pictures.append((folder / "p.svg").read_bytes())
    assert pictures[0] == pictures[1]


DRAWN = """
import os
from pathlib import Path
from analysis.evidence import weigh
from analysis.bootstrap import Bootstrap
from analysis.plots import draw_scatter
from analysis.points import Mean, Panel, Point

def cell(value):
    return Mean(value, 0.1, (0, 1), (value - 0.05, value + 0.05), (f"a{value}", f"b{value}"))

points = tuple(Point(a, cell(1.0 + i), None, cell(2.0 + i)) for i, a in enumerate(("flip", "mixup", "cutmix")))
panel = Panel("d", "t", "s", "", "own", "f", points)
draw_scatter(weigh([panel], bootstrap=Bootstrap(100)), Path("p.svg"))
print(os.getcwd())
"""
