"""The command line without Ray: help, bad input, speed of imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from orchestrator.cli.main import app
from tests.orchestrator.commands import KDSWEEP, fresh_environment, run
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.guest_models import DROPS

COMMANDS = (
    *("plan", "run", "resume", "status", "logs", "models", "schema"),
    *("submit", "slurm", "jobs", "stop", "kubernetes", "trial", "sweeps", "teachers"),
    *("table", "plot", "report", "rank", "diff", "track", "import-logs", "import-table"),
    *("verify", "export", "compact", "prune"),
)
QUICKSTART = Path(__file__).parents[3] / "sweeps" / "quickstart.yaml"


def test_the_commands_are_a_surface() -> None:
    assert set(COMMANDS) == set(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    code, output = run(tmp_path, command, "--help")
    assert code == 0
    assert f"Example: kdsweep {command}" in output


@pytest.mark.parametrize("command", ["models", "plan quickstart", "verify store"])
def test_a_working_folder_that_was_removed_is_told_in_one_line(
    command: str, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    answer = subprocess.run(
        ["sh", "-c", f"rmdir '{gone}' && exec {KDSWEEP} {command}"],
        cwd=gone,
        env=fresh_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert "the working folder is gone" in line


def test_the_options_are_a_surface(tmp_path: Path) -> None:
    """Scripts rely on these: an option may be added, not taken away."""
    _, output = run(tmp_path, "run", "--help")
    assert {"--store", "--data", "--cpus", "--gpus", "--address", "--deadline"} <= set(
        output.replace(",", " ").split()
    )
    for command in ("plan", "status", "models", "table", "verify"):
        _, output = run(tmp_path, command, "--help")
        assert "--json" in output


@pytest.mark.parametrize(
    "module", ["orchestrator.cli.main", "orchestrator.planning.plan", "analysis.points"]
)
def test_planning_and_reading_import_neither_ray_nor_torch(module: str) -> None:
    script = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    modules = {name.split(".")[0] for name in json.loads(answer.stdout)}
    assert not modules & {"ray", "torch", "torchvision"}
    if module == "orchestrator.cli.main":
        assert not modules & {"pandas", "pyarrow", "pydantic", "scipy", "matplotlib"}


def test_models_are_listed_with_their_sizes(tmp_path: Path) -> None:
    code, output = run(tmp_path, "models")
    assert code == 0
    assert "resnet8x4" in output
    assert "1,233,540" in output
    assert "177,071,104" in output
    code, output = run(tmp_path, "models", "--json")
    assert json.loads(output)["vgg8"]["multiply_adds"] == 96_192_512


def test_a_sweep_s_models_are_listed_with_their_sizes_on_its_data(tmp_path: Path) -> None:
    """A model of one's own beside one of kdsweep's, which has ten classes there and not a hundred."""
    (tmp_path / "mine.py").write_text(DROPS)
    pairs = ["resnet8/drops"]
    sweep = write_sweep(tmp_path, models=str(tmp_path / "mine.py"), pairs=pairs)
    code, output = run(tmp_path, "models", sweep, "--json")
    assert code == 0, output
    assert json.loads(output) == {
        "resnet8": {"parameters": 83_892 - 90 * 65, "multiply_adds": 3_125_888},
        "drops": {"parameters": 224 + 16 + 330, "multiply_adds": 8 * 8 * 8 * 27 + 320},
    }


def test_a_plan_needs_no_store(tmp_path: Path) -> None:
    code, output = run(tmp_path, "plan", QUICKSTART)
    assert code == 0
    assert "quickstart: 37 trials" in output
    assert not (tmp_path / "kdsweep-store").exists()


@pytest.mark.parametrize("command", ["plan", "run", "resume", "status"])
def test_a_bad_sweep_is_one_line_and_exit_code_2(command: str, tmp_path: Path) -> None:
    path = write_sweep(tmp_path, pairs=["resnet8/resnt8"])
    code, output = run(tmp_path, command, path)
    assert code == 2
    assert "unknown model 'resnt8'; did you mean 'resnet8'?" in output
    assert len(output.strip().splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.yaml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "missing.yaml"), "missing.yaml: cannot be read: No such file or directory"),
        (("table", "nowhere"), "nowhere: no such folder"),
        (("plot", ".", "-o", "x.bmp"), "x.bmp: unknown format 'bmp'"),
        (("plot", "."), "nothing to draw"),
        (("verify", "s4://bucket"), "unknown kind of address; known are file"),
        (("table", "s3://user:secret@bucket/store"), "s3://***@bucket/store: no credentials"),
        (("prune", ".", "checkpoint"), "what to remove; did you mean 'checkpoints'?"),
        (("prune", ".", "0123456789"), "0 trials have a fingerprint that starts so"),
        (("export", "."), "there is nothing to export"),
        (("run", QUICKSTART, "--deadline", "soon"), "--deadline: 'soon': expected hours"),
        (("run", QUICKSTART, "--address", "auto", "--cpus", 2), "--cpus and --gpus size a Ray of"),
        (("run", QUICKSTART, "--address", "ray://x:1"), "ray://x:1: expected HOST:PORT of a Ray"),
        (("run", QUICKSTART, "--address", "127.0.0.1:1"), "127.0.0.1:1: no Ray cluster to connect"),
        (("run", QUICKSTART, "--store", "memory://x"), "no worker can see this process's memory"),
        (("resume", QUICKSTART, "--only", "cutmx"), "--only cutmx: nothing of quickstart; did you"),
    ],
)
def test_other_bad_input(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    code, output = run(tmp_path, *arguments)
    assert code == 2
    assert expected in output
    assert "Traceback" not in output


def test_the_store_is_taken_from_the_option_then_the_environment_then_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.cli.opening import open_sweep

    monkeypatch.chdir(tmp_path)
    plain, named = write_sweep(tmp_path), tmp_path / "named.yaml"
    named.write_text(plain.read_text() + "\nstore: from-sweep\n")
    assert open_sweep(plain, None)[1].root == tmp_path / "kdsweep-store"
    assert open_sweep(named, None)[1].root == tmp_path / "from-sweep"
    assert open_sweep(named, "given")[1].root == tmp_path / "given"
