"""Nodes that join while a run goes on: asked before jobs count on them; what they lack is told, and heeded.

Ray gives a job that waits to a node in the moment in which that joins, before anybody can have asked it. So two
ask. The driver asks every node that it does not know, in a task beside all jobs, and again after a while where
something was missing. And a worker whose node was not known to be fit when its job was handed out asks first, and
gives the job back where something is missing (`JobReport.lacks`): no attempt is counted. Such a node is closed: no
job is placed there any more, and jobs that wait are handed out anew without it.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from orchestrator.cluster.nodes import Node
from orchestrator.cluster.probe import Asked, Probe
from orchestrator.store.clocks import Clock
from orchestrator.worker.questions import Question

ASK_AGAIN_AFTER_S = 120.0
"""A node that lacked something may have been mended."""

CLOSED_IN_A_ROW = 3
"""So many nodes that lack something, and none that is fit: an autoscaler would bring the like for ever."""


@dataclass(frozen=True)
class Closed:
    """A node that lacks something; `since` is by this process's clock."""

    since: float
    problems: tuple[str, ...]


class Newcomers:
    """Which nodes are known to be fit, and which lack something.

    Args:
        probe: asks them.
        fit: the nodes, by Ray's names, that were asked before the run began.
        note: tells a person.
        clock: seconds from some moment on.
    """

    def __init__(
        self,
        probe: Probe,
        fit: Collection[str],
        note: Callable[[str], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._probe = probe
        self._fit = frozenset(fit)
        self._note = note
        self._clock = clock
        self._asked: list[Asked] = []
        self._closed: dict[str, Closed] = {}
        self._in_a_row: set[str] = set()
        """Nodes that lacked something, since one was last found fit."""

    @property
    def question(self) -> Question:
        """What a worker asks first on a node that is not known to be fit; it adds the trials of its job."""
        return self._probe.of_a_job

    @property
    def fit(self) -> frozenset[str]:
        """Nodes of now that have everything, by Ray's names."""
        return self._fit

    @property
    def closed(self) -> frozenset[str]:
        """Nodes of now that lack something."""
        return frozenset(self._closed)

    @property
    def is_hopeless(self) -> bool:
        """Whether one node after the other came and lacked something, and there is no other to hope for."""
        return not (self._fit or self._asked) and len(self._in_a_row) >= CLOSED_IN_A_ROW

    def look(self) -> None:
        """See who came and who left, hear who has answered, ask whom nobody has asked."""
        there = {node.name: node for node in self._probe.nodes()}
        self._fit = self._fit.intersection(there)
        self._closed = {name: closed for name, closed in self._closed.items() if name in there}
        while self._asked and (one := self._probe.first_over(self._asked, timeout_s=0)):
            self._asked.remove(one)
            problems = self._probe.problems(one)
            if one.node.name in there:
                self._hear(one.node, problems)
        asked = {one.node.name for one in self._asked}
        for node in there.values():
            if node.name not in asked and self._is_due(node):
                self._asked.append(self._probe.start(node))

    def refused(self, name: str, problems: Sequence[str]) -> None:
        """A worker has found that its node lacks something; the driver's own question counts for more."""
        for node in self._probe.nodes():
            if node.name == name and name not in self._fit:
                self._close(node, problems)

    def _is_due(self, node: Node) -> bool:
        if closed := self._closed.get(node.name):
            return self._clock() - closed.since >= ASK_AGAIN_AFTER_S
        return node.name not in self._fit

    def _hear(self, node: Node, problems: Sequence[str]) -> None:
        if problems:
            self._close(node, problems)
            return
        self._closed.pop(node.name, None)
        self._in_a_row.clear()
        self._fit |= {node.name}
        self._note(f"{node} has joined, and has what it needs")

    def _close(self, node: Node, problems: Sequence[str]) -> None:
        before = self._closed.get(node.name)
        if before is None or before.problems != tuple(problems):
            again = f"it is asked again every {ASK_AGAIN_AFTER_S / 60:.0f} minutes"
            self._note(f"{node} gets no job: {'; '.join(problems)} ({again})")
        self._closed[node.name] = Closed(self._clock(), tuple(problems))
        self._in_a_row.add(node.name)
