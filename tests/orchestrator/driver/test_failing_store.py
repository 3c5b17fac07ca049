"""Every call site at which a run touches its store fails once: it costs nothing but another try.

CI runs the driver and its workers in one process with every error, and with Ray with one;
`FAILING_STORE_ROUNDS=all pytest tests/orchestrator/driver/test_failing_store.py` has Ray do all.
"""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run as command
from orchestrator.cli.console import DONE, STOPPED
from orchestrator.cluster.connection import LocalCluster
from orchestrator.driver import retries
from orchestrator.driver import run as run_module
from orchestrator.driver import sweep_run as sweep_run_module
from orchestrator.driver.guard import StoreUnusableError
from orchestrator.driver.run import run_plan
from orchestrator.driver.sweep_run import Summary, SweepRun
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store import patience
from orchestrator.store import store as store_module
from orchestrator.store.addresses import open_folder
from orchestrator.store.failures import Cause
from orchestrator.store.patience import Patience
from orchestrator.store.store import Store
from orchestrator.worker import run as worker_module
from orchestrator.worker.job import JobConfig
from orchestrator.worker.keeper import StoreKeeper
from tests.orchestrator.commands import run
from tests.orchestrator.driver.test_sweep_run import OneMachine, Told, raises
from tests.orchestrator.failing import failing_folder
from tests.orchestrator.failing.failing_folder import failing, sites
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.sweeps import write_sweep
from trainer.files import LocalFolder
from trainer.keeper import Command, Progress
from trainer.problems import UserError

ERRORS = {
    "stale": errno.ESTALE,
    "io": errno.EIO,
    "full": errno.ENOSPC,
    "read-only": errno.EROFS,
    "no files": errno.EMFILE,
    "500": 0,
}
DATA = Path("data")
ALL_FINISHED = Summary(finished=7, failed=0, blocked=0, missing=0)


def one_after_the_other(run: SweepRun) -> None:
    """What Tune does, with one job at a time, here."""
    for trial_id in map(str, itertools.count()):
        run.tick()
        config = run.next_config(trial_id)
        if config is not None:
            run.on_start(trial_id)
            try:
                run.on_report(trial_id, worker_module.run_job(JobConfig(**config)))
            except Exception as error:  # noqa: BLE001 - as Tune's own, around a worker
                run.on_death(trial_id, str(error))
        elif run.is_over or run.must_leave:
            return


@pytest.fixture(scope="module")
def border() -> Iterator[pytest.MonkeyPatch]:
    """No Ray: a cluster of one machine, Tune in this process; and nobody waits."""
    cluster: Any = OneMachine()

    def connected(*_: object) -> AbstractContextManager[Any]:
        return nullcontext(cluster)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "connected", connected)
        patch.setattr(SweepRun, "_tune", one_after_the_other)
        patch.setattr(worker_module, "see_only_given_gpus", lambda: "here")
        patch.setattr(sweep_run_module, "SEE_EVERY_S", 0.0)
        patch.setattr(sweep_run_module, "LOOK_EVERY_S", 0.0)
        patch.setattr(patience, "FIRST_WAIT_S", 0.0)
        yield patch


def run_here(folder: Path, view: Told, checkpoint_every_minutes: float = 1e-6) -> Summary:
    """Run a sweep into `folder/store`, and tell how it ended."""
    changes = {
        "checkpoint_every_minutes": checkpoint_every_minutes,
        "student": {"epochs": 2},
    }
    plan = make_plan(
        load_sweep(write_sweep(folder, **changes)), Store(folder / "store"), retry_failed=False
    )
    store = Store(folder / "store")
    return run_plan(plan, store, str(DATA), LocalCluster(), view, afresh=plan.missing)


