import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import golden
from trainer.stddev import MeanProbabilityStddev

CASES = golden("tstddev_golden")["cases"]


def probabilities(step: int, batch: int, mixed: int, classes: int) -> tuple[Tensor, Tensor]:
    rng = np.random.Generator(np.random.PCG64(1000 + step))
    logits = rng.standard_normal((2, max(batch, mixed), classes)) * 4.0
    logits[:, :, step % classes] += 3.0
    original, augmented = torch.from_numpy(logits.astype(np.float32)).softmax(2)
    return original[:batch], augmented[:mixed]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden_sequences(case: dict) -> None:
    meter = MeanProbabilityStddev()
    expected = {row["n"]: float(row["mean_std"]) for row in case["independent_float64"]}
    step = 0
    for epoch in case["epochs"]:
        for batch, mixed in epoch:
            before = meter.num_windows
            meter.update(*probabilities(step, batch, mixed, case["C"]))
            step += 1
            if meter.num_windows > before and meter.num_windows in expected:
                value = expected[meter.num_windows]
                assert meter.value() == pytest.approx(value, rel=1e-6, nan_ok=True)
    assert meter.num_windows == case["n_prints"]


def random_steps(seed: int, steps: int) -> list[tuple[Tensor, Tensor]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, size=(steps, 2)).tolist()
    return [
        tuple(torch.from_numpy(rng.dirichlet(np.ones(6), size=n)) for n in pair)  # type: ignore[misc]
        for pair in sizes
    ]


@given(st.integers(0, 2**32), st.integers(10, 40), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_it_is_the_mean_of_unbiased_standard_deviations(seed: int, steps: int, window: int) -> None:
    meter = MeanProbabilityStddev(window)
    data = random_steps(seed, steps)
    for original, mixed in data:
        meter.update(original, mixed)
    windows = [
        torch.cat([part for step in data[i : i + window] for part in step]).mean(0)
        for i in range(0, steps - window + 1, window)
    ]
    assert meter.num_windows == len(windows)
    expected = torch.stack(windows).std(0, unbiased=True).mean().item()
    assert meter.value() == pytest.approx(expected, rel=1e-9, nan_ok=True)


def jackknife(windows: Tensor) -> float:
    """Delete-one, by brute force."""
    count = len(windows)
    values = np.array(
        [
            torch.cat([windows[:i], windows[i + 1 :]]).std(0, unbiased=True).mean().item()
            for i in range(count)
        ]
    )
    return float(np.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum()))


@given(st.integers(0, 2**32), st.integers(3, 40))
@settings(max_examples=50, deadline=None)
def test_the_standard_error_is_the_delete_one_jackknife_s(seed: int, count: int) -> None:
    meter = MeanProbabilityStddev(1)
    data = random_steps(seed, count)
    for step in data:
        meter.update(*step)
    windows = torch.stack([torch.cat(step).mean(0) for step in data])
    assert meter.standard_error() == pytest.approx(jackknife(windows), rel=1e-6)


def test_the_standard_error_takes_constant_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, neighbours are left out together, which estimates the same error."""
    few, all_of_them = MeanProbabilityStddev(1), MeanProbabilityStddev(1)
    data = random_steps(7, 1000)
    for step in data:
        all_of_them.update(*step)
    monkeypatch.setattr("trainer.stddev.MAX_BLOCKS", 128)
    for step in data:
        few.update(*step)
    assert few.state()["blocks.means"].shape == (125, 6)
    assert few.value() == all_of_them.value()
    assert few.standard_error() == pytest.approx(all_of_them.standard_error(), rel=0.25)
    windows = torch.stack([torch.cat(step).mean(0) for step in data])
    values = torch.stack(
        [
            torch.cat([windows[: 8 * i], windows[8 * i + 8 :]]).std(0, unbiased=True).mean()
            for i in range(125)
        ]
    )
    expected = ((values - values.mean()).square().sum() * 124 / 125).sqrt().item()
    assert few.standard_error() == pytest.approx(expected, rel=1e-6)


def test_the_standard_error_is_the_scatter_of_repeated_measurements() -> None:
    rng = np.random.default_rng(1)
    meters = []
    for _ in range(200):
        meter = MeanProbabilityStddev(1)
        for row in torch.from_numpy(rng.normal(0.5, 0.1, (60, 1, 4))):
            meter.update(row, row)
        meters.append(meter)
    scatter = np.std([meter.value() for meter in meters], ddof=1)
    assert np.mean([m.standard_error() for m in meters]) == pytest.approx(scatter, rel=0.15)


@given(st.integers(0, 2**32), st.integers(1, 23))
@settings(max_examples=50, deadline=None)
def test_saved_and_restored_anywhere_it_gives_the_same_bits(seed: int, cut: int) -> None:
    data = random_steps(seed, 24)
    straight, resumed = MeanProbabilityStddev(), MeanProbabilityStddev()
    for step in data:
        straight.update(*step)
    for step in data[:cut]:
        resumed.update(*step)
    resumed = MeanProbabilityStddev.from_state(5, resumed.state(), torch.device("cpu"))
    for step in data[cut:]:
        resumed.update(*step)
    assert resumed.value() == straight.value()
    assert repr(resumed.standard_error()) == repr(straight.standard_error())


def test_fewer_than_two_windows_have_no_value() -> None:
    meter = MeanProbabilityStddev()
    assert math.isnan(meter.value())
    for step in random_steps(0, 9):
        meter.update(*step)
    assert meter.num_windows == 1
    assert math.isnan(meter.value())


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("sharpness", [1.0, 20.0])
def test_the_law_for_identity(classes: int, sharpness: float) -> None:
    """T. stddev <= sqrt((1/C)(1-1/C) / images per window), with its scatter, for shuffled balanced data."""
    rng = np.random.default_rng(5)
    per_class, batch = 64, 64
    labels = np.repeat(np.arange(classes), per_class)
    logits = rng.standard_normal((len(labels), classes))
    logits[np.arange(len(labels)), labels] += sharpness
    table = torch.from_numpy(logits).softmax(1)
    meter = MeanProbabilityStddev()
    while meter.num_windows < 120:
        order = torch.from_numpy(rng.permutation(len(labels)))
        for indices in torch.split(order, batch)[: len(labels) // batch]:
            meter.update(table[indices], table[indices])
    bound = math.sqrt((1 / classes) * (1 - 1 / classes) / (5 * batch))
    scatter = 4 / math.sqrt(2 * (meter.num_windows - 1) * (classes - 1))
    assert 0 < meter.value() <= bound * (1 + scatter)
