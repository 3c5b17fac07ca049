"""Runs leave nothing behind: no process, no file, no handle. `LEAK_RUNS=50` tries it that often."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.commands import fresh_environment, wait_until
from tests.orchestrator.sweeps import write_sweep

pytestmark = pytest.mark.slow

RUNS = int(os.environ.get("LEAK_RUNS", "5"))
SHARED_MEMORY = Path("/dev/shm")
IN_ONE_PROCESS = """
import gc, json, os, sys, threading
from contextlib import suppress
from pathlib import Path
from orchestrator.cluster.connection import LocalCluster
from orchestrator.driver.run import run_plan
from orchestrator.driver.view import make_view
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import make_plan
from orchestrator.store.store import Store
from rich.console import Console

def handles():
    # Ray leaves one closed socket of its own in the process for each session.
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if not os.readlink(link).startswith("socket:"):
                yield link

folder, runs = Path(sys.argv[1]), int(sys.argv[2])
sweep = load_sweep(folder / "sweep.yaml")
for number in range(runs):
    store = Store(folder / f"store-{number}")
    plan = make_plan(sweep, store, retry_failed=False)
    view = make_view(Console(file=sys.stderr))
    summary = run_plan(plan, store, str(folder / "data"), LocalCluster(1), view)
    gc.collect()
    state = {
        "finished": summary.finished,
        "handles": sum(1 for _ in handles()),
        "threads": threading.active_count(),
        "files": [str(path) for path in Path(os.environ["TMPDIR"]).rglob("*") if path.is_file()],
        "processes": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
    }
    print(json.dumps(state), flush=True)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder of a run's own, with a path that is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="kdl-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(600 + 60 * RUNS)
def test_runs_leave_no_process_no_file_and_no_handle(tmp_path: Path, temporary: Path) -> None:
    write_sweep(tmp_path, augmentations=["identity"], measure=["s_test_loss"])
    shared = set(SHARED_MEMORY.iterdir())
    ended = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, str(tmp_path), str(RUNS)],
        env=fresh_environment(tmp_path) | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    states = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(states) == RUNS
    first, *_, last = states
    assert {state["finished"] for state in states} == {2}
    assert all(state["files"] == state["processes"] == [] for state in states)
    # What is opened once for all runs is open after the first.
    assert last["handles"] == first["handles"]
    assert last["threads"] == first["threads"]
    assert list(temporary.glob("kdsweep-run-*")) == []
    assert not (tmp_path / ".ray").exists()
    wait_until(lambda: set(SHARED_MEMORY.iterdir()) <= shared, timeout=20)
