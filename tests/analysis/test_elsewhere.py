"""A store is readable without kdsweep, and the analysis without Ray and torch."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("somewhere") / "kdsweep-store"
    return fill(Store(root), paper_trials(["vgg13/vgg8"], ["cifar100"]))


def one_liners() -> dict[str, str]:
    text = (DOCS / "analysis.md").read_text()
    blocks = re.findall(r"```python\n(import (\w+)\n.*?)```", text, re.DOTALL)
    return {library: block for block, library in blocks}


@pytest.mark.parametrize("library", ["pandas", "duckdb", "polars"])
def test_the_documented_line_reads_every_row(
    library: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.root.parent)
    names: dict[str, object] = {}
    exec(one_liners()[library], names)
    frame = names["frame"]
    assert sorted(map(str, frame["fingerprint"])) == sorted(store.finished())  # type: ignore[index]
    assert list(map(str, frame["kind"])).count("stddev") == 27  # type: ignore[index]


def test_the_notebook_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDSWEEP_STORE", str(store.root))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), before))))
    notebook = nbformat.read(DOCS / "analysis.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    told = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "cutmixpick_t" in told
    assert "Kendall" in told
    assert "Traceback" not in told


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "analysis").rglob("*.py")
)


def test_the_analysis_imports_neither_ray_nor_torch_and_nothing_heavy_before_it_is_used() -> None:
    script = (
        "import importlib, json, sys\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT
    )
    modules = set(json.loads(answer.stdout))
    assert not modules & {"ray", "torch", "torchvision", "matplotlib", "scipy", "polars", "duckdb"}
