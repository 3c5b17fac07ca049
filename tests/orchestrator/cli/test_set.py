"""`--set` on every command that takes a sweep; those that send it elsewhere send it changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from orchestrator.cli import jobs
from orchestrator.cli.main import app
from orchestrator.cluster.jobs import Handover, SweepJob
from orchestrator.cluster.slurm.jobs import launch_words
from orchestrator.cluster.slurm.launcher import _task
from orchestrator.language.sweep import Sweep, load_sweep
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep

CHANGES = ("student.epochs=3", "augmentations=[identity, mixup]")
SET = [word for change in CHANGES for word in ("--set", change)]


def test_every_command_that_takes_a_sweep_has_it() -> None:
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    takes_a_sweep = {
        name
        for name, command in commands.items()
        if any("SWEEP" in (option.metavar or "") for option in command.params)
    }
    has_it = {
        name
        for name, command in commands.items()
        if any("--set" in option.opts for option in command.params)
    }
    assert takes_a_sweep == has_it
    assert {"run", "plan", "submit", "slurm", "kubernetes", "table", "report"} <= has_it


def test_nothing_is_set_where_no_sweep_is_named(tmp_path: Path) -> None:
    code, output = run(tmp_path, "models", "--set", "student.epochs=3")
    assert (code, output) == (2, "--set student.epochs=3 goes with a sweep file\n")


def test_a_plan_is_of_what_was_set_and_says_so(tmp_path: Path) -> None:
    code, output = run(tmp_path, "plan", write_sweep(tmp_path), *SET, "--json")
    assert code == 0, output
    planned = json.loads(output)
    assert planned["was_set"] == list(CHANGES)
    assert {t["augmentation"] for t in planned["trials"]} == {None, "identity", "mixup"}


def test_a_mistake_ends_in_one_line_and_a_store_takes_none(tmp_path: Path) -> None:
    code, output = run(tmp_path, "plan", write_sweep(tmp_path), "--set", "student.epoch=3")
    assert (code, output) == (2, "--set student.epoch: unknown key; did you mean 'epochs'?\n")
    (tmp_path / "store" / "results").mkdir(parents=True)
    code, output = run(tmp_path, "table", tmp_path / "store", "--set", "student.epochs=3")
    assert code == 2
    assert output.endswith("store is no sweep file: --set student.epochs=3 goes with one\n")


def test_pods_get_the_changed_sweep(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    words = ("--image", "kdsweep:1", "--gpus", 1, "--claim", "c", "--store", "/shared/store")
    code, output = run(tmp_path, "kubernetes", sweep, *words, *SET)
    assert code == 0, output
    (config,) = (o for o in yaml.safe_load_all(output) if o and o["kind"] == "ConfigMap")
    sent = next(text for text in config["data"].values() if "augmentations" in text)
    assert Sweep.model_validate(json.loads(sent)).was_set == CHANGES
    assert Sweep.model_validate(json.loads(sent)).student.epochs == 3


def test_a_printed_batch_script_sets_the_same_on_the_node(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    code, output = run(tmp_path, "slurm", sweep, "--time", "1h", "--print", *SET)
    assert code == 0, output
    assert "--set student.epochs=3" in output
    handover = Handover(store="/store", changes=CHANGES)
    told = _task(launch_words(str(sweep), handover)).handover
    assert told.changes == CHANGES
    words = told.words(str(sweep), "auto")
    assert [words[i + 1] for i, word in enumerate(words) if word == "--set"] == list(CHANGES)


class Cluster:
    """A cluster whose jobs are over at once."""

    url = "http://head:8265"

    def __init__(self) -> None:
        self.submitted: list[tuple[Sweep, Handover]] = []

    def submit(self, sweep: Sweep, handover: Handover) -> str:
        self.submitted.append((sweep, handover))
        return "kdsweep-tiny-0a1b2c3d"

    def one(self, job_id: str) -> SweepJob:
        return SweepJob(job_id, "tiny", "store", "SUCCEEDED", 0.0, 1.0, 0, "")

    def log(self, _job_id: str) -> str:
        return ""


def test_submit_sends_the_changed_sweep_and_its_state_is_asked_for_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster()
    monkeypatch.setattr(jobs, "_jobs", lambda _address: cluster)
    sweep = write_sweep(tmp_path)
    with pytest.raises(SystemExit) as ended:
        jobs.submit(sweep, store=str(tmp_path / "store"), changes=list(CHANGES))
    assert ended.value.code == 0
    ((sent, handover),) = cluster.submitted
    assert sent == load_sweep(sweep, CHANGES)
    assert handover.changes == ()
    state = next(line for line in capsys.readouterr().out.splitlines() if "state:" in line)
    assert "--set student.epochs=3 --set 'augmentations=[identity, mixup]' --store" in state
