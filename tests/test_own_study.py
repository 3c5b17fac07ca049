"""docs/own.md, followed: its files written, its commands run one after the other, and one of them killed."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.results import assert_same_results, is_clean

PAGE = (Path(__file__).parent.parent / "docs" / "own.md").read_text()
FILES = re.findall(r"`(\w+\.\w+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.partition("#")[0].split()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]

EPOCHS = 6
"""Of its students; neither its teachers nor its measurements have as many."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed"),
]


def test_a_study_of_one_s_own_from_images_to_a_table_with_a_kill_in_between(
    tmp_path: Path,
) -> None:
    for name, content in FILES:
        (tmp_path / name).write_text(content)
    assert COMMANDS[0] == ["python", "images.py"]
    subprocess.run([sys.executable, "images.py"], cwd=tmp_path, check=True)

    killed = Store(tmp_path / "killed")
    often = ("--set", "checkpoint_every_minutes=0.005")
    again = ("run", "study.yaml", "--store", "killed", "--cpus", 2, *often)
    process = start(tmp_path, *again)
    wait_until(
        lambda: [s for s in killed.signs.running().values() if s.epochs == EPOCHS and s.step]
    )
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    unfinished = len(killed.finished())

    told = {}
    for words in COMMANDS[1:]:
        assert words[0] == "kdsweep"
        code, told[tuple(words[1:])] = run(tmp_path, *words[1:])
        assert code == 0, (words, told[tuple(words[1:])])
    undisturbed = Store(tmp_path / "results")
    assert unfinished < len(undisturbed.finished())
    assert {r["kind"] for r in undisturbed.results().to_pylist()} == {
        *("teacher", "student", "stddev", "predictor")
    }
    code, output = run(tmp_path, *again)
    assert code == 0, output
    assert_same_results(killed, undisturbed)
    assert is_clean(killed)

    assert "margin" in told["table", "results", "--contest"]
    assert (
        "Does what predicts on CIFAR-100 predict on stripes?"
        in (tmp_path / "report.html").read_text()
    )
    assert zipfile.is_zipfile(tmp_path / "patterns.zip")
    code, output = run(tmp_path, "rank", "results", "--predictor", "margin", "--json")
    assert code == 0, output
    assert len(json.loads(output)) > 0
