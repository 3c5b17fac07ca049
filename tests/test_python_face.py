"""The public face: docs/python.md runs as it stands, and nothing heavy comes with it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kdsweep
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from tests.orchestrator.sweeps import write_sweep

TOP = Path(__file__).parents[1]
PAGE = (TOP / "docs" / "python.md").read_text()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("somewhere") / "kdsweep-store"
    return fill(Store(root), paper_trials(["vgg13/vgg8"], ["cifar100"]))


def test_the_page_runs_from_top_to_bottom(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(store.root.parent)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    told = capsys.readouterr().out
    assert told.startswith("395 ")
    assert "cifar100 vgg13/vgg8 cutmixpick_t" in told
    assert "cifar100 vgg13/vgg8 identity" not in told
    assert "did you mean 'paper_cifar100'?" in told
    assert "Kendall" in told
    assert "vit\\_b/tiny (imported)" in told


def test_every_public_name_is_documented() -> None:
    for name in (
        "load_sweep",
        "expand",
        "plan",
        "Store",
        "panels",
        "panels_from",
        "correlate",
        "weigh",
        "tables",
        "UserError",
    ):
        assert name in kdsweep.__all__
        assert f"kdsweep.{name}" in PAGE, name
        assert getattr(kdsweep, name).__doc__


def test_panels_of_one_sweep_are_its_trials_alone(store: Store, tmp_path: Path) -> None:
    sweep = kdsweep.load_sweep(write_sweep(tmp_path))
    assert len(kdsweep.panels(store)) == 1
    assert kdsweep.panels(store, sweep) == []
    assert kdsweep.panels(store, kdsweep.load_sweep("paper_cifar100")) == kdsweep.panels(store)


def test_it_imports_neither_ray_nor_torch() -> None:
    script = "import sys, json, kdsweep; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, cwd=TOP
    )
    modules = {name.split(".")[0] for name in json.loads(answer.stdout)}
    assert not modules & {"ray", "torch", "torchvision", "matplotlib"}
