"""The folder of a run in the temporary folder."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cluster import run_folder as run_folder_module
from orchestrator.cluster.run_folder import KEPT, PREFIX, run_folder
from trainer.problems import UserError


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own, with a short path."""
    with tempfile.TemporaryDirectory(prefix="kdf-", dir="/tmp") as folder:
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_it_is_private_and_goes_with_its_run(temporary: Path) -> None:
    with run_folder() as folder:
        assert folder.path.parent == temporary
        assert folder.path.stat().st_mode & 0o777 == 0o700
        assert folder.token.stat().st_mode & 0o777 == 0o600
        with run_folder() as other:
            assert other.token.read_text() != folder.token.read_text()
    assert list(temporary.iterdir()) == []


def test_of_failed_and_killed_runs_the_last_few_stay(temporary: Path) -> None:
    killed = "import os; from orchestrator.cluster.run_folder import run_folder\n" + (
        "with run_folder(): os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", killed], env={"TMPDIR": str(temporary)}, check=False, cwd=Path.cwd()
    )
    assert len(list(temporary.glob(f"{PREFIX}*"))) == 1
    with run_folder() as running:
        for _ in range(2 * KEPT):
            with run_folder() as folder:
                folder.is_wanted = True
        left = set(temporary.iterdir())
        assert len(left - {running.path}) == KEPT + 1
        assert {running.path, folder.path} <= left
        assert not folder.token.exists()


def test_a_folder_that_somebody_else_may_have_made_is_left_alone(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    for number in range(2 * KEPT):
        (temporary / f"{PREFIX}{number}").symlink_to(elsewhere)
    with run_folder():
        pass
    assert len(list(temporary.glob(f"{PREFIX}*"))) == 2 * KEPT
    assert (elsewhere / "lock").exists()


def test_a_long_path_is_no_place_for_sockets(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = temporary / ("long" * 10)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with run_folder() as folder:
        assert folder.path.parent == Path("/tmp")


def test_where_nothing_can_be_written_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="set TMPDIR to one that can be written"), run_folder():
        pass


def test_its_path_is_the_one_that_the_kernel_tells(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its open files a process is known as one of Ray's, and those have no links in their names."""
    (temporary / "link").symlink_to(temporary)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "link"))
    with run_folder() as folder, folder.messages.open("w") as file:
        assert Path(f"/proc/self/fd/{file.fileno()}").readlink() == folder.messages


def test_many_runs_may_begin_at_once_and_forget_the_same_old_ones(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2 * KEPT):
        with run_folder() as folder:
            folder.is_wanted = True
    is_over = run_folder_module._is_over

    def over_and_removed(path: Path) -> bool:
        over = is_over(path)
        (path / "lock").unlink(missing_ok=True)
        return over

    monkeypatch.setattr(run_folder_module, "_is_over", over_and_removed)
    with run_folder():
        pass
