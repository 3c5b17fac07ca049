"""A worker's pod that is taken away: its jobs save, its Ray node drains and ends, and the run goes on elsewhere."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cluster.kubernetes.leaving import leave
from orchestrator.cluster.kubernetes.manifests import LEAVING
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, hear_signals, start, wait_until
from tests.orchestrator.conftest import SETTINGS
from tests.orchestrator.raylets import WITH_TOKEN, Raylets
from tests.orchestrator.results import is_clean
from tests.orchestrator.sweeps import write_sweep
from trainer.positions import newest_position

NO_GPU = {kind: {"gpu": 0} for kind in ("teacher", "student", "stddev")}


def test_where_nothing_trains_it_tells_ray_and_is_done(tmp_path: Path) -> None:
    ray = subprocess.Popen(["sleep", "600"], preexec_fn=hear_signals)  # noqa: PLW1509
    assert leave(ray.pid)
    assert ray.wait() == -15


DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"


def test_what_does_not_leave_is_waited_for_no_longer_than_it_may(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Processes below this one: it is no Ray, and survives being told."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    trains = subprocess.Popen(
        ["ray::Job.train()", "-c", DEAF], executable=sys.executable, stdout=subprocess.PIPE
    )
    try:
        assert trains.stdout is not None
        assert trains.stdout.readline() == b"1\n"
        assert not leave(os.getpid(), within_s=0.5)
        assert "1 jobs have not saved" in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGTERM, before)
        trains.kill()
        trains.communicate()


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("KUBERNETES_TESTS"), reason="KUBERNETES_TESTS=1: minutes")
@pytest.mark.filterwarnings("default")
@pytest.mark.xdist_group("kubernetes")
def test_a_worker_that_is_taken_away_saves_and_the_run_goes_on_elsewhere(
    home: Path, tmp_path: Path
) -> None:
    """No checkpoint is due for days: only the hook can have made one."""
    settings = {**SETTINGS, "checkpoint_every_minutes": 10_000, "resources": NO_GPU}
    settings |= {"augmentations": ["identity"], "measure": ["s_test_loss"]}
    sweep, store = write_sweep(tmp_path, **settings), Store(tmp_path / "store")
    cluster = Raylets(home)
    try:
        cluster.start_head()
        cluster.add_node(
            "--num-cpus=1", environment={"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "110"}
        )
        there = ("run", sweep, "--store", store.root, "--address", cluster.address)
        process = start(home, *there, environment=WITH_TOKEN)
        wait_until(
            lambda: any(s.epochs == 8 and s.epoch >= 3 for s in store.signs.running().values())
        )
        node = cluster._nodes[-1]
        hook = [sys.executable, *LEAVING[1:], str(node.pid)]
        assert subprocess.run(hook, check=False, timeout=200).returncode == 0
        fingerprints = [path.name for path in store.checkpoints.iterdir()]
        saved = [newest_position(store.checkpoint_folder(fp)) for fp in fingerprints]
        assert any(saved)
        node.wait(timeout=120)
        cluster.add_node("--num-cpus=1")
        code, output = finish(process)
        assert code == 0, output
    finally:
        cluster.stop()
    attempts = {row["kind"]: row["num_attempts"] for row in store.results().to_pylist()}
    assert attempts == {"teacher": 1, "student": 2}
    assert store.failures().num_rows == 0, "whoever is asked to leave has not failed"
    assert is_clean(store)
