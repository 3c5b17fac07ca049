"""What every stddev trial measures beside T. stddev, against numpy over recorded probabilities."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from tests.trainer.keepers import StoppingKeeper
from tests.trainer.test_stddev import random_steps
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.predictors.answers import AugmentedAnswers
from trainer.randomness import addressed_generator
from trainer.stddev import MeanProbabilityStddev
from trainer.trial import Data, StddevTrial

Array = NDArray[np.float64]
CPU = torch.device("cpu")


def measured(steps: list[tuple[Tensor, Tensor]]) -> AugmentedAnswers:
    answers = AugmentedAnswers()
    for _, mixed in steps:
        answers.update(mixed)
    return answers


def ratio(per_image: list[Array]) -> tuple[float, float]:
    """The mean over all images, and its error over steps, by numpy from all numbers at once."""
    everything = np.concatenate(per_image)
    k, mean = len(per_image), everything.mean()
    squares = sum((values.sum() - len(values) * mean) ** 2 for values in per_image)
    return mean, math.sqrt(k / (k - 1) * squares) / len(everything)


def entropies(probabilities: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.nan_to_num(probabilities * np.log(probabilities)).sum(1)


def covariance(windows: Array) -> tuple[float, float]:
    """The trace of numpy's own covariance, and its delete-one jackknife."""
    n = len(windows)
    traces = np.array([np.trace(np.cov(np.delete(windows, i, 0).T)) for i in range(n)])
    error = math.sqrt((n - 1) / n * ((traces - traces.mean()) ** 2).sum())
    return float(np.trace(np.cov(windows.T))), error


@given(st.integers(0, 2**32), st.integers(2, 30))
@settings(max_examples=50, deadline=None)
def test_entropy_and_confidence_are_means_over_augmented_images(seed: int, steps: int) -> None:
    data = random_steps(seed, steps)
    mixed = [m.numpy() for _, m in data]
    found = measured(data).values()
    entropy, entropy_error = ratio([entropies(m) for m in mixed])
    confidence, confidence_error = ratio([m.max(1) for m in mixed])
    assert found["entropy"] == pytest.approx(entropy, rel=1e-12)
    assert found["entropy_stderr"] == pytest.approx(entropy_error, rel=1e-8)
    assert found["confidence"] == pytest.approx(confidence, rel=1e-12)
    assert found["confidence_stderr"] == pytest.approx(confidence_error, rel=1e-8)


@given(st.integers(0, 2**32), st.integers(3, 30))
@settings(max_examples=50, deadline=None)
def test_the_covariance_s_trace_is_that_of_the_windows_means(seed: int, count: int) -> None:
    data = random_steps(seed, count)
    meter = MeanProbabilityStddev(1)
    for step in data:
        meter.update(*step)
    trace, error = covariance(np.stack([torch.cat(step).mean(0).numpy() for step in data]))
    assert meter.covariance_trace() == pytest.approx(trace, rel=1e-9)
    assert meter.covariance_trace_standard_error() == pytest.approx(error, rel=1e-6)


def test_the_standard_errors_are_the_scatter_of_repeated_measurements() -> None:
    """Images of a step are alike: taken for independent, they would give half of it."""
    rng = np.random.default_rng(3)
    values, errors = [], []
    for _ in range(300):
        sharpness = rng.uniform(0.5, 3.0, size=40)
        steps = [
            torch.from_numpy(rng.dirichlet(np.full(6, s), size=int(n)))
            for s, n in zip(sharpness, rng.integers(8, 17, size=40), strict=True)
        ]
        found = measured([(m, m) for m in steps]).values()
        values.append([found["entropy"], found["confidence"]])
        errors.append([found["entropy_stderr"], found["confidence_stderr"]])
    assert np.mean(errors, 0) == pytest.approx(np.std(values, 0, ddof=1), rel=0.12)


def test_a_teacher_that_is_certain_has_no_entropy() -> None:
    one_hot = torch.eye(4)[:, [0, 1, 2, 3]]
    found = measured([(one_hot, one_hot)] * 3).values()
    assert found == {
        "entropy": 0.0,
        "entropy_stderr": 0.0,
        "confidence": 1.0,
        "confidence_stderr": 0.0,
    }