@pytest.fixture(scope="module")
def undisturbed_here(border: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run_here(folder, Told()) == ALL_FINISHED
    return Store(folder / "store")


def assert_nothing_is_lost(store: Store, undisturbed: Store) -> None:
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    assert store.failures().num_rows == 0
    assert {row["num_attempts"] for row in store.results().to_pylist()} == {1}


def fails(patch: pytest.MonkeyPatch, number: int, noted: Path) -> None:
    """From now on stores that are opened fail."""
    patch.setattr(store_module, "open_folder", failing(open_folder, number, noted))


@pytest.mark.parametrize("number", ERRORS.values(), ids=ERRORS)
def test_one_error_anywhere_costs_nothing_but_another_try(
    number: int, tmp_path: Path, undisturbed_here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    view = Told()
    with monkeypatch.context() as patch:
        fails(patch, number, noted)
        assert run_here(tmp_path, view) == ALL_FINISHED
    assert view.notes == ["0 trials start over, without their checkpoints"]
    assert_nothing_is_lost(Store(tmp_path / "store"), undisturbed_here)
    failed = list(sites(noted))
    for operation in ("open", "names", "folders", "read", "write", "remove", "tidy", "free_bytes"):
        assert [site for site in failed if site.startswith(operation)], operation
    assert len(failed) > 50


class FailingFromNowOn(Told):
    """A view that lets a store fail once the run has begun."""

    def __init__(self, noted: Path) -> None:
        super().__init__()
        self._noted = noted

    def begin(self, plan: Plan, logs: str) -> None:
        self._noted.mkdir()


def test_where_nothing_is_tried_again_at_once_an_error_costs_at_most_an_attempt(
    tmp_path: Path, undisturbed_here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind an outage that is longer than patience, at every call site there is."""
    view = FailingFromNowOn(tmp_path / "noted")
    monkeypatch.setattr(Patience, "__call__", lambda _, act: act())
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.0)
    monkeypatch.setattr(retries, "MACHINE_ATTEMPTS", 1000)
    with monkeypatch.context() as patch:
        fails(patch, errno.EIO, tmp_path / "noted")
        assert run_here(tmp_path, view) == ALL_FINISHED
    store = Store(tmp_path / "store")
    assert_same_results(store, undisturbed_here)
    failures = store.failures().to_pylist()
    assert failures
    assert {row["cause"] for row in failures} <= {Cause.IO.value, Cause.WORKER_DIED.value}


class Outage:
    """A store takes nothing, or its mount is gone, from a moment on until somebody has waited for it so often."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, *, is_mounted: bool) -> None:
        self._root, self._aside, self._is_mounted = root, root.with_name("aside"), is_mounted
        self._waits_left = 0
        self.num_steps = 0
        """Those that were taken meanwhile."""
        write, remove, wait, step = (
            *(LocalFolder.write, LocalFolder.remove),
            *(Patience._wait, StoreKeeper.after_step),
        )

        def begins(keeper: StoreKeeper, progress: Progress) -> Command:
            if progress.trials[0].kind == "student" and self.num_steps == 0:
                self._begin()
            self.num_steps += self._is_on
            return step(keeper, progress)

        def waits(patience: Patience, seconds: float) -> None:
            if self._is_on:
                self._waits_left -= 1
                if not self._is_on:
                    self._end()
            wait(patience, seconds)

        def unless_read_only(act: Any) -> Any:
            return lambda *given: refuse() if self._is_on and is_mounted else act(*given)

        patch.setattr(StoreKeeper, "after_step", begins)
        patch.setattr(Patience, "_wait", waits)
        patch.setattr(LocalFolder, "write", unless_read_only(write))
        patch.setattr(LocalFolder, "remove", unless_read_only(remove))

    @property
    def _is_on(self) -> bool:
        return self._waits_left > 0

    def _begin(self) -> None:
        self._waits_left = 10
        if not self._is_mounted:
            self._root.rename(self._aside)

    def _end(self) -> None:
        if not self._is_mounted:
            assert not self._root.exists(), "something was written below the mount"
            self._aside.rename(self._root)


@pytest.mark.parametrize("is_mounted", [True, False], ids=["read-only", "not mounted"])
def test_training_goes_on_while_its_store_is_away(
    is_mounted: bool, tmp_path: Path, undisturbed_here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has to be kept at the end is waited for; no attempt is lost, and the bits are the same."""
    monkeypatch.setattr(store_module, "BRIEFLY_S", 0.0)
    outage = Outage(tmp_path / "store", monkeypatch, is_mounted=is_mounted)
    assert run_here(tmp_path, Told(), checkpoint_every_minutes=10_000) == ALL_FINISHED
    assert_nothing_is_lost(Store(tmp_path / "store"), undisturbed_here)
    assert outage.num_steps > 1


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_store_that_takes_nothing_is_told_before_anything_runs(
    border: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "save_sweep", refuse)
    line = rf"^{tmp_path / 'store'}: the store cannot be used: Read-only file system; --store"
    with pytest.raises(UserError, match=line):
        run_here(tmp_path, Told())


def test_results_that_cannot_be_shown_change_no_exit_code(
    undisturbed_here: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = OSError(errno.EIO, "gone")
    monkeypatch.setattr(command, "_show_results", raises(error))
    sweep = undisturbed_here.root.parent / "sweep.yaml"
    with pytest.raises(SystemExit) as ended:
        command.run(sweep, undisturbed_here.address)
    assert ended.value.code == DONE
    assert f"WARNING: the results cannot be read: {error}" in capsys.readouterr().out


def test_a_plot_that_cannot_be_drawn_is_a_warning(
    undisturbed_here: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(undisturbed_here.root, tmp_path / "store")
    (tmp_path / "store" / "plots").write_text("a file where the plots' folder should be")
    with pytest.raises(SystemExit) as ended:
        command.run(undisturbed_here.root.parent / "sweep.yaml", str(tmp_path / "store"))
    assert ended.value.code == DONE
    told = capsys.readouterr().out
    assert f"WARNING: {tmp_path}/store/plots/tiny.png could not be drawn: " in told
    assert "Pearson" in told


def test_a_stopped_run_says_how_to_go_on_though_its_results_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_show_results", raises(UserError("results/a.parquet: damaged")))
    monkeypatch.setattr(command, "_run_missing", lambda *_: STOPPED)
    sweep = write_sweep(tmp_path)
    with pytest.raises(SystemExit) as ended:
        command.run(sweep, str(tmp_path / "store"), yes=True)
    assert ended.value.code == STOPPED
    assert f"to go on: kdsweep run {sweep}" in capsys.readouterr().out


def test_damage_is_told_by_the_exit_code_where_that_has_nothing_else_to_tell(
    undisturbed_here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = UserError("results/a.parquet: damaged")
    monkeypatch.setattr(command, "_show_results", raises(damaged))
    with pytest.raises(UserError, match="damaged"):
        command.run(undisturbed_here.root.parent / "sweep.yaml", undisturbed_here.address)


class Deaf(Told):
    """Standard output is a file on a full disk."""

    begin = tick = note = end = raises(OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize("why", [KeyboardInterrupt(), StoreUnusableError("gone")], ids=repr)
def test_a_run_that_can_show_nothing_ends_by_what_ended_it(
    why: BaseException, border: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SweepRun, "fit", raises(why))
    with pytest.raises(type(why)):
        run_here(tmp_path, Deaf())


def test_an_exit_code_stands_where_nothing_can_be_written(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from orchestrator.cli import run\n"
        "from orchestrator.cli.console import lasting_stdout\n"
        "from orchestrator.driver.guard import StoreUnusableError\n"
        "lasting_stdout().print('a line')\n"
        "with run._leaving_at_once():\n"
        "    raise StoreUnusableError('gone')\n"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, script], stdout=full, stderr=full, check=False)
    assert ended.returncode == STOPPED


def test_a_run_whose_store_stays_unusable_was_stopped_and_goes_on_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended, command._leaving_at_once():
        raise StoreUnusableError("the store could not be used for 10 minutes: gone")
    assert ended.value.code == STOPPED
    assert "10 minutes: gone; the same command goes on" in capsys.readouterr().err


ALL = os.environ.get("FAILING_STORE_ROUNDS") == "all"


@pytest.mark.slow
@pytest.mark.parametrize("number", list(ERRORS.values())[: None if ALL else 1])
def test_the_same_of_a_run_with_ray(
    number: int, home: Path, sweep: Path, tmp_path: Path, undisturbed: Store
) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    environment = {
        "PYTHONPATH": str(Path(failing_folder.__file__).parent),
        "FAILING_NUMBER": str(number),
        "FAILING_NOTED": str(noted),
    }
    arguments = ("run", sweep, "--store", tmp_path / "store", "--cpus", 2)
    code, output = run(home, *arguments, environment=environment)
    assert code == 0, output
    assert "cannot be used" not in output
    assert_nothing_is_lost(Store(tmp_path / "store"), undisturbed)
    failed = sites(noted)
    driver = {process for site, process in failed.items() if "sweep_run" in site}
    workers = {process for site, process in failed.items() if "keeper" in site}
    assert (len(driver), bool(workers)) == (1, True)
    assert driver.isdisjoint(workers)
    assert len(failed) > 50
