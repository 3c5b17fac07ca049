"""A signal that comes when all is done cuts short what is still shown; the exit code is 0 all the same."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import fresh_environment, hear_signals
from tests.orchestrator.sweeps import write_sweep

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[3]
COMMAND = """
import signal, sys
from contextlib import contextmanager

from orchestrator.cli import main
from orchestrator.cli import run as command
from orchestrator.driver import run as run_module
from orchestrator.driver.claims import Claims
from orchestrator.driver.sweep_run import SweepRun
from orchestrator.worker import run as worker_module
from tests.orchestrator.driver.test_failing_store import one_after_the_other
from tests.orchestrator.driver.test_sweep_run import OneMachine

moment = sys.argv.pop(1)

def now(name):
    if name == moment:
        signal.raise_signal(signal.SIGTERM)

def before(owner, name):
    usual = getattr(owner, name)
    def act(*given, **named):
        now(name)
        return usual(*given, **named)
    setattr(owner, name, act)

@contextmanager
def connected(*_):
    yield OneMachine()
    now("shutdown")

run_module.connected = connected
SweepRun._tune = one_after_the_other
worker_module.see_only_given_gpus = lambda: "here"
before(SweepRun, "_tune")
before(Claims, "end")
before(command, "_show_results")
before(main, "_leave_if_broken_into")
main.command_line()
"""
"""`kdsweep run` without Ray, which sends itself a signal at one moment."""


def run_here(folder: Path, moment: str) -> "subprocess.CompletedProcess[str]":
    """Run a sweep into `folder/store`."""
    sweep = write_sweep(folder, measure=["s_test_loss"], augmentations=["identity"])
    arguments = ("run", sweep, "--store", folder / "store")
    return subprocess.run(
        [sys.executable, "-c", COMMAND, moment, *map(str, arguments)],
        env=fresh_environment(folder) | {"PYTHONPATH": str(TOP)},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=hear_signals,
    )


@pytest.fixture(scope="module")
def without_the_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which one trial is left to do."""
    folder = tmp_path_factory.mktemp("done")
    ended = run_here(folder, "never")
    assert (ended.returncode, ended.stderr) == (0, "")
    store = Store(folder / "store")
    store.forget([row["fingerprint"] for row in store.results().to_pylist() if row["student"]])
    return store.root


@pytest.mark.parametrize(
    ("moment", "code"),
    [("_tune", 3), ("end", 0), ("shutdown", 0), ("_show_results", 0), ("_leave_if_broken_into", 0)],
)
def test_a_signal_gives_3_and_0_where_all_is_done(
    moment: str, code: int, without_the_student: Path, tmp_path: Path
) -> None:
    shutil.copytree(without_the_student, tmp_path / "store")
    ended = run_here(tmp_path, moment)
    assert (ended.returncode, ended.stderr) == (code, ""), ended.stdout
    assert len(Store(tmp_path / "store").finished()) == (2 if code == 0 else 1)
