"""The sweeps that come with kdsweep: by name, as a list, as copies."""

import json
from pathlib import Path

import pytest

from orchestrator.language.shipped import copy, find, shipped_sweeps
from orchestrator.language.sweep import load_sweep
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

SWEEPS = Path(__file__).parents[3] / "sweeps"


def test_every_sweep_is_listed_with_what_it_is_for() -> None:
    listed = shipped_sweeps()
    assert [sweep.name for sweep in listed] == sorted(path.stem for path in SWEEPS.glob("*.yaml"))
    for sweep in listed:
        assert 20 < len(sweep.about) < 120, sweep
        assert load_sweep(sweep.name).name == sweep.name


def test_a_file_that_is_there_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("smoke") == SWEEPS / "smoke.yaml"
    (tmp_path / "smoke").mkdir()
    assert find("smoke") == SWEEPS / "smoke.yaml"
    (tmp_path / "smoke").rmdir()
    write_sweep(tmp_path).rename(tmp_path / "smoke")
    assert load_sweep("smoke").name == "tiny"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("paper_cifar10", "paper_cifar10: cannot be read: No such file or directory; did you mean 'paper_cifar100'?"),
        ("smoke.yaml", "smoke.yaml: cannot be read: No such file or directory; did you mean 'smoke'?"),
        ("qqqq", "qqqq: cannot be read: No such file or directory; kdsweep sweeps lists those of its own"),
        ("other/smoke", "other/smoke: cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_is_neither_is_refused(given: str, told: str, tmp_path: Path) -> None:
    code, output = run(tmp_path, "plan", given)
    assert code == 2
    assert told in output
    assert len(output.splitlines()) == 1


def test_a_copy_has_all_that_it_extends(tmp_path: Path) -> None:
    code, output = run(tmp_path, "sweeps", "copy", "paper_prolonged", "mine")
    assert code == 0
    names = {"paper_prolonged.yaml", "paper_cifar100.yaml", "sweep.schema.json"}
    assert {Path(line).name for line in output.split()} == names
    assert {path.name for path in (tmp_path / "mine").iterdir()} == names
    assert load_sweep(tmp_path / "mine" / "paper_prolonged.yaml") == load_sweep("paper_prolonged")
    assert copy("paper_prolonged", tmp_path / "mine")


def test_a_copy_overwrites_nothing_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "paper_cifar100.yaml").write_text("mine")
    with pytest.raises(UserError, match=r"paper_cifar100.yaml: another file is there already"):
        copy("paper_prolonged", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["paper_cifar100.yaml"]
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        copy("smokes", tmp_path)


def test_what_else_lies_beside_the_sweeps_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout that is where people keep their own, and where editors leave locks and other encodings."""
    monkeypatch.setattr("orchestrator.language.shipped._folder", lambda: tmp_path)
    write_sweep(tmp_path).rename(tmp_path / "mine.yaml")
    (tmp_path / ".#mine.yaml").symlink_to("somebody@host.123")
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "latin.yaml").write_bytes("# Für mich.\n".encode("latin-1"))
    assert load_sweep("mine").name == "tiny"
    assert [sweep.name for sweep in shipped_sweeps()] == ["latin", "mine"]


def test_the_list_for_scripts(tmp_path: Path) -> None:
    code, output = run(tmp_path, "sweeps", "--json")
    assert code == 0
    assert {"name", "about", "path"} == set(json.loads(output)[0])
    assert Path(json.loads(output)[0]["path"]).is_file()
