"""Data of one's own, published teachers and schemes of one's own, from `kdsweep run` to the table."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from tests.trainer import data_files
from tests.trainer.keepers import final_weights
from tests.trainer.test_alone import trainer
from trainer.models import build_model

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def sweep_to_table(home: Path, sweep: Path, store: Path, *options: object) -> list[dict[str, Any]]:
    """Run a sweep and read its table."""
    code, output = run(home, "run", sweep, "--store", store, "--cpus", 2, *options)
    assert code == 0, output
    assert "Traceback" not in output
    code, output = run(home, "table", store, "--json")
    assert code == 0, output
    return list(json.loads(output)["panels"])


SMALL = {"batch_size": 8, "epochs": 4, "pick_size": 8}


def test_a_folder_in_cifar_100_s_format_through_the_whole_path(home: Path, tmp_path: Path) -> None:
    """Own data, a published teacher in the authors' layout that only guesses, picks of any scheme."""
    images = data_files.write_cifar100(tmp_path / "my cifar", train=64, test=40)
    checkpoint = tmp_path / "save" / "resnet8_vanilla" / "ckpt_epoch_240.pth"
    checkpoint.parent.mkdir(parents=True)
    names = ["identity", "mixup", "mixuppick_t", "flippick3_k"]
    sweep = write_sweep(
        tmp_path,
        dataset={"name": "mine", "format": "cifar100", "path": str(images)},
        augmentations=names,
        teachers={
            "checkpoint": str(tmp_path / "save" / "{teacher}_vanilla" / "ckpt_epoch_240.pth")
        },
        student={"epochs": 1, "batch_size": 8, "pick_size": 8},
        stddev=SMALL,
    )
    store = Store(tmp_path / "store")
    code, output = run(home, "run", sweep, "--store", store.root)
    assert (code, len(output.strip().splitlines())) == (2, 1)
    assert f"{checkpoint}: no such file" in output
    code, output = run(home, "plan", sweep, "--store", store.root)
    assert code == 0
    assert "fingerprints of 9 trials are unknown" in output
    assert not store.root.exists()

    torch.save({"model": build_model("resnet14", 4, 32).state_dict()}, checkpoint)
    code, output = run(home, "run", sweep, "--store", store.root)
    assert (code, len(output.strip().splitlines())) == (2, 1)
    assert f"{checkpoint}: not the weights of resnet8: it has" in output
    assert not store.root.exists()

    constant = build_model("resnet8", 4, 32)
    torch.nn.init.zeros_(constant.get_parameter("fc.weight"))
    torch.save({"epoch": 240, "model": constant.state_dict()}, checkpoint)
    (panel,) = sweep_to_table(home, sweep, store.root)
    assert [point["augmentation"] for point in panel["points"]] == [
        *("identity", "mixup"),
        *("flippick3_k", "mixuppick_t"),
    ]
    assert panel["correlation"]["n"] == 4
    code, output = run(home, "run", sweep, "--store", store.root)
    assert "teacher resnet8 on mine: accuracy 25.00%" in output
    assert "WARNING: the teacher resnet8 is no better than chance (25.00% on mine)" in output


def test_official_data_that_are_missing_or_damaged_start_nothing(
    home: Path, tmp_path: Path
) -> None:
    data_files.write_cifar100(tmp_path / "data" / "cifar-100-python")
    sweep = write_sweep(tmp_path, dataset="cifar100")
    store = tmp_path / "store"
    code, output = run(home, "run", sweep, "--store", store, "--data", tmp_path / "data")
    assert code == 2
    assert "cifar-100-python/meta: damaged, or not the official file" in output
    assert not store.exists()


def test_the_example_of_one_s_own_schemes(home: Path, tmp_path: Path) -> None:
    """The documented example, as it stands; its log repeats a trial without Ray, bit for bit."""
    shutil.copytree(EXAMPLES, home / "examples", dirs_exist_ok=True)
    sweep = home / "examples" / "own_scheme.yaml"
    (panel,) = sweep_to_table(home, Path("examples/own_scheme.yaml"), tmp_path / "store")
    names = [point["augmentation"] for point in panel["points"]]
    assert names == ["identity", "cutmix", "noise", "noisepick_t", "quarter_turn"]
    assert (tmp_path / "store" / "plots" / "own-scheme.png").exists()

    store = Store(tmp_path / "store")
    content = yaml.safe_load(sweep.read_text())
    content["schemes"] = [str(home / "examples" / "own_schemes.py")]
    rows = {row["fingerprint"]: row for row in store.results().to_pylist()}
    (noisy,) = (
        row for row in rows.values() if (row["kind"], row["augmentation"]) == ("student", "noise")
    )
    log = (store.trial_folder(noisy["fingerprint"]) / "log.txt").read_text()
    command = log.split("to repeat: kdsweep trial ")[1].splitlines()[0].split()
    code, output, error = trainer(tmp_path, *command)
    assert code == 0, error
    again = json.loads((tmp_path / output.strip()).read_text())
    assert again["metrics"]["test_loss"] == noisy["test_loss"]
    stored = final_weights(store.checkpoints, _trial(again))
    for name, tensor in final_weights(tmp_path / "repeated", _trial(again)).items():
        assert torch.equal(tensor, stored[name])


def _trial(result: dict[str, Any]) -> Any:
    from trainer.trial import TRIAL

    return TRIAL.validate_python(result["trial"])


def test_randomness_per_image_runs_beside_the_paper_s_without_mixing(
    home: Path, tmp_path: Path
) -> None:
    names = ["identity", "flip", "cutout"]
    sweep = write_sweep(tmp_path, augmentations=names)
    assert len(sweep_to_table(home, sweep, tmp_path / "store")) == 1
    before = len(Store(tmp_path / "store").finished())
    sweep = write_sweep(tmp_path, augmentations=names, randomness="sample")
    panels = sweep_to_table(home, sweep, tmp_path / "store")
    assert len(Store(tmp_path / "store").finished()) - before == 4
    assert len(expand(load_sweep(sweep))) == 7
    assert [len(panel["points"]) for panel in panels] == [3, 3]
    assert panels[0]["points"][0] == panels[1]["points"][0]
    assert panels[0]["points"][1] != panels[1]["points"][1]


def test_a_scheme_of_one_s_own_that_raises_starts_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from trainer.augmentations.own import register\n"
        '@register("mine")\ndef mine(images, rng):\n    return images / undefined\n'
    )
    sweep = write_sweep(
        tmp_path, schemes=str(tmp_path / "mine.py"), augmentations=["identity", "mine"]
    )
    code, output = run(home, "run", sweep, "--store", tmp_path / "store")
    assert (code, len(output.strip().splitlines())) == (2, 1)
    assert "mine.py: mine: NameError: name 'undefined' is not defined" in output
    assert not (tmp_path / "store").exists()
