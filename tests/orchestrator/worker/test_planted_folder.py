"""Logs of a store elsewhere are kept on this machine: never where somebody else has prepared the place."""

import os
import tempfile
from pathlib import Path

import pytest

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import work
from trainer.problems import UserError


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of all users."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_link_to_a_victim_s_files_is_not_followed_and_the_trial_goes_on_without_a_log(
    shared: Path, tmp_path: Path
) -> None:
    teacher = expand(load_sweep(write_sweep(tmp_path)))[0]
    store = Store(f"memory://{tmp_path.name}/store")
    (tmp_path / "victim").mkdir(mode=0o700)
    (shared / f"kdsweep-{os.geteuid()}").symlink_to(tmp_path / "victim")
    work(store, [teacher])
    assert store.finished() == {teacher.fingerprint}
    assert list((tmp_path / "victim").iterdir()) == []
    with pytest.raises(UserError, match=r"kdsweep-\d+: a link; it is not used"):
        store.trial_folder(teacher.fingerprint)


def test_what_is_ours_is_used(shared: Path, tmp_path: Path) -> None:
    teacher = expand(load_sweep(write_sweep(tmp_path)))[0]
    store = Store(f"memory://{tmp_path.name}/store")
    work(store, [teacher])
    log = store.trial_folder(teacher.fingerprint) / "log.txt"
    assert "finished" in log.read_text()
    assert log.is_relative_to(shared)
