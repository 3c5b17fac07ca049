"""The documents: every link leads somewhere, every shown sweep is valid."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from orchestrator.language.sweep import Sweep, load_sweep
from tests.orchestrator.commands import run
from trainer.trial_file import read_trial

TOP = Path(__file__).parent.parent
DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def blocks(language: str) -> list[str]:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readme_s_sweep_is_valid() -> None:
    whole = [c for c in map(yaml.safe_load, blocks("yaml")) if "pairs" in c]
    assert whole
    for content in whole:
        Sweep.model_validate(content)


def test_the_shown_trials_are_valid(tmp_path: Path) -> None:
    shown = re.findall(
        r"`(\w+\.yaml)`:\n\n```yaml\n(.*?)```", (TOP / "docs" / "trials.md").read_text(), re.DOTALL
    )
    assert [name for name, _ in shown] == ["teacher.yaml", "student.yaml"]
    for name, content in shown:
        (tmp_path / name).write_text(content)
        assert read_trial(tmp_path / name).kind == name.removesuffix(".yaml")


def test_every_other_shown_part_of_a_sweep_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TOP)
    rest = {"name": "x", "dataset": "fashion_mini", "pairs": ["resnet8/resnet8"], "seeds": [0]}
    parts = [c for c in map(yaml.safe_load, blocks("yaml")) if not {"pairs", "kind"} & set(c)]
    assert len(parts) >= 3
    for part in parts:
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(rest | part))
        load_sweep(tmp_path / "sweep.yaml")


def test_every_shown_command_exists(tmp_path: Path) -> None:
    shown = {m for block in blocks("bash") for m in re.findall(r"kdsweep ([a-z-]+)", block)}
    assert {"plan", "run", "resume", "status", "table", "plot"} <= shown
    for command in sorted(shown):
        code, output = run(tmp_path, command, "--help")
        assert code == 0, output


def test_the_hours_of_the_papers_pairs_are_those_of_the_command_beside_them(tmp_path: Path) -> None:
    text = (TOP / "docs" / "sweeps.md").read_text()
    (shown,) = re.findall(r"kdsweep (plan \S+ --device .*) --html plan.html", text)
    code, output = run(
        tmp_path, *shown.replace("sweeps/", f"{TOP}/sweeps/").split(), "--json", "--store", tmp_path
    )
    assert code == 0, output
    bill = json.loads(output)["bill"]
    rows = [
        f"| {share['teacher']}/{share['student']} | {share['hours']:.1f} |"
        for share in bill["shares"]
        if share["student"]
    ]
    rows += [
        f"| {done['gpus']} | {len(done['jobs'])} | {done['hours']:.1f} | {done['busy']:.0%} |"
        for done in bill["forecasts"]
    ]
    assert len(rows) == 9 + 4
    for row in rows:
        assert row in text, row


def test_every_module_says_what_it_is() -> None:
    for folder in ("trainer", "orchestrator", "analysis"):
        for path in (TOP / folder).rglob("*.py"):
            assert path.read_text().startswith('"""'), path


HOUSE = (TOP / "docs" / "architecture.md").read_text()
ROOMS = sorted(path.parent.name for path in (TOP / "orchestrator").glob("*/__init__.py"))


def test_every_path_that_the_architecture_names_is_there() -> None:
    paths = set(re.findall(r"`((?:analysis|orchestrator|tests|trainer)/[\w/.]*)`", HOUSE))
    assert len(paths) >= 40
    for path in sorted(paths):
        assert (TOP / path).exists(), path


def test_every_name_that_the_architecture_names_is_there() -> None:
    names = set(re.findall(r"`((?:analysis|orchestrator|trainer)(?:\.\w+)+)`", HOUSE))
    assert names
    for name in sorted(names):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_the_architecture_draws_every_room() -> None:
    assert len(ROOMS) == 9
    for room in ROOMS:
        assert f"{room}[" in HOUSE, room
        assert f"| `orchestrator/{room}/` |" in HOUSE, room
    answers = HOUSE.partition("## Ten questions")[2].partition("##")[0]
    assert answers.count("?") == 10


def test_every_room_says_its_one_reason_and_tests_lie_in_the_same_rooms() -> None:
    beside = {path.name for path in (TOP / "orchestrator").iterdir() if path.is_file()}
    assert beside == {"__init__.py", "__main__.py", "py.typed"}
    for room in ROOMS:
        reason = ast.get_docstring(
            ast.parse((TOP / "orchestrator" / room / "__init__.py").read_text())
        )
        assert reason
        assert len(reason) < 200
        assert list((TOP / "tests" / "orchestrator" / room).glob("test_*.py")), room
    assert not list((TOP / "tests" / "orchestrator").glob("test_*.py"))
