"""Does every node that may run jobs have what jobs need? Asked before anything is trained, and of who joins later.

A task on each such node answers (`orchestrator.worker.questions`): so data are decoded once per node, and a
node that lacks something says so at once, not at its first job. What the driver leaves in the store for the nodes
to read stays there for as long as it asks.

    with asking(cluster, plan, resources, store, data_folder, note) as probe:
        probe.ask_all()                     # those that are there; what they lack is the user's to mend
        task = probe.start(node)            # one that joined
        probe.problems(node, task)
"""

import math
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from orchestrator.cluster.cluster import Cluster, Task, TaskFailedError
from orchestrator.cluster.nodes import Node
from orchestrator.language.resources import AllResources, job_kind
from orchestrator.planning.plan import Plan
from orchestrator.store.provenance import TOP
from orchestrator.store.store import Store
from orchestrator.worker.preparation import samples
from orchestrator.worker.questions import (
    BETWEEN_LOOKS_S,
    LOOKS,
    Question,
    answer,
    not_installed,
    software,
)
from trainer.problems import UserError

STILL_WAITING_EVERY_S = 30.0


@contextmanager
def asking(
    cluster: Cluster,
    plan: Plan,
    resources: AllResources,
    store: Store,
    data_folder: str,
    note: Callable[[str], None],
) -> Iterator["Probe"]:
    """As long as this goes on, nodes can be asked.

    Raises:
        UserError: the store cannot be written.
    """
    mark = uuid.uuid4().hex
    needed = samples(plan.missing)
    question = Question(
        store=store.address,
        drivers_mark=mark,
        nodes_mark=None,
        software=software(needed),
        driver_has_it_in=str(TOP),
        data_folder=data_folder,
        trials=tuple(trial.model_dump_json() for trial in needed),
    )
    wanted = [resources.of(kind) for kind in {job_kind(trial) for trial in plan.missing}]
    _leave(store, mark)
    try:
        yield Probe(cluster, store, question, lambda node: any(map(node.holds, wanted)), note)
    finally:
        with suppress(OSError):
            store.probes.clear(mark)
            store.probes.tidy()


def _leave(store: Store, mark: str) -> None:
    try:
        store.probes.set(mark)
    except OSError as error:
        raise UserError(
            f"driver on {socket.gethostname()}: the store {store.address} cannot be written: {error}; "
            "give a place that all nodes share, such as NFS or s3://"
        ) from error


@dataclass(frozen=True)
class Asked:
    """A node that is being asked; `mark` is what it leaves in the store for the driver to see."""

    node: Node
    mark: str | None
    task: Task[list[str]]


class Probe:
    """Asks nodes.

    Args:
        cluster: whose nodes.
        store: where they and the driver leave marks for each other.
        question: what all are asked.
        is_of_use: whether a node may run any job at all; others are not asked.
        note: tells a person.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        question: Question,
        is_of_use: Callable[[Node], bool],
        note: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._question = question
        self._is_of_use = is_of_use
        self._note = note

    @property
    def of_a_job(self) -> Question:
        """What a worker asks its node, which is to add the trials of its job."""
        return replace(self._question, trials=())

    def nodes(self) -> list[Node]:
        """The nodes of now that may run a job."""
        return [node for node in self._cluster.nodes() if self._is_of_use(node)]

    def ask_all(self) -> frozenset[str]:
        """Ask every node that is there, and wait for all. One that leaves meanwhile, as from a spot node, lacks nothing.

        Returns:
            The names of those that are still there: all have what they need.

        Raises:
            UserError: something is missing, with a line for each node and problem.
        """
        nodes = self.nodes()
        if not nodes:
            most = self._cluster.most
            cpus = "" if math.isinf(most.cpu) else f" and {most.cpu:g} CPU"
            self._note(
                f"no node is there yet; up to {most.gpu:g} GPU{cpus} may come, and are waited for"
            )
            return frozenset()
        self._note(f"asking {_count(nodes)} for the store, the data and the same software")
        problems = self._answers([self._start(node, uuid.uuid4().hex) for node in nodes])
        there = {node.name for node in self.nodes()}
        for node in nodes:
            if node.name not in there:
                self._note(f"{node} has left while it was asked")
        nodes = [node for node in nodes if node.name in there]
        if lines := [f"{node}: {problem}" for node in nodes for problem in problems[node.name]]:
            raise UserError("\n".join(lines))
        self._note(f"every node has what it needs ({_count(nodes)})")
        return frozenset(there & problems.keys())

    def start(self, node: Node) -> Asked:
        """Ask a node; it answers in its own time, and nobody has to wait for what it writes."""
        return self._start(node, None)

    def _start(self, node: Node, mark: str | None) -> Asked:
        question = replace(self._question, nodes_mark=mark)
        return Asked(node, mark, self._cluster.start_on(node.name, answer, question))

    def first_over(self, asked: Sequence[Asked], timeout_s: float) -> Asked | None:
        """One who has answered; None where nobody has within the time."""
        by_task = {one.task: one for one in asked}
        task = self._cluster.first_over(by_task, timeout_s)
        return None if task is None else by_task[task]

    def problems(self, asked: Asked) -> list[str]:
        """What is wrong on a node that has answered; empty where all is well."""
        try:
            problems = self._cluster.answer(asked.task)
        except TaskFailedError as error:
            return [not_installed(error.missing) if error.missing else str(error)]
        if not problems and asked.mark is not None and not self._appears(asked.mark):
            return [
                f"store {self._store.address}: what it wrote there is not seen by the driver on "
                f"{socket.gethostname()}; give a place that all nodes share, such as NFS or s3://"
            ]
        return problems

    def _answers(self, asked: Sequence[Asked]) -> dict[str, list[str]]:
        """What is wrong, by node."""
        waiting = list(asked)
        problems: dict[str, list[str]] = {}
        while waiting:
            one = self.first_over(waiting, STILL_WAITING_EVERY_S)
            if one is None:
                self._note(f"still waiting for {', '.join(str(w.node) for w in waiting)}")
            else:
                waiting.remove(one)
                problems[one.node.name] = self.problems(one)
        return problems

    def _appears(self, mark: str) -> bool:
        """Whether a node's mark can be seen; it is taken away then."""
        try:
            for _ in range(LOOKS):
                if self._store.probes.is_listed(mark):
                    return True
                time.sleep(BETWEEN_LOOKS_S)
            return False
        finally:
            with suppress(OSError):
                self._store.probes.clear(mark)


def _count(nodes: Sequence[Node]) -> str:
    return "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
