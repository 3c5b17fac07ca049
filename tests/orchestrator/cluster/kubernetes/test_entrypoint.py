"""The printed entry point on a real Ray, handed over as KubeRay's submitter does: what each end is to KubeRay."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cluster.kubernetes.manifests import COMMAND_FILE, ENTRY_POINT, SWEEP_IS_AT
from orchestrator.store.store import Store
from tests.orchestrator.commands import fresh_environment
from tests.orchestrator.raylets import BIN, WITH_TOKEN, Raylets
from tests.orchestrator.sweeps import write_sweep


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[Raylets]:
    raylets = Raylets(home)
    try:
        raylets.start_head()
        raylets.add_node("--num-cpus=1")
        yield raylets
    finally:
        raylets.stop()


def submitted(home: Path, cluster: Raylets, job_id: str, folder: Path, *command: object) -> str:
    """The status of a job and its log, once both can be told: the submitter's shell line is KubeRay's."""
    file = folder / f"{job_id}-{COMMAND_FILE}"
    file.write_text(json.dumps({"command": [str(word) for word in command]}))
    entry_point = ENTRY_POINT.replace(f"{SWEEP_IS_AT}/{COMMAND_FILE}", str(file))
    ray = f"ray job submit --address {cluster.dashboard}"
    follow = f"ray job logs --address {cluster.dashboard} --follow {job_id}"
    line = f"{ray} --no-wait --submission-id {job_id} -- {entry_point} ; {follow}"
    answer = subprocess.run(
        ["bash", "-c", line],
        env=fresh_environment(home) | dict(WITH_TOKEN) | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout + answer.stderr


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("KUBERNETES_TESTS"), reason="KUBERNETES_TESTS=1: minutes")
@pytest.mark.filterwarnings("default")
@pytest.mark.xdist_group("kubernetes")
def test_an_end_is_final_unless_another_try_can_mend_it(
    home: Path, cluster: Raylets, tmp_path: Path
) -> None:
    """FAILED is the only end after which KubeRay makes a new cluster."""
    sweep, store = write_sweep(tmp_path), tmp_path / "store"
    there = ("--address", "auto", "--store", store, "--yes")
    bad = shutil.copy(sweep, tmp_path / "bad.yaml")
    bad.write_text(bad.read_text().replace("cutmixpick_s", "cutmixpick_x"))

    told = submitted(home, cluster, "bad-input", tmp_path, "run", bad, *there)
    assert "unknown augmentation 'cutmixpick_x'" in told
    assert "exit code 2: not tried again" in told
    assert "Job 'bad-input' was stopped" in told

    told = submitted(home, cluster, "deadline", tmp_path, "run", sweep, *there, "--deadline", "1s")
    assert "Job 'deadline' failed" in told
    assert "failed with exit code 3" in told
    begun = len(Store(store).finished())

    told = submitted(home, cluster, "again", tmp_path, "run", sweep, *there)
    assert "Job 'again' succeeded" in told, told
    assert len(Store(store).finished()) == 7 > begun


def test_where_no_ray_can_be_asked_the_exit_code_is_kdsweep_s_own(tmp_path: Path) -> None:
    """Then it is tried again in vain, which is told."""
    file = tmp_path / COMMAND_FILE
    file.write_text(json.dumps({"command": ["run", str(tmp_path / "none.yaml")]}))
    words = ENTRY_POINT.replace(f"{SWEEP_IS_AT}/{COMMAND_FILE}", str(file)).split()
    answer = subprocess.run(
        [sys.executable, *words[words.index("-P") :]],
        env=fresh_environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert "none.yaml: cannot be read" in answer.stderr
    assert "Ray cannot be asked to stop this job, so it is tried again" in answer.stderr
