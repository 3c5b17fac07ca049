"""Files appear whole or not at all, also where others tidy the same folder at the same time."""

import errno
import multiprocessing
from pathlib import Path

import pytest

from trainer.files import LocalFolder, write_atomically


class TidiedAway:
    """`Path.open` with somebody who removes the empty folder just before, so many times."""

    def __init__(self, patch: pytest.MonkeyPatch, times: float) -> None:
        self.left = times
        opened = Path.open

        def tidied_and_opened(path: Path, *arguments: str, **named: str) -> object:
            if path.name.endswith(".tmp") and self.left > 0:
                self.left -= 1
                path.parent.rmdir()
            return opened(path, *arguments, **named)

        patch.setattr(Path, "open", tidied_and_opened)


def test_a_folder_that_vanishes_before_its_first_file_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied = TidiedAway(monkeypatch, times=3)
    write_atomically(tmp_path / "signs" / "a.json", b"{}")
    assert tidied.left == 0
    assert (tmp_path / "signs" / "a.json").read_bytes() == b"{}"


def test_a_folder_that_vanishes_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when `mkdir` tried, gone when it looked, and by now another process has made it."""
    make, folder = Path.mkdir, tmp_path / "signs"

    def made_by_another(path: Path, *arguments: object, **named: object) -> None:
        monkeypatch.setattr(Path, "mkdir", make)
        folder.mkdir()
        raise FileExistsError(errno.EEXIST, "File exists", str(path))

    monkeypatch.setattr(Path, "mkdir", made_by_another)
    write_atomically(folder / "a.json", b"{}")
    assert (folder / "a.json").read_bytes() == b"{}"


def test_a_folder_that_never_stays_is_the_machine_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TidiedAway(monkeypatch, times=float("inf"))
    with pytest.raises(OSError, match="vanishes") as caught:
        write_atomically(tmp_path / "signs" / "a.json", b"{}")
    assert caught.value.errno == errno.ESTALE


def test_a_file_where_a_folder_is_to_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signs").write_text("")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "signs" / "a.json", b"{}")


def test_a_file_that_is_removed_with_its_folder_at_once_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LocalFolder(tmp_path / "signs")
    replace = Path.replace

    def replaced_and_removed(path: Path, target: Path) -> None:
        replace(path, target)
        folder.remove(target.name)
        folder.tidy()

    monkeypatch.setattr(Path, "replace", replaced_and_removed)
    folder.write("a", b"")
    assert not folder.path.exists()


def write_and_remove(path: str, name: str) -> int:
    """How many of many writes failed."""
    folder, failed = LocalFolder(Path(path)), 0
    for _ in range(300):
        try:
            folder.write(name, b"x")
            folder.remove(name)
            folder.tidy()
        except OSError:
            failed += 1
    return failed


def test_writers_that_tidy_the_same_folder_lose_no_file(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        asked = [(str(tmp_path / "signs"), name) for name in "abcd"]
        assert pool.starmap(write_and_remove, asked) == [0] * 4


def test_what_a_container_of_the_same_host_name_writes_is_not_tidied_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts its processes for itself: here, nobody may have its writer's number."""
    with monkeypatch.context() as container:
        container.setattr("trainer.files.process_space", lambda: "another container")
        container.setattr("os.getpid", lambda: 2**30)
        container.setattr(Path, "replace", lambda *_: None)
        write_atomically(tmp_path / "a.json", b"{}")
    assert list(tmp_path.glob(".*.tmp"))
    LocalFolder(tmp_path).tidy()
    assert list(tmp_path.glob(".*.tmp"))
