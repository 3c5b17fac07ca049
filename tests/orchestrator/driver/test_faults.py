"""Real faults in real runs: what hangs, is preempted, runs out of memory or is damaged loses nothing."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.signs import Running
from orchestrator.store.store import Store
from tests.orchestrator.clocks import clocks_wrong_by
from tests.orchestrator.commands import finish, run, start, trial_workers, wait_until
from tests.orchestrator.conftest import SETTINGS
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.sweeps import write_sweep
from trainer.checkpoint import CheckpointFolder
from trainer.positions import newest_position

pytestmark = pytest.mark.slow


def students(store: Store, from_epoch: int = 3) -> list[Running]:
    """The students that are at work, from an epoch on."""
    signs = store.signs.running().values()
    return [s for s in signs if s.epochs == 8 and s.step and s.epoch >= from_epoch]


def the_students_worker(store: Store) -> int:
    wait_until(lambda: students(store))
    return students(store)[0].process.pid


def causes(store: Store) -> list[str]:
    return sorted(row["cause"] for row in store.failures().to_pylist())


def test_a_preempted_worker_saves_at_its_next_step(
    home: Path, tmp_path: Path, undisturbed: Store
) -> None:
    """No checkpoint is due for days: only SIGTERM can have made one."""
    sweep = write_sweep(tmp_path, **{**SETTINGS, "checkpoint_every_minutes": 10_000})
    store = Store(tmp_path / "store")
    process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
    worker = the_students_worker(store)
    fingerprint = students(store)[0].fingerprint
    assert worker in trial_workers(process.pid)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        os.kill(worker, number)
    folder = store.checkpoint_folder(fingerprint)
    wait_until(lambda: newest_position(folder))
    code, output = finish(process)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    assert store.failures().num_rows == 0
    attempts = {r["fingerprint"]: r["num_attempts"] for r in store.results().to_pylist()}
    assert attempts[fingerprint] == 2


def test_a_worker_that_hangs_is_killed_and_tried_again_though_its_clock_is_days_behind(
    home: Path, tmp_path: Path, undisturbed: Store
) -> None:
    sweep = write_sweep(tmp_path, **SETTINGS, heartbeat_minutes=0.4)
    store = Store(tmp_path / "store")
    clocks = clocks_wrong_by(tmp_path / "clocks", worker_days=-2)
    arguments = ("run", sweep, "--store", store.root, "--cpus", 2)
    process = start(home, *arguments, environment=clocks)
    worker = the_students_worker(store)
    os.kill(worker, signal.SIGSTOP)
    code, output = finish(process)
    assert code == 0, output
    assert "no sign of life for" in output
    assert not Path(f"/proc/{worker}").exists()
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    assert set(causes(store)) == {"no sign of life"}
    assert all("did not answer" in row["traceback"] for row in store.failures().to_pylist())


def test_workers_that_ray_kills_for_memory_fail_their_trials_but_not_for_ever(
    home: Path, sweep: Path, tmp_path: Path, undisturbed: Store
) -> None:
    """Ray's own memory monitor, told that next to no memory may be used, kills every worker."""
    store = Store(tmp_path / "store")
    arguments = ("run", sweep, "--store", store.root, "--cpus", 2)
    monitor = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "100"}
    code, output = run(home, *arguments, environment=monitor)
    assert code == 1, output
    assert "1 failed, 6 blocked by them" in output
    assert causes(store) == ["out of memory"] * 4
    code, output = run(home, *arguments)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)


def test_damaged_weights_block_only_what_needs_them_and_any_run_mends_it(
    home: Path, sweep: Path, tmp_path: Path, undisturbed: Store
) -> None:
    """Those of a finished student: the one trial that needs them fails, twice, by the machine's fault."""
    rows = undisturbed.results().to_pylist()
    picking = next(r for r in rows if r["kind"] == "stddev" and r["student"])
    shutil.copytree(undisturbed.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    store.forget([picking["fingerprint"]])
    folder = store.root / "checkpoints" / picking["student_fingerprint"]
    content = bytearray((folder / "final.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "final.safetensors").write_bytes(content)
    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 1, output
    first, second = store.failures().to_pylist()
    for row in (first, second):
        assert row["fingerprint"] == picking["fingerprint"]
        assert (row["cause"], row["by_machine"]) == ("weights unreadable", True)
        assert f"kdsweep prune {store.root} damaged" in row["error"]
        assert "Traceback" in row["traceback"]
    assert first["place"] == second["place"] != ""
    assert len(store.finished()) == 6
    code, output = run(home, "status", sweep, "--store", store.root)
    assert "does not match its checksum" in output

    code, output = run(home, "verify", store.root)
    assert code == 1
    assert "mend: kdsweep prune STORE damaged" in output
    code, output = run(home, "prune", store.root, "damaged")
    assert code == 0, output
    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 0, output
    assert_same_results(store, undisturbed)


def test_two_drivers_on_one_store_that_is_looked_after_meanwhile(
    home: Path, sweep: Path, tmp_path: Path, undisturbed: Store
) -> None:
    """The clock of the first is two days ahead, that of its worker two days behind."""
    store = Store(tmp_path / "store")
    clocks = clocks_wrong_by(tmp_path / "clocks", driver_days=2, worker_days=-2)
    arguments = ("resume", sweep, "--store", store.root, "--cpus", 1)
    first = start(home, *arguments, environment=clocks)
    wait_until(store.signs.runs)
    second = start(home, "resume", sweep, "--store", store.root, "--cpus", 1)
    while second.poll() is None:
        for command in (("compact",), ("prune", "checkpoints", "failures", "damaged")):
            code, output = run(home, command[0], store.root, *command[1:])
            assert code == 0, output
            assert "results " not in output
    code, output = finish(second)
    assert code == 0, output
    assert "another run works on this store: tiny on " in output
    assert f"(process {first.pid}," in output
    code, output = finish(first)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    assert store.failures().num_rows == 0
    assert {r["num_attempts"] for r in store.results().to_pylist()} == {1}


def test_a_deadline_saves_and_leaves_in_time(home: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "checkpoint_every_minutes": 10_000}
    settings["teachers"] = {"epochs": 100_000, "milestones": [1]}
    sweep = write_sweep(tmp_path, **settings)
    store = Store(tmp_path / "store")
    begun = time.monotonic()
    arguments = ("--store", store.root, "--cpus", 1, "--deadline", "35s")
    code, output = run(home, "run", sweep, *arguments)
    assert code == 3, output
    assert "the deadline is near" in output
    assert f"to go on: kdsweep run {sweep}" in output
    assert time.monotonic() - begun < 120
    (folder,) = store.root.glob("checkpoints/*")
    assert CheckpointFolder(folder).latest() is not None
    assert not store.signs.running()
