"""One contract for every kind of address: a folder, file://, memory://, and a real server of each kind of object store."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from orchestrator.store.signs import Run
from orchestrator.store.store import Store
from orchestrator.worker.attempts import begin_attempt
from tests.orchestrator.store.object_servers import KINDS, ObjectServer, object_server
from tests.orchestrator.store.test_store import DEAD, ONE, OTHER, failure, running
from trainer.checkpoint import Checkpoint, CheckpointError, CheckpointFolder
from trainer.positions import Position

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectServer]:
    with object_server("s3") as server:
        yield server


@pytest.fixture(scope="module")
def gs() -> Iterator[ObjectServer]:
    with object_server("gs") as server:
        yield server


@pytest.fixture(scope="module")
def abfs() -> Iterator[ObjectServer]:
    with object_server("abfs") as server:
        yield server


@pytest.fixture(params=["folder", "file", "memory", *KINDS])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "folder":
            return str(tmp_path / "store")
        case "file":
            return f"file://{tmp_path}/store"
        case "memory":
            return f"memory://{uuid.uuid4().hex}/store"
        case kind:
            server: ObjectServer = request.getfixturevalue(kind)
            return server.address(uuid.uuid4().hex)


def test_a_store_keeps_everything(address: str) -> None:
    store = Store(address)
    assert store.finished() == frozenset()
    assert store.results().num_rows == 0
    assert store.signs.running() == store.signs.runs() == store.sweeps() == {}
    store.add_result({"fingerprint": ONE, "test_loss": 0.1}, [{"epoch": 1}, {"epoch": 2}])
    store.add_result({"fingerprint": OTHER, "t_stddev": 0.2}, [{"epoch": 1}])
    store.add_failure(failure(ONE, 1, by_machine=True))
    again = Store(store.address)
    assert again.finished() == {ONE, OTHER}
    assert again.results([ONE])["test_loss"].to_pylist() == [0.1]

    before = [again.results(), again.epochs(), again.failures()]
    done = store.compact()
    assert (done["results"].files_before, done["results"].files_after) == (2, 1)
    assert [again.results(), again.epochs(), again.failures()] == before
    assert again.finished() == {ONE, OTHER}
    store.forget([OTHER])
    assert again.finished() == {ONE}
    assert again.epochs().num_rows == 2


def test_signs_of_life_and_flags(address: str) -> None:
    store = Store(address)
    store.signs.set_running(running(ONE))
    store.signs.set_running(running(OTHER, DEAD))
    assert list(store.signs.running()) == [ONE]
    assert store.signs.last(OTHER) is not None
    store.signs.set_run(Run("run", "sweep", "elsewhere", "now"))
    assert list(store.signs.runs()) == ["run"]
    store.stops.set("run")
    assert store.stops.is_set("run")
    assert not store.stops.is_set("other")
    store.tidy()
    assert store.signs.last(OTHER) is None
    assert list(store.signs.running()) == [ONE]
    for _ in range(2):
        store.stops.clear("run")
        store.signs.clear_run("run")
        store.signs.clear_running(ONE)
    assert not store.stops.is_set("run")
    assert store.signs.running() == store.signs.runs() == {}
    store.save_sweep("tiny", {"name": "tiny"})
    assert list(store.sweeps().values()) == [b'{\n "name": "tiny"\n}']


def test_checkpoints(address: str) -> None:
    store = Store(address)
    folder = store.checkpoint_folder(ONE)
    checkpoints = CheckpointFolder(folder)
    assert checkpoints.latest() is None
    with pytest.raises(CheckpointError, match="no final weights"):
        checkpoints.weights()
    assert [begin_attempt(folder).count for _ in range(2)] == [1, 2]
    for step in (1, 2, 3):
        tensors = {"w": torch.full((1000,), float(step))}
        checkpoints.save(Checkpoint(Position(1, step), tensors, {"curve": []}))
    folder.write("step-000001-00000009.safetensors", b"half")
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.position == Position(1, 3)
    assert torch.equal(latest.tensors["w"], torch.full((1000,), 3.0))
    assert len(checkpoints.damaged()) == 1
    checkpoints.keep({"w": torch.ones(3)})
    checkpoints.drop_checkpoints()
    folder.remove("attempts.json")
    assert folder.names() == ["final.safetensors"]
    assert folder.size("final.safetensors") == len(folder.read("final.safetensors"))
    assert store.folder.folder("checkpoints").folders() == [ONE]
    assert torch.equal(checkpoints.weights()["w"], torch.ones(3))
    for absent in (folder.read, folder.size):
        with pytest.raises(FileNotFoundError):
            absent("absent")
