"""A command line that cannot be read: one line, exit code 2, the nearest that is known."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.console import as_command
from tests.orchestrator.cli.conftest import Command
from tests.orchestrator.commands import KDSWEEP, fresh_environment


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("plann", "kdsweep: no such command plann; did you mean 'plan'?"),
        ("sweeps copi", "kdsweep sweeps: no such command copi; did you mean 'copy'?"),
        ("plan x --storee y", "kdsweep plan: no such option --storee; did you mean '--store'?"),
        ("plan x -q", "kdsweep plan: no such option -q; known are --store, --set, --data, "),
        ("table x --format latx", "kdsweep table: --format: unknown value 'latx'; did you mean"),
        ("plan x --gpus two", "kdsweep plan: --gpus: expected a whole number, not 'two'"),
        ("run x --cpus 0", "kdsweep run: --cpus: expected at least 1, not '0'"),
        ("run", "kdsweep run: SWEEP is missing: A sweep file (YAML), or the name of one that"),
        ("plan x y", "kdsweep plan: unexpected argument y"),
        ("plan x --store", "--store: expected a value behind it"),
        ("plan x --json=3", "--json: expected no value"),
    ],
)
def test_a_line_that_cannot_be_read(line: str, told: str, kd: Command) -> None:
    code, out, err = kd(*line.split())
    assert code == 2
    assert out == ""
    assert err.startswith(told)
    assert len(err.splitlines()) == 1


def test_without_arguments_there_is_help(kd: Command) -> None:
    code, out, _ = kd()
    assert code == 2
    assert "Usage" in out


@pytest.mark.parametrize("arguments", [("models",), ("schema",), ("--help",)])
def test_a_reader_that_has_enough_ends_a_command_quietly(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """As of any program: what SIGPIPE would have given, and no word."""
    with subprocess.Popen(
        [KDSWEEP, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=fresh_environment(tmp_path),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_mistake_that_nobody_reads_is_still_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [KDSWEEP, "plan", "missing.yaml"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=fresh_environment(tmp_path),
    ) as process:
        assert process.stderr is not None
        process.stderr.close()
    assert process.returncode == 2


@pytest.mark.parametrize("streams", [">/dev/full 2>/dev/full", ">&- 2>&-"])
@pytest.mark.parametrize(
    "words",
    [
        (KDSWEEP, "run", "missing.yaml"),
        (KDSWEEP, "diff", "missing.yaml", "missing.yaml"),
        (KDSWEEP, "plan", "--gpus", "two", "missing.yaml"),
        (sys.executable, "-m", "trainer", "missing.yaml"),
    ],
    ids=["run", "diff", "plan", "trainer"],
)
def test_bad_input_is_2_wherever_its_line_goes(
    words: tuple[str, ...], streams: str, tmp_path: Path
) -> None:
    """On a full disk a batch system has nothing else to go by."""
    ended = subprocess.run(
        f"{shlex.join(words)} {streams}",
        shell=True,
        cwd=tmp_path,
        env=fresh_environment(tmp_path),
        check=False,
    )
    assert ended.returncode == 2


def test_a_command_that_is_shown_can_be_pasted() -> None:
    words = ["run", Path("my sweep's [1].yaml"), "--store", "s3://bucket/a b"]
    shown = as_command(*words)
    assert shlex.split(shown) == ["kdsweep", *map(str, words)]
    assert as_command("run", "q.yaml") == "kdsweep run q.yaml"


def test_brackets_in_a_path_are_shown(kd: Command, tmp_path: Path) -> None:
    (tmp_path / "a [red]").mkdir()
    (tmp_path / "results").mkdir()
    code, out, _ = kd("table", ".", "-o", "a [red]/x.csv")
    assert code == 0
    assert out == "a [red]/x.csv\n"


def test_a_run_goes_on_when_its_reader_has_left(tmp_path: Path) -> None:
    """`kdsweep run SWEEP | head -1` is no reason to lose a night's work."""
    program = (
        "from orchestrator.cli.console import lasting_stdout\n"
        "console = lasting_stdout()\n"
        "for number in range(5000):\n"
        "    console.print(f'epoch {number}')\n"
        "open('done', 'w').close()\n"
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} | head -1"
    told = subprocess.run(
        line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (told.stdout, told.stderr) == ("epoch 0\n", "")
    assert (tmp_path / "done").exists()
