"""Methods, optimisers and first weights in tables: panels of their own, named by what differs, and filtered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis.evidence import weigh
from analysis.filters import filtered, parse_filters
from analysis.naming import can_be_pooled, names_of
from analysis.points import panels
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.test_settings import fill, occurring
from trainer.problems import UserError


def variants(store: Store) -> list[str]:
    return [panel.variant for panel in occurring(store)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    grid = {"student.method": ["kd", "dkd", "dist"], "student.method_options.beta": [2, 8]}
    fill(store, student={"optimiser": "sgd"}, grid=grid)
    return store


def test_panels_are_named_by_method_and_by_the_options_that_differ_within_one(store: Store) -> None:
    assert variants(store) == [
        "student.method=dist, student.method_options.beta=2.0",
        "student.method=dist, student.method_options.beta=8.0",
        "student.method=dkd, student.method_options.beta=2.0",
        "student.method=dkd, student.method_options.beta=8.0",
        "student.method=kd",
    ]
    assert [len(panel.complete) for panel in occurring(store)] == [3] * 5
    assert weigh(occurring(store)).pooled == ()


def test_one_method_alone_is_not_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, student={"method": "dkd"})
    assert variants(store) == [""]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("student.method=kd", 1),
        ("method=dkd", 2),
        ("student.method!=dkd", 3),
        ("student.method_options.beta=2", 3),  # kd has no beta, and stays
        ("student.optimiser=sgd", 5),
        ("student.clip_norm=0", 5),
    ],
)
def test_methods_can_be_asked_for(text: str, left: int, store: Store) -> None:
    assert len(panels(filtered(read_rows(store), parse_filters([text])))) == left


def test_a_method_that_no_row_has_is_told(store: Store) -> None:
    with pytest.raises(UserError, match=r"the store has no student\.method 'dkt'; did you mean"):
        filtered(read_rows(store), parse_filters(["student.method=dkt"]))


def test_optimisers_and_schedules_make_panels(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for schedule in ("steps", "cosine"):
        fill(store, student={"schedule": schedule, "milestones": [150]})
    assert variants(store) == [
        "student.decay=0.1, student.milestones=[150], student.schedule=steps",
        "student.schedule=cosine",
    ]


def test_an_own_method_is_its_name_and_where_there_are_two_its_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    code = "@register('mine')\ndef f(s, t, labels, T): ...\n"
    for version in (code, f"{code}# changed\n"):
        file = {"path": "mine.py", "source": version}
        fill(store, methods=[file], student={"method": "mine"})
    told = variants(store)
    assert all(name.startswith("student.own_method=") for name in told)
    assert len(set(told)) == 2
    fill(store)
    assert "student.method=kd" in variants(store)


def begun(checkpoint: str, **others: str) -> Mapping[str, str]:
    given: dict[str, Any] = {"student.checkpoint": checkpoint} if checkpoint else {}
    return {"student.epochs": "240", **given, **others}


def test_first_weights_are_told_within_a_pair_only() -> None:
    one, other = "1" * 64, "2" * 64
    pairs = [("mine", "a/b"), ("mine", "a/c")]
    assert names_of([begun(one), begun(other)], pairs) == ["", ""]
    assert names_of([begun(one), begun("")], [pairs[0]] * 2) == ["student.checkpoint=11111111", ""]
    assert can_be_pooled(begun(one), begun(other), same_data=True)
    assert not can_be_pooled(begun(one), begun(""), same_data=True)
