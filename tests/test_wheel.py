"""The wheel alone, in a new environment and an empty folder: it plans the paper, runs the smoke sweep, reports."""

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


def call(*command: object, cwd: Path, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KDSWEEP_", "RAY_"))}
    answer = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**kept, "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment's bin folder: the wheel is installed there, its libraries are seen by a path."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", TOP)
    call(*build, cwd=folder)
    assert len(list((folder / "dist").glob("*.tar.gz"))) == 1
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "environment", with_pip=False, symlinks=True)
    (own,) = (folder / "environment" / "lib").glob("python*/site-packages")
    # Folders that a .pth names have no say of their own: an editable kdsweep there is not seen.
    (own / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    bin_folder = folder / "environment" / "bin"
    call(bin_folder / "python", "-m", "installer", wheel, cwd=folder)
    return bin_folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return tmp_path


def test_it_is_the_wheel_s_own_code(installed: Path, empty: Path) -> None:
    script = "import kdsweep, orchestrator, trainer; print(kdsweep.__file__, orchestrator.__file__, trainer.__file__)"
    paths = call(installed / "python", "-c", script, cwd=empty).split()
    assert all(Path(path).is_relative_to(installed.parent) for path in paths)


def test_it_brings_the_paper(installed: Path, empty: Path) -> None:
    kdsweep = installed / "kdsweep"
    assert "paper_cifar100" in call(kdsweep, "sweeps", cwd=empty)
    assert "paper_cifar100: 395 trials" in call(kdsweep, "plan", "paper_cifar100", cwd=empty)
    written = call(kdsweep, "sweeps", "copy", "paper_smoke", "mine", cwd=empty).split()
    assert written == [
        "mine/paper_smoke.yaml",
        "mine/paper_cifar100.yaml",
        "mine/sweep.schema.json",
    ]
    assert "135 trials" in call(kdsweep, "plan", "mine/paper_smoke.yaml", cwd=empty)


@pytest.mark.slow
def test_it_runs_a_sweep_and_reports(installed: Path, empty: Path) -> None:
    kdsweep, home = installed / "kdsweep", str(empty)
    output = call(kdsweep, "run", "smoke", "--cpus", 2, cwd=empty, HOME=home)
    assert "19 finished" in output
    assert "Pearson" in output
    call(kdsweep, "report", "kdsweep-store", cwd=empty, HOME=home)
    page = (empty / "report.html").read_text()
    assert "Does T. stddev predict S. test loss?" in page
    assert str(TOP) not in page
