"""A cluster of several nodes: real raylets on this machine, of which some die."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.signs import Running
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.driver.test_faults import causes, students
from tests.orchestrator.raylets import WITH_TOKEN
from tests.orchestrator.results import assert_same_results, is_clean

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def clusters() -> Iterator[list[Any]]:
    """Clusters that were started and will be ended; a token is asked of whoever connects."""
    started: list[Any] = []
    yield started
    for cluster in started:
        cluster.shutdown()


def start_cluster(clusters: list[Any], num_nodes: int) -> Any:
    """A head that takes no jobs, and nodes of one CPU."""
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **memory})
    clusters.append(cluster)
    for _ in range(num_nodes):
        cluster.add_node(num_cpus=1, **memory)
    cluster.wait_for_nodes()
    return cluster


def test_a_node_is_removed_then_the_head_is_lost_and_a_new_cluster_resumes(
    clusters: list[Any], home: Path, sweep: Path, tmp_path: Path, undisturbed: Store
) -> None:
    store = Store(tmp_path / "store")
    cluster = start_cluster(clusters, num_nodes=2)
    arguments = ("run", sweep, "--store", store.root, "--address", cluster.address)
    process = start(home, *arguments, environment=WITH_TOKEN)
    wait_until(lambda: students(store))
    before = students(store)
    lost = next(n for n in cluster.list_all_nodes() if n.node_id == before[0].node)
    cluster.remove_node(lost, allow_graceful=False)
    moved = before[0]

    def elsewhere() -> list[Running]:
        signs = students(store, from_epoch=1)
        return [s for s in signs if s.fingerprint == moved.fingerprint and s.node != moved.node]

    wait_until(lambda: causes(store) and elsewhere())
    assert set(causes(store)) <= {"node died", "worker died"}
    assert all(sign.epoch >= moved.epoch - 1 for sign in elsewhere())

    cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    os.kill(process.pid, 9)
    finish(process)
    cluster.shutdown()
    clusters.remove(cluster)
    assert len(store.finished()) < 7

    renewed = start_cluster(clusters, num_nodes=2)
    arguments = ("run", sweep, "--store", store.root, "--address", renewed.address)
    code, output = run(home, *arguments, environment=WITH_TOKEN)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)


def test_without_its_token_a_cluster_lets_nobody_in(
    clusters: list[Any], home: Path, sweep: Path, tmp_path: Path
) -> None:
    cluster = start_cluster(clusters, num_nodes=0)
    arguments = ("run", sweep, "--store", tmp_path / "store", "--address", cluster.address)
    code, output = run(home, *arguments, environment={"RAY_AUTH_MODE": "disabled"})
    assert code == 2, output
    assert f"{cluster.address}: no Ray cluster to connect to" in output
    assert "Traceback" not in output
