"""Ray's own autoscaler, whose nodes come when a sweep's jobs wait for them."""

import shlex
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.autoscaled import ADDRESS, can_have_namespaces, on_an_autoscaled_cluster
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.data_files import write_image_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        not can_have_namespaces(), reason="no process here may have a network of its own"
    ),
]


def test_a_sweep_brings_the_nodes_that_it_needs_and_they_are_asked_first(
    home: Path, tmp_path: Path
) -> None:
    """A teacher needs one node, the two students that follow it two; with no word of what may come, none is asked for."""
    sweep = write_sweep(tmp_path, augmentations=["identity", "cutmix"], measure=["s_test_loss"])
    store = tmp_path / "store"
    words = ["kdsweep", "run", sweep, "--store", store, "--address", ADDRESS]
    command = shlex.join(map(str, words))
    code, output = on_an_autoscaled_cluster(
        home, f"{command}; echo code $?; {command} --scale-to 0,2", {"CPU": 1}, most_nodes=2
    )
    first, _, second = output.partition("code 2\n")
    assert "no node has 1 CPU" in first
    assert "--scale-to tells what an autoscaler may bring" in first
    assert code == 0, output
    assert "no node is there yet; up to 0 GPU and 2 CPU may come" in second
    assert second.count("has joined, and has what it needs") == 2, second
    assert "3 finished" in second
    assert Store(store).failures().num_rows == 0


def test_nodes_that_all_lack_something_are_not_brought_for_ever(home: Path, tmp_path: Path) -> None:
    """Their cache cannot be written. Each is asked for as the one before is closed; three are enough."""
    write_image_folder(tmp_path / "data", each=40)
    mine = {"name": "mine", "path": str(tmp_path / "data"), "format": "imagefolder"}
    sweep = write_sweep(
        tmp_path, dataset={**mine, "image_size": 16}, augmentations=None, measure=["s_test_loss"]
    )
    words = ["run", sweep, "--store", tmp_path / "store", "--address", ADDRESS, "--scale-to", "0,4"]
    code, output = on_an_autoscaled_cluster(
        home,
        f"KDSWEEP_CACHE={tmp_path / 'cache'} kdsweep {shlex.join(map(str, words))}",
        {"CPU": 1},
        most_nodes=4,
        surroundings={"KDSWEEP_CACHE": "/proc/nocache"},
    )
    assert code == 3, output
    assert output.count("gets no job: /proc/nocache: the cache cannot be written") == 3
    assert "stopping: one node after the other has come, and each lacked something" in output
    assert Store(tmp_path / "store").failures().num_rows == 0
