"""What others have planted in the shared temporary folder is never used."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from trainer.private_folder import private_folder
from trainer.problems import UserError


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of all users."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def planted(shared: Path) -> Path:
    """Where the folder of this user would be."""
    return shared / f"kdsweep-{os.geteuid()}"


def test_it_is_made_once_and_open_to_nobody_else(planted: Path) -> None:
    before = os.umask(0)
    try:
        assert private_folder("remote", "digest") == planted / "remote" / "digest"
    finally:
        os.umask(before)
    for folder in (planted, planted / "remote", planted / "remote" / "digest"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (planted / "remote" / "digest" / "kept").touch()
    assert (private_folder("remote", "digest") / "kept").exists()


def test_a_link_is_not_followed(shared: Path, planted: Path) -> None:
    (shared / "home").mkdir(mode=0o700)
    planted.symlink_to(shared / "home")
    with pytest.raises(UserError, match=r"kdsweep-\d+: a link; it is not used. TMPDIR says"):
        private_folder("stacks")
    assert not list((shared / "home").iterdir())
    planted.unlink()
    planted.symlink_to(shared / "nowhere")
    with pytest.raises(UserError, match="a link"):
        private_folder("stacks")


def test_neither_is_one_further_down(shared: Path) -> None:
    (private_folder() / "stacks").symlink_to(shared)
    with pytest.raises(UserError, match="stacks: a link"):
        private_folder("stacks")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(planted: Path) -> None:
    planted.mkdir(mode=0o700)
    os.chown(planted, 12345, 12345)
    with pytest.raises(UserError, match=r"made by another user \(uid 12345\)"):
        private_folder("stacks")
    assert not list(planted.iterdir())


def test_one_where_others_may_have_put_something_is_not_used(planted: Path) -> None:
    planted.mkdir()
    planted.chmod(0o770)
    with pytest.raises(UserError, match=r"open to other users \(mode 770\)"):
        private_folder("stacks")


def test_a_file_in_its_place_and_a_folder_that_cannot_be_made_are_told(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted.touch()
    with pytest.raises(UserError, match="not a folder"):
        private_folder()
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    with pytest.raises(UserError, match=r"cannot be made: No such file.*TMPDIR"):
        private_folder()
