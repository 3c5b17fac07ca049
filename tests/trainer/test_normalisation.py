"""Mean and standard deviation of one's own: in the identity where they act, and used wherever images are normalised."""

from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.keepers import final_weights
from trainer.augmentations.palette import Palette
from trainer.datasets.dataset import load_dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.problems import FileError, UserError
from trainer.trial import Data, TeacherTrial, Trial
from trainer.trial_file import read_trial

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.25, 1.0)
PAPERS = Data.official("cifar100")


def test_it_is_in_the_identity_where_it_is_given() -> None:
    plain = Data.official("fashion_mini")
    given = Data.official("fashion_mini", mean=MEAN, std=STD)
    assert given.identity == plain.identity | {"mean": list(MEAN), "std": list(STD)}
    assert set(plain.identity) == {"checksum", "train_images", "test_images"}


def test_the_papers_own_values_change_nothing() -> None:
    facts = {"mean": (0.5071, 0.4867, 0.4408), "std": (0.2675, 0.2565, 0.2761)}
    assert Data.official("cifar100", **facts).identity == PAPERS.identity
    other = facts | {"mean": (0.5071, 0.4867, 0.4409)}
    assert Data.official("cifar100", **other).identity != PAPERS.identity


def test_a_trial_of_an_older_store_has_none() -> None:
    stored = {k: v for k, v in PAPERS.model_dump().items() if k not in ("mean", "std")}
    assert Data.model_validate(stored) == PAPERS


def trials_of(folder: Path, **dataset: Any) -> list[Trial]:
    whole = {"name": "fashion_mini", "train_images": 160, "test_images": 50, **dataset}
    return expand(load_sweep(write_sweep(folder, dataset=whole)))


def test_every_trial_of_a_sweep_has_it(tmp_path: Path) -> None:
    plain = trials_of(tmp_path)
    given = trials_of(tmp_path, mean=list(MEAN), std=list(STD))
    assert {(trial.data.mean, trial.data.std) for trial in given} == {(MEAN, STD)}
    fingerprints = {trial.fingerprint for trial in (*plain, *given)}
    assert len(fingerprints) == len(plain) + len(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, "dataset: mean and std are given together, three numbers each"),
        (
            {"mean": [129.3, 0.5, 0.5], "std": [1, 1, 1]},
            r"expected a fraction of 1, not 129\.3; 129\.3 of 255 is 0\.5071",
        ),
        ({"mean": [0.5, 0.5, 0.5], "std": [0, 1, 1]}, "greater than 0"),
        ({"mean": [-0.5, 0.5, 0.5], "std": [1, 1, 1]}, "greater than or equal to 0"),
        ({"mean": 0.5, "std": 0.5}, "mean"),
        ({"mean": [0.5], "std": [0.5]}, "mean"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=expected):
        trials_of(tmp_path, **given)


def test_a_trial_file_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    dataset = f"{{name: fashion_mini, mean: {list(MEAN)}, std: {list(STD)}}}"
    path.write_text(f"kind: teacher\ndataset: {dataset}\nteacher: resnet8\nseed: 0\n")
    assert read_trial(path).data == Data.official("fashion_mini", mean=MEAN, std=STD)
    path.write_text(path.read_text().replace(f", std: {list(STD)}", ""))
    with pytest.raises(UserError, match="mean and std are given together"):
        read_trial(path)


def test_images_are_normalised_by_it_exactly() -> None:
    dataset = load_dataset(Data.official("fashion_mini", 160, 50, mean=MEAN, std=STD))
    assert (dataset.mean, dataset.std) == (MEAN, STD)
    palette = Palette(dataset.mean, dataset.std, torch.device("cpu"))
    images = dataset.train.images[:8]
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    expected = (images.float() / 255 - mean) / std
    torch.testing.assert_close(palette.normalise(images), expected)
    # Bytes that came back from normalised images are what they were, or one less.
    lost = images.int() - palette.round_trip(images).int()
    assert set(lost.unique().tolist()) <= {0, 1}


def test_what_is_trained_is_another_teacher(tmp_path: Path) -> None:
    """And given values that are the measured ones give the same bits."""

    def weights(data: Data) -> dict[str, torch.Tensor]:
        teacher = TeacherTrial(
            data=data, teacher="resnet8", seed=0, learning_rate=0.05, epochs=1, milestones=()
        )
        folder = tmp_path / teacher.fingerprint
        run_group([teacher], FolderKeeper(folder), load_dataset(data), torch.device("cpu"))
        return final_weights(folder, teacher)

    plain = Data.official("fashion_mini", 160, 50)
    measured = load_dataset(plain)
    as_measured = weights(
        Data.official("fashion_mini", 160, 50, mean=measured.mean, std=measured.std)  # type: ignore[arg-type]
    )
    own, other = weights(plain), weights(Data.official("fashion_mini", 160, 50, mean=MEAN, std=STD))
    assert all(torch.equal(own[name], as_measured[name]) for name in own)
    assert not all(torch.equal(own[name], other[name]) for name in own)
