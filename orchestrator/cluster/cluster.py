"""A Ray that this process is connected to, with the few things that are asked of it.

    with connected(LocalCluster(), print) as cluster:
        cluster.nodes()                              # now: nodes come and go
        task = cluster.start_on(node.name, function, argument)
        cluster.answer(task)

Ray itself is untyped, and its errors go on for pages; neither leaves this module. Tune finds the same Ray by
itself.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from orchestrator.cluster.nodes import NOTHING, Node
from orchestrator.cluster.run_folder import RunFolder
from orchestrator.planning.scheduling import Capacity
from orchestrator.worker.foreign import last_line, missing_module

T = TypeVar("T")


class TaskFailedError(Exception):
    """A function that was started on a node did not return. `missing` is a module that the node lacks."""

    def __init__(self, reason: str, missing: str | None) -> None:
        super().__init__(reason)
        self.missing = missing


@dataclass(frozen=True)
class Task(Generic[T]):
    """A function that runs on some node; a handle of Ray's, to which it answers."""

    reference: Any


class Cluster:
    """The cluster that a run uses.

    Args:
        ray: the module, connected.
        log_folder: where Ray's own logs are.
        folder: this run's own in the temporary folder.
        most: what more nodes may bring it to in all, as a user tells; what is there counts in any case.
    """

    def __init__(
        self, ray: Any, log_folder: str, folder: RunFolder, most: Capacity = NOTHING
    ) -> None:
        self._ray = ray
        self.log_folder = log_folder
        self.folder = folder
        self.most = most

    def nodes(self) -> list[Node]:
        """The nodes that are there now."""
        return [
            Node(n["NodeID"], n["Resources"], n["NodeManagerAddress"])
            for n in self._ray.nodes()
            if n["Alive"]
        ]

    def metrics_address(self) -> str:
        """Where the node of this process serves its metrics, this process's among them."""
        here = self._ray.get_runtime_context().get_node_id()
        (node,) = (n for n in self._ray.nodes() if n["NodeID"] == here)
        return f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"

    def capacity(self, without: Collection[str] = ()) -> Capacity:
        """What all nodes have together, or may have once all have come that a user told of.

        Args:
            without: nodes that do not count.
        """
        nodes = [node for node in self.nodes() if node.name not in without]
        return Capacity(
            cpu=max(sum(n.cpu for n in nodes), self.most.cpu),
            gpu=max(sum(n.gpu for n in nodes), self.most.gpu),
        )

    def start_on(self, node: str, function: Callable[..., T], *arguments: object) -> Task[T]:
        """Start a function in a process of its own on a node, beside all jobs; it is never tried again."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote = self._ray.remote(num_cpus=0, max_retries=0, max_calls=1)(function)
        on_node = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        return Task(remote.options(scheduling_strategy=on_node).remote(*arguments))

    def first_over(self, tasks: Collection[Task[T]], timeout_s: float) -> Task[T] | None:
        """A task that is over; None where none is within the time."""
        by_reference = {task.reference: task for task in tasks}
        over, _ = self._ray.wait(list(by_reference), num_returns=1, timeout=timeout_s)
        return by_reference[over[0]] if over else None

    def answer(self, task: Task[T], timeout_s: float | None = None) -> T:
        """What a task returned.

        Raises:
            TaskFailedError: it raised, its node is gone, or it took longer than `timeout_s`.
        """
        try:
            returned: T = self._ray.get(task.reference, timeout=timeout_s)
        except self._ray.exceptions.RayError as error:
            raise TaskFailedError(last_line(error), missing_module(str(error))) from error
        return returned
