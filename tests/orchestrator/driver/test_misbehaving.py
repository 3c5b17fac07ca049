"""Code of a user's own that raises, takes too much memory or never ends: it fails alone, as the policy says."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import run
from tests.orchestrator.conftest import SETTINGS
from tests.orchestrator.results import comparable
from tests.orchestrator.sweeps import write_sweep

pytestmark = pytest.mark.slow

SCHEMES = """
import time
import torch
from trainer.augmentations.own import register

TRIED_OUT = 4


@register("broken")
def broken(images, rng):
    return images if len(images) == TRIED_OUT else images @ images[:, :, :3]


@register("greedy")
def greedy(images, rng):
    return images if len(images) == TRIED_OUT else torch.empty(1 << 50)


@register("endless")
def endless(images, rng):
    time.sleep(0 if len(images) == TRIED_OUT else 100_000)
    return images
"""


def test_only_what_misbehaves_fails(home: Path, tmp_path: Path, undisturbed: Store) -> None:
    path = tmp_path / "schemes.py"
    path.write_text(SCHEMES)
    schemes = ["broken", "greedypick_s", "endlesspick_s"]
    sweep = write_sweep(
        tmp_path,
        **SETTINGS,
        measure=["t_stddev"],
        schemes=[str(path)],
        augmentations=["identity", "cutmix", "cutmixpick_s", *schemes],
        time_limit_minutes=0.25,
    )
    shutil.copytree(undisturbed.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    rows = undisturbed.results().to_pylist()
    innocent = {
        row["fingerprint"]
        for row in rows
        if row["kind"] == "stddev" or row["augmentation"] == "cutmixpick_s"
    }
    store.forget(innocent)

    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 1, output
    assert "4 finished, 3 failed, 2 blocked by them" in output
    assert comparable(store) == comparable(undisturbed)
    attempts = store.results(innocent)["num_attempts"].to_pylist()
    assert attempts == [1] * 4
    failures = store.failures().to_pylist()
    assert Counter((row["augmentation"], row["cause"]) for row in failures) == {
        ("broken", "error"): 2,
        ("greedypick_s", "out of memory"): 4,
        ("endlesspick_s", "time limit"): 2,
    }
    (where,) = {row["place"] for row in failures if row["augmentation"] == "broken"}
    assert where.startswith("trainer/augmentations/own.py:")
    for row in failures:
        if row["augmentation"] == "broken":
            assert f'{path}", line 11, in broken' in row["traceback"]
        if row["augmentation"] == "endlesspick_s":
            assert "took longer than its 15 s (time_limit_minutes)" in row["error"]
            assert f'{path}", line 21 in endless' in row["traceback"]
    assert not store.signs.running()
