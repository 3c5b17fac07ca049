"""Nodes that join: asked, named where they lack something, asked again; without Ray, which is the border here."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.cluster import Task, TaskFailedError
from orchestrator.cluster.nodes import Node
from orchestrator.cluster.probe import Probe, asking
from orchestrator.driver.newcomers import ASK_AGAIN_AFTER_S, CLOSED_IN_A_ROW, Newcomers
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import make_plan
from orchestrator.store.store import Store
from tests.orchestrator.planning.test_scheduling import ONE_CPU
from tests.orchestrator.sweeps import write_sweep


class Nodes:
    """A cluster whose nodes answer when a test says so; Ray's tasks are the names of nodes."""

    def __init__(self) -> None:
        self.there: dict[str, float] = {}
        self.answers: dict[str, list[str] | TaskFailedError] = {}
        self.asked: list[str] = []

    def nodes(self) -> list[Node]:
        return [
            Node(name, {"CPU": cpu}, f"10.0.0.{i}")
            for i, (name, cpu) in enumerate(self.there.items())
        ]

    def start_on(self, node: str, *_: object) -> Task[list[str]]:
        self.asked.append(node)
        return Task(node)

    def first_over(self, tasks: Collection[Task[Any]], timeout_s: float) -> Task[Any] | None:
        return next((task for task in tasks if task.reference in self.answers), None)

    def answer(self, task: Task[list[str]]) -> list[str]:
        answer = self.answers.pop(task.reference)
        if isinstance(answer, TaskFailedError):
            raise answer
        return answer


class LeavingNodes(Nodes):
    """Of two nodes the second is gone before it has answered."""

    def __init__(self) -> None:
        super().__init__()
        self.there = {"first": 4.0, "second": 4.0}

    def start_on(self, node: str, *given: object) -> Task[list[str]]:
        self.answers = {"first": [], "second": TaskFailedError("its node died", None)}
        return super().start_on(node, *given)

    def answer(self, task: Task[list[str]]) -> list[str]:
        self.there.pop("second", None)
        return super().answer(task)


class Table:
    """Newcomers on a table, with what a test wants to know of them."""

    def __init__(self, probe: Probe, nodes: Nodes) -> None:
        self.now = 0.0
        self.nodes = nodes
        self.notes: list[str] = []
        self.newcomers = Newcomers(probe, {"first"}, self.notes.append, lambda: self.now)

    def look(self, **answers: list[str] | TaskFailedError) -> Newcomers:
        self.nodes.answers |= answers
        self.newcomers.look()
        return self.newcomers


@pytest.fixture
def table(tmp_path: Path) -> Any:
    nodes: Any = Nodes()
    nodes.there = {"first": 4.0}
    store = Store(tmp_path / "store")
    plan = make_plan(load_sweep(write_sweep(tmp_path)), store, retry_failed=False)
    with asking(nodes, plan, ONE_CPU, store, str(tmp_path), lambda _: None) as probe:
        yield Table(probe, nodes)
    assert not list(store.root.glob("marks/*"))


def test_who_was_asked_before_the_run_is_not_asked_again(table: Table) -> None:
    assert table.look().fit == {"first"}
    assert table.nodes.asked == []


def test_a_node_that_joins_is_asked_once_and_counts_when_it_has_answered(table: Table) -> None:
    table.nodes.there["second"] = 4.0
    for _ in range(3):
        assert table.look().fit == {"first"}
    assert table.nodes.asked == ["second"]
    assert table.look(second=[]).fit == {"first", "second"}
    assert table.notes == ["node 10.0.0.1 (second) has joined, and has what it needs"]
    table.look()
    assert table.nodes.asked == ["second"]


def test_a_node_that_may_run_no_job_is_not_asked(table: Table) -> None:
    table.nodes.there["head"] = 0.0
    table.look()
    assert table.nodes.asked == []


def test_what_a_node_lacks_is_told_in_one_line_and_it_is_asked_again_later(table: Table) -> None:
    table.nodes.there["second"] = 4.0
    table.look()
    assert table.look(second=["no data", "no store"]).closed == {"second"}
    (line,) = table.notes
    assert line == (
        "node 10.0.0.1 (second) gets no job: no data; no store (it is asked again every 2 minutes)"
    )
    table.look()
    assert table.nodes.asked == ["second"]
    table.now += ASK_AGAIN_AFTER_S
    table.look()
    assert table.nodes.asked == ["second", "second"]
    assert table.look(second=["no data", "no store"]).closed == {"second"}
    assert len(table.notes) == 1, "told once"
    table.now += ASK_AGAIN_AFTER_S
    table.look()
    assert table.look(second=[]).closed == frozenset()
    assert table.newcomers.fit == {"first", "second"}


def test_a_node_that_cannot_even_load_the_question(table: Table) -> None:
    table.nodes.there["second"] = 4.0
    table.look()
    failed = TaskFailedError("No module named 'pydantic'", "pydantic")
    assert table.look(second=failed).closed == {"second"}
    assert "gets no job: pydantic is not installed there" in table.notes[0]


def test_a_node_that_leaves_while_it_is_asked_is_forgotten(table: Table) -> None:
    table.nodes.there["second"] = 4.0
    table.look()
    del table.nodes.there["second"]
    assert table.look(second=TaskFailedError("its node died", None)).closed == frozenset()
    assert table.notes == []


def test_a_node_that_leaves_before_the_run_begins_is_no_mistake_of_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a spot node: exit code 2 would tell Kubernetes that no other try is of use."""
    monkeypatch.setattr(Probe, "_appears", lambda *_: True)
    nodes: Any = LeavingNodes()
    store = Store(tmp_path / "store")
    plan = make_plan(load_sweep(write_sweep(tmp_path)), store, retry_failed=False)
    notes: list[str] = []
    with asking(nodes, plan, ONE_CPU, store, str(tmp_path), notes.append) as probe:
        assert probe.ask_all() == {"first"}
    assert notes[1:] == [
        "node 10.0.0.1 (second) has left while it was asked",
        "every node has what it needs (1 node)",
    ]


def test_a_worker_s_word_closes_a_node_that_the_driver_has_not_heard_of_yet(table: Table) -> None:
    table.nodes.there["second"] = 4.0
    table.look()
    table.newcomers.refused("second", ["no data"])
    assert table.newcomers.closed == {"second"}
    assert table.look(second=[]).closed == frozenset(), "its own answer, later, counts for more"
    table.newcomers.refused("second", ["no data"])
    assert table.newcomers.closed == frozenset()


def test_one_bad_node_after_the_other_is_hopeless_where_no_other_is_there(table: Table) -> None:
    del table.nodes.there["first"]
    for number in range(CLOSED_IN_A_ROW):
        assert not table.look().is_hopeless
        name = f"bad{number}"
        table.nodes.there[name] = 4.0
        table.look()
        table.look(**{name: ["no data"]})
        del table.nodes.there[name]
    assert table.look().is_hopeless
    table.nodes.there["good"] = 4.0
    assert not table.look().is_hopeless, "it may be fit"
    assert not table.look(good=[]).is_hopeless
