"""`kdsweep resume` and Ctrl-C twice, through the command line."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.cluster.interruption import ONE_WITHIN_S
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.orchestrator.commands import descendants, finish, run, start, trial_workers, wait_until
from tests.orchestrator.conftest import SETTINGS
from tests.orchestrator.driver.test_faults import students
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.sweeps import write_sweep
from trainer.files import process_is_alive


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*")}


@pytest.mark.slow
def test_left_at_once_then_started_over_in_part_then_run(
    home: Path, tmp_path: Path, undisturbed: Store
) -> None:
    """Checkpoints are due after every second epoch alone."""
    intervals = {"checkpoint_every_minutes": 10_000, "checkpoint_every_epochs": 2}
    sweep = write_sweep(tmp_path, **{**SETTINGS, **intervals})
    store = Store(tmp_path / "store")
    arguments = (sweep, "--store", store.root, "--cpus", 2)
    process = start(home, "run", *arguments)
    (cutmix,) = (
        t for t in expand(load_sweep(sweep)) if (t.kind, t.augmentation) == ("student", "cutmix")
    )
    wait_until(lambda: students(store, from_epoch=3))
    wait_until(lambda: list(store.root.glob(f"checkpoints/{cutmix.fingerprint}/step-*")))
    names = {path.name for path in store.root.glob("checkpoints/*/step-*")}
    assert names
    assert names <= {f"step-{epoch:06d}-00000000.safetensors" for epoch in (3, 5, 7)}
    workers = trial_workers(process.pid)
    services = [pid for pid, _ in descendants(process.pid)]
    # So that none can save and leave in order before the second signal, which within two seconds is no second.
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: list(store.root.glob("stops/*")))
    time.sleep(ONE_WITHIN_S + 0.1)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 3, output
    assert output.count("left at once") == 1
    assert output.splitlines()[-1].startswith("left at once; the same command goes on")
    assert "Traceback" not in output
    assert workers
    wait_until(lambda: not any(map(process_is_alive, {*workers, *services})))
    assert not store.signs.running()

    trials = expand(load_sweep(sweep))
    of = {(t.kind, t.augmentation): store.root / "checkpoints" / t.fingerprint for t in trials}
    before = {key: contents(folder) for key, folder in of.items()}
    unfinished = [key for key, files in before.items() if any("step-" in name for name in files)]
    assert ("student", "cutmix") in unfinished
    code, output = run(home, "resume", *arguments, "--only", "cutmix", "--from-scratch")
    assert code == 0, output
    assert "1 trials start over, without their checkpoints" in output
    for key in (("teacher", None), ("student", "identity"), ("student", "cutmixpick_s")):
        assert contents(of[key]) == before[key]
    assert sorted(contents(of["student", "cutmix"])) == ["final.safetensors"]

    code, output = run(home, "run", *arguments)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    rows = store.results().to_pylist()
    attempts = {row["augmentation"]: row["num_attempts"] for row in rows if row["student"]}
    assert attempts == {"identity": 2, "cutmix": 1, "cutmixpick_s": 2}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cutmx", "--only cutmx: nothing of tiny; did you mean 'cutmix'?"),
        (
            "resnet8/resnt8",
            "--only resnet8/resnt8: nothing of tiny; did you mean 'resnet8/resnet8'",
        ),
        ("0123456789", "--only 0123456789: nothing of tiny"),
        ("", "--only : nothing of tiny"),
        ("../../etc", "--only ../../etc: nothing of tiny"),
    ],
)
def test_a_word_that_names_nothing_starts_nothing_over(
    word: str, expected: str, tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path)
    store = Store(tmp_path / "store")
    folder = store.checkpoint_folder(expand(load_sweep(sweep))[0].fingerprint)
    folder.write("step-000001-00000001.safetensors", b"kept")
    arguments = (sweep, "--store", store.root, "--only", word, "--from-scratch")
    code, output = run(tmp_path, "resume", *arguments)
    assert code == 2
    assert output.startswith(expected)
    assert len(output.splitlines()) == 1
    assert folder.names()


def test_nothing_starts_over_where_nothing_can_start(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    store = Store(tmp_path / "store")
    folder = store.checkpoint_folder(expand(load_sweep(sweep))[0].fingerprint)
    folder.write("step-000001-00000001.safetensors", b"kept")
    arguments = (sweep, "--store", store.root, "--from-scratch", "--address", "127.0.0.1:1")
    code, output = run(tmp_path, "resume", *arguments)
    assert code == 2
    assert "no Ray cluster to connect to" in output
    assert folder.names()


LATE_SIGNAL = """
import os, signal, sys

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{name}):
        kill(pid, number)

sys.late = Late()
"""
"""Sends it when Python has let go of its signal handlers."""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_last_moment_changes_no_exit_code(name: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LATE_SIGNAL.format(name=name))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    code, output = run(tmp_path, "run", "missing.yaml", environment={"PYTHONPATH": path})
    assert (code, len(output.splitlines())) == (2, 1)
