"""Schemes of one's own that fail: their trials leave the group, and nobody else's numbers change."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.trainer.keepers import LenientKeeper, assert_equal_results
from tests.trainer.test_lockstep import CPU, student_trial, teacher_trial
from trainer.augmentations.own import apply_own
from trainer.datasets.dataset import Dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.randomness import addressed_generator
from trainer.trial import Data, OwnFile

SCARCE = """
from pathlib import Path
import torch
from trainer.augmentations.own import register

@register("scarce")
def scarce(images, rng):
    images = images * rng.uniform(0.5, 1.5)
    if Path({flag!r}).exists():
        Path({flag!r}).unlink()
        torch.empty(1 << 50)
    return images
"""
"""Once, and only after it has drawn, there is no memory."""


@pytest.mark.parametrize("first", ["scarce", "scarcepick_t"])
def test_where_memory_was_short_once_the_others_see_what_they_would_have_seen(
    first: str, tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    flag = tmp_path / "flag"
    own = OwnFile(path="scarce.py", source=SCARCE.format(flag=str(flag)))
    unlucky = student_trial(tiny_data, first, own_scheme=own, learning_rate=0.01)
    others = [
        student_trial(tiny_data, name, own_scheme=own)
        for name in ("scarce", "scarcepick_t", "scarcepick_s")
    ]
    alone, together = tmp_path / "alone", tmp_path / "together"
    run_group([teacher_trial(tiny_data)], FolderKeeper(alone), tiny_dataset, CPU)
    shutil.copytree(alone, together)
    for trial in others:
        run_group([trial], FolderKeeper(alone), tiny_dataset, CPU)
    flag.touch()
    keeper = LenientKeeper(together)
    run_group([unlucky, *others], keeper, tiny_dataset, CPU)
    assert tuple(keeper.failures) == (unlucky.fingerprint,)
    assert "can't allocate memory" in str(keeper.failures[unlucky.fingerprint])
    for trial in others:
        assert_equal_results(alone, together, trial)


@pytest.mark.parametrize(
    "code",
    [
        "import sys\n@register('leaving')\ndef leaving(images, rng): sys.exit(0)",
        "@register('leaving')\ndef leaving(images, rng): ...\nraise SystemExit",
    ],
)
def test_a_scheme_that_would_end_the_process_is_an_error(code: str) -> None:
    source = f"from trainer.augmentations.own import register\n{code}\n"
    own = OwnFile(path="leaving.py", source=source)
    rng = addressed_generator(0, "scheme", "leaving", 1, 0)
    with pytest.raises(RuntimeError, match=r"leaving\.py: leaving would end the whole process"):
        apply_own(own, "leaving", torch.zeros(4, 3, 16, 16), rng)