def test_hardly_scattered_answers_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    steps = []
    for _ in range(50):
        rest = rng.uniform(1e-9, 2e-9, size=(8, 1))
        steps.append(np.concatenate([1 - rest, rest], axis=1))
    _, error = ratio([-s[:, 1] for s in steps])
    found = measured([(torch.from_numpy(s), torch.from_numpy(s)) for s in steps]).values()
    assert found["confidence_stderr"] == pytest.approx(error, rel=1e-3)


def test_too_few_steps_have_no_standard_error() -> None:
    assert all(math.isnan(value) for value in AugmentedAnswers().values().values())
    found = measured(random_steps(0, 1)).values()
    assert found["entropy"] > 0
    assert math.isnan(found["entropy_stderr"])


@given(st.integers(0, 2**32), st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_saved_and_restored_anywhere_it_gives_the_same_bits(seed: int, cut: int) -> None:
    data = random_steps(seed, 12)
    resumed = AugmentedAnswers.from_state(measured(data[:cut]).state(), CPU)
    assert resumed is not None
    for _, mixed in data[cut:]:
        resumed.update(mixed)
    assert repr(resumed.values()) == repr(measured(data).values())
    assert AugmentedAnswers.from_state({}, CPU) is None


class KnownTeacher(FolderKeeper):
    """Any teacher is this one."""

    def weights(self, fingerprint: str) -> dict[str, Tensor]:
        rng = addressed_generator(0, "a teacher")
        return dict(build_model("resnet8", 10, 16, rng).state_dict())


class StoppedTeacher(KnownTeacher, StoppingKeeper):
    pass


def stddev_trial(data: Data, augmentation: str = "cutmixpick_t") -> StddevTrial:
    return StddevTrial(
        data=data,
        teacher="resnet8",
        teacher_fingerprint="0" * 64,
        augmentation=augmentation,
        seed=1,
        epochs=2,
        batch_size=16,
        pick_size=10,
    )


def test_a_trial_s_numbers_are_those_of_the_probabilities_that_it_saw(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[Array, Array]] = []
    update = MeanProbabilityStddev.update

    def recorded(meter: MeanProbabilityStddev, original: Tensor, mixed: Tensor) -> None:
        steps.append((original.double().numpy(), mixed.double().numpy()))
        update(meter, original, mixed)

    monkeypatch.setattr(MeanProbabilityStddev, "update", recorded)
    trial, keeper = stddev_trial(tiny_data), KnownTeacher(tmp_path)
    run_group([trial], keeper, tiny_dataset, CPU)
    found = keeper.result(trial)["metrics"]
    assert {len(mixed) for _, mixed in steps} == {10}
    entropy = ratio([entropies(mixed) for _, mixed in steps])
    confidence = ratio([mixed.max(1) for _, mixed in steps])
    windows = [
        np.concatenate([part for step in steps[i : i + 5] for part in step])
        for i in range(0, len(steps), 5)
    ]
    trace = covariance(np.stack([window.mean(0) for window in windows]))
    told = {"entropy": entropy, "confidence": confidence, "covariance_trace": trace}
    for name, (value, error) in told.items():
        assert found[name] == pytest.approx(value, rel=1e-9)
        assert found[f"{name}_stderr"] == pytest.approx(error, rel=1e-6)


def test_a_checkpoint_of_an_older_kdsweep_goes_on_without_what_it_does_not_hold(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    trial = stddev_trial(tiny_data)
    whole, cut = KnownTeacher(tmp_path / "whole"), StoppedTeacher(tmp_path / "cut", 7)
    run_group([trial], whole, tiny_dataset, CPU)
    run_group([trial], cut, tiny_dataset, CPU)
    kept = cut.checkpoint(trial)
    assert kept is not None
    older = {name: v for name, v in kept.tensors.items() if not name.startswith("answers.")}
    assert len(older) == len(kept.tensors) - 2
    cut.save(trial, Checkpoint(kept.position, older, kept.record))
    run_group([trial], KnownTeacher(tmp_path / "cut"), tiny_dataset, CPU)
    expected, found = (
        KnownTeacher(tmp_path / name).result(trial)["metrics"] for name in ("whole", "cut")
    )
    unknown = {"entropy", "entropy_stderr", "confidence", "confidence_stderr"}
    assert found == {name: value for name, value in expected.items() if name not in unknown}
