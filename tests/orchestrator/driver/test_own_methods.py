"""Methods of one's own, from `kdsweep run` to the table: the documented example, killed on the way, and refused."""

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start, trial_workers, wait_until
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.sweeps import write_sweep

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(EXAMPLES, home / "examples")
    return home


@pytest.mark.skipif(not os.environ.get("EXAMPLE_TESTS"), reason="EXAMPLE_TESTS=1: minutes")
def test_the_example_killed_and_resumed_has_the_rows_of_one_that_was_not(
    home: Path, tmp_path: Path
) -> None:
    """Beside it, one student with everything else that there is to choose."""
    content = yaml.safe_load((EXAMPLES / "own_method.yaml").read_text())
    everything = {
        "student.method": "dkd",
        "student.method_warmup_epochs": 2,
        "student.optimiser": "adamw",
        "student.learning_rate": 0.001,
        "student.schedule": "cosine",
        "student.clip_norm": 1.0,
        "student.label_smoothing": 0.1,
    }
    rule = {"where": {"augmentation": "mixup"}, "set": everything}
    sweep = home / "sweep.yaml"
    sweep.write_text(yaml.safe_dump(content | {"overrides": [rule]}))
    undisturbed, store = Store(tmp_path / "undisturbed"), Store(tmp_path / "store")
    code, output = run(home, "run", sweep, "--store", undisturbed.root, "--cpus", 2)
    assert code == 0, output
    assert "WARNING" not in output

    sweep.write_text(
        yaml.safe_dump(content | {"overrides": [rule], "checkpoint_every_minutes": 0.001})
    )
    arguments = ("run", sweep, "--store", store.root, "--cpus", 2)
    process = start(home, *arguments)
    wait_until(lambda: len(list(store.root.glob("checkpoints/*/step-*"))) > 8)
    for pid in (*trial_workers(process.pid), process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    code, _ = finish(process)
    assert code == -signal.SIGKILL
    rows = store.results().to_pylist()
    assert "student" not in {row["kind"] for row in rows}
    code, output = run(home, *arguments)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)

    code, output = run(home, "table", store.root, "--json", "--filter", "student.method=distance")
    assert code == 0, output
    (panel,) = json.loads(output)["panels"]
    taught = [point["augmentation"] for point in panel["points"] if point["test_loss"]]
    assert taught == ["identity", "cutmix"]
    rows = {row["fingerprint"]: row for row in store.results().to_pylist() if row["student"]}
    assert len(rows) == 11, "of each method identity and cutmix, and one mixup for all"
    assert len({row["test_loss"] for row in rows.values()}) == 11


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return s.mean() / 0", "my.py: mine: ValueError: is inf on noise"),
        ("return labels.sum() * s.mean()", "has no attribute 'sum', where labels are None"),
        ("return (s - t).abs().mean(1)", "my.py: mine must return a scalar with a gradient, not"),
    ],
)
def test_a_method_that_teaches_nothing_is_told_before_anything_is_trained(
    body: str, told: str, home: Path, tmp_path: Path
) -> None:
    source = "from trainer.methods import register\n@register('mine')\ndef mine(s, t, labels, T):\n"
    (home / "my.py").write_text(f"{source}    {body}\n")
    sweep = write_sweep(tmp_path, methods=["my.py"], student={"method": "mine", "epochs": 1})
    code, output = run(home, "run", sweep, "--store", tmp_path / "store")
    assert code == 2
    (line,) = output.strip().splitlines()
    assert "my.py: mine" in line
    assert line.count("my.py") == 1
    assert told in line
    assert not (tmp_path / "store").exists()
