"""`--notify CMD`: told of every end of a run, and no end is another one because of it."""

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import notifying as module
from orchestrator.cli.notifying import notifying
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.analysis.stores import fill
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

TELLER = """
import json, os, sys
told = {"argv": sys.argv[1:], "stdin": json.load(sys.stdin)}
told |= {name: os.environ.get("KDSWEEP_" + name) for name in ("OUTCOME", "EXIT_CODE", "SWEEP", "STORE", "MESSAGE")}
open("told.json", "w").write(json.dumps(told))
print("never mixed with the tables")
sys.exit(5)
"""


@pytest.fixture
def teller(tmp_path: Path) -> str:
    (tmp_path / "teller.py").write_text(TELLER)
    return shlex.join([sys.executable, str(tmp_path / "teller.py"), "$HOME", "a b;c"])


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return found


def test_a_run_that_is_done_is_told_and_its_exit_code_is_its_own(
    tmp_path: Path, teller: str
) -> None:
    sweep, store = write_sweep(tmp_path), tmp_path / "store"
    trials = expand(load_sweep(sweep))
    fill(Store(store), trials)
    code, output = run(tmp_path, "run", sweep, "--store", store, "--notify", teller)
    assert code == 0, output
    assert f"WARNING: --notify: {sys.executable}: exit code 5" in output
    assert "never mixed" not in output
    found = told(tmp_path)
    assert found["argv"] == ["$HOME", "a b;c"], "no shell has read it"
    assert (found["OUTCOME"], found["EXIT_CODE"], found["SWEEP"]) == ("done", "0", "tiny")
    assert found["STORE"] == str(store)
    assert found["stdin"]["finished"] == len(trials)
    assert found["stdin"]["exit_code"] == 0


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_bad_input_is_told_too(verb: str, tmp_path: Path, teller: str) -> None:
    sweep = write_sweep(tmp_path, pairs=["resnet8/resnt8"])
    code, output = run(tmp_path, verb, sweep, "--notify", teller)
    assert code == 2
    assert output.splitlines()[-1].endswith("did you mean 'resnet8'?")
    found = told(tmp_path)
    assert (found["OUTCOME"], found["EXIT_CODE"]) == ("bad input", "2")
    assert "did you mean 'resnet8'?" in found["MESSAGE"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("no-such-command x", "--notify: no-such-command: no such command; for what a shell"),
        ("'", '--notify: "\'": cannot be split into words: No closing quotation'),
        ("", "--notify: expected a command"),
    ],
)
def test_a_command_that_is_none_is_told_before_anything_runs(
    command: str, expected: str, tmp_path: Path
) -> None:
    code, output = run(tmp_path, "run", write_sweep(tmp_path), "--notify", command)
    assert (code, output.count("\n")) == (2, 1), output
    assert expected in output
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def leave_with(code: int, *command: str) -> None:
    with notifying(shlex.join(command)) as ending:
        ending.sweep = "x"
        sys.exit(code)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_every_exit_code_is_kept(code: int, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        leave_with(code, "sh", "-c", f"cat > {tmp_path}/stdin; exit 7")
    assert ended.value.code == code
    content = json.loads((tmp_path / "stdin").read_text())
    assert (content["exit_code"], content["sweep"]) == (code, "x")


def test_one_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "WITHIN_S", 1.0)
    script = f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/pid; wait; sleep 600"
    with pytest.raises(SystemExit) as ended:
        leave_with(3, "sh", "-c", script)
    assert ended.value.code == 3
    assert "WARNING: --notify: sh: ended after 1 s" in capsys.readouterr().err
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or is_dead(pid))


def is_dead(pid: int) -> bool:
    return " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_one_that_does_not_listen_is_no_trouble(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="long"), notifying("true"):
        raise UserError("long " * 100_000)


def test_a_signal_while_it_is_told_changes_nothing(tmp_path: Path) -> None:
    sweep, store = write_sweep(tmp_path), tmp_path / "store"
    fill(Store(store), expand(load_sweep(sweep)))
    script = f"touch {tmp_path}/begun; sleep 600"
    command = shlex.join(["sh", "-c", script])
    process = start(tmp_path, "run", sweep, "--store", store, "--notify", command)
    wait_until((tmp_path / "begun").exists)
    os.kill(process.pid, signal.SIGTERM)
    code, output = finish(process)
    assert code == 0, output
    assert "Traceback" not in output
    assert "--notify: sh: left at once" in output


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_run_that_was_stopped_is_told(tmp_path: Path, teller: str) -> None:
    sweep = write_sweep(tmp_path, student={"epochs": 200})
    store = Store(tmp_path / "store")
    process = start(tmp_path, "run", sweep, "--store", store.root, "--cpus", 1, "--notify", teller)
    wait_until(store.finished)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 3, output
    found = told(tmp_path)
    assert (found["OUTCOME"], found["stdin"]["exit_code"]) == ("stopped", 3)
    assert found["stdin"]["finished"] + found["stdin"]["missing"] == 7
