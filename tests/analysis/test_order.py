"""Panels, teachers and augmentations stand as the sweep or the paper lists them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.bootstrap import Bootstrap
from analysis.evidence import Findings, weigh
from analysis.grid import Grid
from analysis.marks import marks
from analysis.order import PAPER, Order, arranged
from analysis.plots import draw_grid, draw_ranks, draw_scatter
from analysis.points import Panel, in_order, panels
from analysis.result_tables import result_grids
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from trainer.catalog import AUGMENTATIONS


def panel(dataset: str, pair: str, variant: str = "") -> Panel:
    teacher, student = pair.split("/")
    return Panel(dataset, teacher, student, variant, "own", "f", ())


def test_what_an_order_names_comes_first_and_the_rest_as_it_stood() -> None:
    given = [
        panel("zoo", "vgg13/vgg8"),
        panel("cifar100", "ResNet50/vgg8"),
        panel("cifar100", "own/vgg8"),
        panel("cifar100", "a/b"),
        panel("cifar100", "vgg13/vgg8", "2"),
        panel("cifar100", "vgg13/vgg8", "10"),
    ]
    assert [p.title for p in arranged(given, PAPER)] == [
        "cifar100 vgg13/vgg8 (2)",
        "cifar100 vgg13/vgg8 (10)",
        "cifar100 ResNet50/vgg8",
        "cifar100 own/vgg8",
        "cifar100 a/b",
        "zoo vgg13/vgg8",
    ]
    own = Order(("zoo", "cifar100"), ("a/b", "ResNet50/vgg8"))
    assert [p.title for p in arranged(given, own)][:3] == [
        "zoo vgg13/vgg8",
        "cifar100 a/b",
        "cifar100 ResNet50/vgg8",
    ]


def test_teachers_stand_where_their_first_pair_does() -> None:
    names = ["ResNet50", "resnet56", "other", "vgg13"]
    places = sorted(names, key=lambda name: PAPER.of_teacher("cifar100", name))
    assert places == ["vgg13", "resnet56", "ResNet50", "other"]


AS_LISTED = Order(PAPER.datasets, PAPER.pairs, ("mixup", "own", "identity"))


def test_augmentations_stand_as_listed_then_as_the_paper_has_them_then_by_name() -> None:
    given = ["zoom", "cutmix", "identity", "blur", "flip", "own", "mixup"]
    assert in_order(given, AS_LISTED.augmentations) == [
        *("mixup", "own", "identity"),
        *("flip", "cutmix", "blur", "zoom"),
    ]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Findings]:
    """One store's findings as the paper and as a sweep list its augmentations."""
    store = Store(tmp_path_factory.mktemp("store"))
    fill(store, paper_trials(["vgg13/vgg8", "vgg13/MobileNetV2"], ["cifar100"]))
    found = panels(read_rows(store))
    few = Bootstrap(100)
    return (
        weigh(arranged(found, PAPER), bootstrap=few),
        weigh(arranged(found, AS_LISTED), bootstrap=few),
    )


def test_an_order_moves_rows_and_no_number(shown: tuple[Findings, Findings]) -> None:
    of_paper, of_sweep = shown
    assert repr(of_sweep.pooled) == repr(of_paper.pooled)
    for one, other in zip(of_paper.evidence, of_sweep.evidence, strict=True):
        assert repr(one.estimates) == repr(other.estimates)
        assert repr(one.regret) == repr(other.regret)
    first = [
        {grid.title: [row.heading for row in grid.rows] for grid in _result_grids(findings)}
        for findings in shown
    ]
    assert first[0].keys() == first[1].keys()
    for title, rows in first[1].items():
        assert rows[:3] == ["mixup", "identity", "flip"], title
        assert sorted(rows) == sorted(first[0][title])


def _result_grids(findings: Findings) -> list[Grid]:
    found = [evidence.panel for evidence in findings.evidence]
    return list(result_grids(found, ("s_test_loss", "t_stddev"), ("dataset",)))


@pytest.mark.parametrize("draw", [draw_scatter, draw_ranks, draw_grid])
def test_legends_stand_in_the_order_that_is_shown(
    draw: Callable[[Findings, Path], None], shown: tuple[Findings, Findings], tmp_path: Path
) -> None:
    draw(shown[1], tmp_path / "x.svg")
    said = re.findall(r">(\w+)</text>", (tmp_path / "x.svg").read_text())
    assert [name for name in said if name in AUGMENTATIONS][:3] == ["mixup", "identity", "flip"]


def test_colours_do_not_hang_on_the_order() -> None:
    names = ["own_b", "mixup", "own_a", "identity"]
    assert marks(names) == marks(sorted(names))
    assert list(marks(names)) == names
