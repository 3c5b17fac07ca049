"""The disk for temporary files fills up under a run: the machine's fault, told in a line, and nothing is lost."""

import errno
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run as command
from orchestrator.cli.console import STOPPED
from orchestrator.driver import searcher
from orchestrator.driver.guard import StoreUnusableError
from orchestrator.driver.scratch import ScratchUnusableError, scratch
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.driver.test_full_disk import fill
from tests.orchestrator.driver.test_sweep_run import Table
from tests.orchestrator.results import assert_same_results, is_clean
from tests.trainer.test_disk import MIB, mount

FULL = OSError(errno.ENOSPC, "No space left on device", "experiment_state.json")


def wrapped() -> Exception:
    """As Tune raises what it meets while it hears of a result: another error, with that one's text."""
    try:
        try:
            raise FULL
        except OSError:
            raise RuntimeError("Traceback (most recent call last): ...")  # noqa: B904
    except RuntimeError as error:
        return error


class Tuner:
    """Ray Tune, whose folder cannot be written."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def fit(self) -> None:
        raise self._error


@pytest.mark.parametrize("error", [FULL, wrapped()], ids=["plain", "wrapped"])
def test_a_full_disk_under_tune_stops_the_run_and_is_told_in_a_line(
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table(tmp_path / "table")
    cluster: Any = table.run._cluster
    cluster.folder = type("Folder", (), {"path": tmp_path})
    table.hand_out("a")

    def tuner_of(*_: object, **__: object) -> Tuner:
        return Tuner(error)

    monkeypatch.setattr(searcher, "tuner_of", tuner_of)
    with pytest.raises(SystemExit) as ended, command._leaving_at_once():
        table.run.fit()
    assert ended.value.code == STOPPED
    told = capsys.readouterr().err
    assert told.startswith(
        f"{tmp_path}: No space left on device: Ray Tune cannot go on; make space"
    )
    assert "or set TMPDIR to another folder; the same command goes on from" in told
    assert len(told.splitlines()) == 1
    assert not table.store.signs.running()
    assert not table.store.signs.runs()


def test_where_nothing_can_be_made_it_is_told_as_well(tmp_path: Path) -> None:
    with pytest.raises(ScratchUnusableError, match="No such file"), scratch(tmp_path / "gone"):
        pass


@pytest.mark.parametrize("error", [ValueError("a bug"), StoreUnusableError("s"), ConnectionError()])
def test_other_errors_are_raised_as_they_are(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, scratch(tmp_path):
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 64 MiB, with a path that is short enough for Ray's sockets."""
    place = Path(tempfile.mkdtemp(prefix="kds-", dir="/tmp"))
    if not mount(place, f"size={64 * MIB}"):
        place.rmdir()
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


@pytest.mark.slow
def test_a_run_whose_temporary_files_find_no_space_goes_on_later(
    home: Path, sweep: Path, disk: Path, tmp_path: Path, undisturbed: Store
) -> None:
    store = Store(tmp_path / "store")
    arguments = ("run", sweep, "--store", store.root, "--cpus", 2)
    there = {"TMPDIR": str(disk)}
    process = start(home, *arguments, environment=there)
    wait_until(store.signs.running)
    ballast = fill(disk)
    code, output = finish(process)
    assert code == STOPPED, output
    assert "No space left on device: Ray Tune cannot go on; make space there" in output
    assert "Traceback" not in output
    ballast.unlink()
    code, output = run(home, *arguments, environment=there)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
