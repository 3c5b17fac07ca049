"""Signals, and a Ray that dies, at any moment of a real run: exit code 3, nothing lost, nothing left behind."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import descendants, finish, run, start, trial_workers, wait_until
from tests.orchestrator.results import assert_same_results, is_clean

pytestmark = pytest.mark.slow


def of_home(home: Path) -> list[int]:
    """Every process that was started, by whomever, with this home: also those that nobody waits for any more."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            environment = (path / "environ").read_bytes() if path.name.isdigit() else b""
            is_dead = path.name.isdigit() and b"\nState:\tZ" in (path / "status").read_bytes()
        except OSError:
            continue
        if f"HOME={home}".encode() in environment.split(b"\0") and not is_dead:
            found.append(int(path.name))
    return found


def at_work(process: "subprocess.Popen[str]", store: Store) -> None:
    """Wait until a trial of this run gives signs of life."""
    wait_until(lambda: trial_workers(process.pid) and store.signs.running())


def of_ray(process: "subprocess.Popen[str]", name: str) -> int:
    (found,) = (
        pid
        for pid, _ in descendants(process.pid)
        if Path(f"/proc/{pid}/exe").resolve().name == name
    )
    return found


@pytest.mark.parametrize(
    ("after_s", "number"),
    [(0.7, "SIGTERM"), (2, "SIGINT"), (3.5, "SIGHUP"), (5, "SIGUSR1"), (8, "SIGUSR2")],
)
def test_a_signal_before_anything_runs(
    after_s: float, number: str, sweep: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, "run", sweep, "--store", tmp_path / "store", "--cpus", 2)
    time.sleep(after_s)
    process.send_signal(getattr(signal, number))
    code, output = finish(process, timeout=60)
    assert code == 3, output
    assert "Traceback" not in output
    assert of_home(tmp_path) == []


def test_a_whole_group_is_signalled_then_ray_dies_twice_and_nothing_is_lost(
    sweep: Path, undisturbed: Store, tmp_path: Path
) -> None:
    """What `timeout`, batch systems and systemd send reaches kdsweep alone: its Ray is in another session."""
    store = Store(tmp_path / "store")
    arguments = ("run", sweep, "--store", store.root, "--cpus", 2)

    process = start(tmp_path, *arguments)
    at_work(process, store)
    os.killpg(process.pid, signal.SIGTERM)
    # Slurm's own signal and that of a forwarding script are one.
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process, timeout=60)
    assert code == 3, output
    assert "stopping: what runs is saved" in output
    assert "left at once" not in output
    assert list(store.root.glob("checkpoints/*/step-*"))
    assert not store.signs.running()
    assert of_home(tmp_path) == []

    for name in ("raylet", "gcs_server"):
        process = start(tmp_path, *arguments)
        at_work(process, store)
        os.kill(of_ray(process, name), signal.SIGKILL)
        code, output = finish(process, timeout=60)
        assert code == 3, output
        assert f"Ray's {name} on this machine has died (exit code -9)" in output
        assert "the same command goes on from the last checkpoints" in output
        assert "Traceback" not in output
        assert "state-dump" not in output, "pages of the raylet's log"
        (logs,) = re.findall(r"Ray's own logs, while it runs: (\S+)", output)
        assert list(Path(logs).iterdir()), "they may tell why"
        wait_until(lambda: of_home(tmp_path) == [], timeout=20)

    code, output = run(tmp_path, *arguments)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    assert of_home(tmp_path) == []


@pytest.mark.parametrize("after_s", [0.5, 1.5, 2.5])
def test_a_signal_when_all_is_done(
    after_s: float, sweep: Path, home: Path, undisturbed: Store
) -> None:
    """Nothing is left to do but to show it: 3 before that is known, 0 from then on."""
    process = start(home, "run", sweep, "--store", undisturbed.root)
    time.sleep(after_s)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process, timeout=60)
    assert code in (0, 3), output
    assert code == 0 or "all 7 trials are finished already" not in output
    assert "Traceback" not in output
