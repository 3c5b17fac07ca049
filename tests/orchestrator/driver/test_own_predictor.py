"""The example of one's own predictors as a user runs it: at once, or later over finished teachers, killed and resumed."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.store.store import Store
from tests.orchestrator.commands import descendants, finish, run, start, wait_until
from tests.orchestrator.results import comparable, curves
from trainer.files import process_is_alive

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[3] / "examples"

BROKEN = """
from trainer.predictors.own import register

@register("broken")
class Broken:
    def update(self, original, mixed, labels): raise KeyError("a mistake of mine")
    def value(self): return 0.0
    def standard_error(self): return 0.0
    def state(self): return {}
    def restore(self, state): pass
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    shutil.copytree(EXAMPLES, made / "examples")
    (made / "broken.py").write_text(BROKEN)
    return made


def sweep_of(home: Path, name: str, **changes: Any) -> Path:
    """The example cut down, with one that is broken beside it, and with changes; None removes a key."""
    content = yaml.safe_load((home / "examples" / "own_predictor.yaml").read_text())
    content |= {"augmentations": ["identity", "flip", "cutmix"], "seeds": [0]}
    content |= {"predictors": ["examples/own_predictors.py", "broken.py"]}
    content |= {"stddev": {"epochs": 60}, "checkpoint_every_epochs": 3} | changes
    path = home / f"{name}.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


def kinds(store: Store) -> dict[str, int]:
    return dict(Counter(store.results(columns=("kind",))["kind"].to_pylist()))


@pytest.mark.skipif(not os.environ.get("EXAMPLE_TESTS"), reason="EXAMPLE_TESTS=1: minutes")
def test_the_example_at_once_and_later_killed_and_resumed(home: Path, tmp_path: Path) -> None:
    whole = sweep_of(home, "whole")
    at_once, later = Store(tmp_path / "at-once"), Store(tmp_path / "later")
    code, output = run(home, "run", whole, "--store", at_once.root, "--cpus", 2)
    # The broken one fails by itself, in one line; nothing else does.
    assert code == 1, output
    assert "KeyError: 'a mistake of mine'" in output
    assert "Traceback" not in output
    assert kinds(at_once) == {"predictor": 6, "stddev": 3, "student": 3, "teacher": 1}

    without = sweep_of(home, "without", predictors=None)
    code, output = run(home, "run", without, "--store", later.root, "--cpus", 2)
    assert code == 0, output
    known = set(later.finished())
    process = start(home, "run", whole, "--store", later.root, "--cpus", 2)

    def checkpoints() -> list[Path]:
        found = later.root.glob("checkpoints/*/step-*.safetensors")
        return [path for path in found if path.parent.name not in known]

    wait_until(checkpoints)
    below = [pid for pid, _ in descendants(process.pid)]
    process.kill()
    finish(process)
    wait_until(lambda: not any(map(process_is_alive, below)))
    assert checkpoints()
    assert known <= set(later.finished()) < set(at_once.finished())
    code, output = run(home, "resume", whole, "--store", later.root, "--cpus", 2)
    assert code == 1, output

    assert comparable(later) == comparable(at_once)
    assert sorted(map(repr, curves(later))) == sorted(map(repr, curves(at_once)))
    rows = [row for row in later.results().to_pylist() if row["kind"] == "predictor"]
    assert {row["predictor"] for row in rows} == {"margin", "shift"}
    code, output = run(home, "verify", later.root)
    assert code == 0, output

    code, output = run(home, "table", later.root, "--contest", "--json", "--bootstrap", 200)
    assert code == 0, output
    # Before it stands that the broken one's trials are not finished.
    (contest,) = json.loads(output[output.index("{") :])["contests"]
    titles = [contestant["title"] for contestant in contest["contestants"]]
    assert titles == [
        *("T. stddev", "T. entropy", "T. confidence", "T. covariance trace"),
        *("margin", "shift"),
    ]
    code, output = run(home, "rank", later.root, "--predictor", "shift", "--json")
    assert code == 0, output
    assert {ranked["predictor"] for ranked in json.loads(output)} == {"shift"}
