"""`plan --power`, and what is kept of it."""

import json
import zipfile
from pathlib import Path

import pytest

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.upkeep.bundle import export
from orchestrator.upkeep.verification import verify
from tests.analysis.stores import fill
from tests.orchestrator.cli.conftest import Command
from tests.orchestrator.sweeps import write_sweep

STATED = ("--power", "--rho", "0.8", "--noise", "0.3")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path, augmentations="all", seeds=[0, 1, 2])


def test_power_is_told_of_what_is_stated_and_nothing_is_written(
    kd: Command, sweep: Path, tmp_path: Path
) -> None:
    code, out, _ = kd("plan", sweep, "--store", tmp_path / "store", *STATED)
    assert code == 0
    assert "power: share of such studies that find the relation" in out
    assert "as stated" in out
    assert "over 3 tests" in out
    assert not (tmp_path / "store").exists()
    _, out, _ = kd("plan", sweep, "--store", tmp_path / "store", "--json")
    assert "power" not in json.loads(out)


def test_a_store_tells_what_to_assume(kd: Command, sweep: Path, tmp_path: Path) -> None:
    store = fill(Store(tmp_path / "store"), expand(load_sweep(sweep)))
    code, out, _ = kd("plan", sweep, "--store", store.root, "--power", "--json")
    assert code == 0
    found = json.loads(out)["power"]
    assert found["assumptions"]["source"] == "a panel of this sweep"
    assert 0 < found["assumptions"]["noise"]["s_test_loss"] < 1
    assert (found["own"]["n"], found["own"]["num_seeds"], found["num_tests"]) == (9, 3, 3)
    _, out, _ = kd("plan", sweep, "--store", store.root, "--power", "--rho", "0.5", "--json")
    stated = json.loads(out)["power"]["assumptions"]
    assert (stated["rho"], stated["noise"]) == (0.5, found["assumptions"]["noise"])
    assert stated["source"] == "correlation as stated, noise: a panel of this sweep"
    # Another sweep on the same store is told by what is there.
    other = write_sweep(tmp_path, augmentations="all", seeds=[7])
    _, out, _ = kd("plan", other, "--store", store.root, "--power", "--json")
    assert json.loads(out)["power"]["assumptions"]["source"] == "a panel of store"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--power",), "so it tells no noise: state both, as in --rho 0.8 --noise 0.3"),
        (("--power", "--rho", "0.8"), "state both"),
        (("--rho", "0.8"), "--rho says something of --power"),
        (("--noise", "0.8"), "--noise says something of --power"),
        (("--keep",), "--keep says something of --power"),
    ],
)
def test_what_cannot_be_told_is_refused(
    options: tuple[str, ...], told: str, kd: Command, sweep: Path, tmp_path: Path
) -> None:
    code, _, err = kd("plan", sweep, "--store", tmp_path / "store", *options)
    assert (code, told in err) == (2, True)


def test_what_was_stated_is_kept_with_time_sweep_and_what_had_finished(
    kd: Command, sweep: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    code, out, _ = kd("plan", sweep, "--store", store.root, *STATED, "--keep")
    assert code == 0
    (name,) = store.stated_power()
    assert f"kept: {store.root}/power/{name}.json" in out
    stated = json.loads(store.stated_power()[name])
    assert stated["sweep"] == load_sweep(sweep).model_dump(mode="json")
    assert (stated["num_students"], stated["num_students_finished"]) == (27, 0)
    assert stated["stated_at"].endswith("+00:00")
    assert stated["power"]["assumptions"]["rho"] == 0.8
    assert store.sweeps() == {}
    fill(store, expand(load_sweep(sweep)))
    kd("plan", sweep, "--store", store.root, *STATED, "--keep")
    counts = {json.loads(c)["num_students_finished"] for c in store.stated_power().values()}
    assert counts == {0, 27}


def test_what_was_stated_is_verified_and_bundled(kd: Command, sweep: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    kd("plan", sweep, "--store", store.root, *STATED, "--keep")
    fill(store, expand(load_sweep(sweep)))
    (name,) = store.stated_power()
    path = store.root / "power" / f"{name}.json"
    export(store, tmp_path / "bundle.zip", load_sweep(sweep))
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert bundle.read(f"power/{name}.json") == path.read_bytes()
    assert not [f for f in verify(store) if f.file and f.file[0] == "power"]
    path.write_text(path.read_text().replace('"rho": 0.8', '"rho": 0.7'))
    assert [f.file for f in verify(store) if f.file] == [("power", f"{name}.json")]
