"""What a cluster has: the nodes of now, and what a user says may come."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.cluster import Cluster
from orchestrator.cluster.run_folder import RunFolder
from orchestrator.planning.scheduling import Capacity

NO_FOLDER = RunFolder(Path())


class Nodes:
    """Ray's own word of its nodes."""

    def __init__(self, *cpus: float) -> None:
        self.cpus = list(cpus)

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": f"n{i}",
                "Resources": {"CPU": cpu, "GPU": 1.0},
                "NodeManagerAddress": "",
                "Alive": cpu > 0,
            }
            for i, cpu in enumerate(self.cpus)
        ]


def test_nodes_that_join_and_leave_count_at_once() -> None:
    ray = Nodes(2.0)
    cluster = Cluster(ray, "", NO_FOLDER)
    assert cluster.capacity() == Capacity(2.0, 1.0)
    ray.cpus.append(8.0)
    assert cluster.capacity() == Capacity(10.0, 2.0)
    ray.cpus[0] = 0.0
    assert [node.name for node in cluster.nodes()] == ["n1"]
    assert cluster.capacity() == Capacity(8.0, 1.0)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (Capacity(64.0, 8.0), Capacity(64.0, 8.0)),
        (Capacity(1.0, 8.0), Capacity(2.0, 8.0)),
    ],
)
def test_what_may_come_counts_and_never_less_than_what_is_there(
    most: Capacity, expected: Capacity
) -> None:
    assert Cluster(Nodes(2.0), "", NO_FOLDER, most).capacity() == expected
