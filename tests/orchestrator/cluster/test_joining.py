"""Real raylets that join while a sweep runs: one that lacks kdsweep, one that lacks the data, one that has all."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.provenance import TOP
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, start, wait_until
from tests.orchestrator.raylets import WITH_TOKEN, Raylets, can_hide_folders
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.data_files import write_image_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        not can_hide_folders(), reason="no process here may have its own view of the file system"
    ),
]


@pytest.fixture
def cluster(home: Path) -> Iterator[Raylets]:
    raylets = Raylets(home)
    try:
        raylets.start_head()
        yield raylets
    finally:
        raylets.stop()


def nodes_of(store: Store) -> set[str]:
    """Where trials are at work."""
    return {sign.node for sign in store.signs.running().values() if sign.node}


def test_nodes_that_join_are_asked_before_they_get_a_job(
    home: Path, cluster: Raylets, tmp_path: Path
) -> None:
    """Jobs wait for a place when the nodes join, so Ray gives them one at once, before anybody could ask."""
    data, empty = tmp_path / "data", tmp_path / "empty"
    empty.mkdir()
    write_image_folder(data, each=40)
    mine = {"name": "mine", "path": str(data), "format": "imagefolder", "image_size": 16}
    sweep = write_sweep(
        tmp_path,
        dataset=mine,
        seeds=list(range(6)),
        augmentations=["identity", "cutmix"],
        student={"epochs": 20},
        stddev={"epochs": 10},
        resources={kind: {"gpu": 0} for kind in ("teacher", "student", "stddev")},
    )
    store = Store(tmp_path / "store")
    cluster.add_node("--num-cpus=1")
    process = start(
        home,
        *("run", sweep, "--store", store.root, "--address", cluster.address),
        environment=WITH_TOKEN,
    )
    wait_until(lambda: process.poll() is not None or nodes_of(store))
    assert process.poll() is None, finish(process)
    first = nodes_of(store)
    cluster.add_node("--num-cpus=1", mounts={TOP / "orchestrator": empty})
    cluster.add_node(
        "--num-cpus=1", mounts={data: empty}, environment={"KDSWEEP_CACHE": str(tmp_path / "cache")}
    )
    cluster.add_node("--num-cpus=1")
    try:
        wait_until(lambda: process.poll() is not None or nodes_of(store) - first, timeout=300)
    finally:
        process.send_signal(signal.SIGINT)
        code, output = finish(process)
    assert code == 3, output
    assert "asking 1 node for" in output
    lines = [line for line in output.splitlines() if "gets no job:" in line]
    assert len(lines) == 2, lines
    assert sum("orchestrator.worker is not installed there" in line for line in lines) == 1, lines
    assert sum(f"{data}" in line for line in lines) == 1, lines
    assert output.count("has joined, and has what it needs") == 1
    assert store.failures().num_rows == 0, store.failures().to_pylist()
    assert not list(store.root.glob("marks/*"))
