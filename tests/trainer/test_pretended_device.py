"""Between two steps the host never waits for the device: shown on a device that is only pretended."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trainer.pinned import with_pinned_torch
from tests.trainer.pretended_device import Wait
from tests.trainer.pretended_runs import FAULTS, GROUPS, PARTS

pytestmark = with_pinned_torch

ROOT = Path(__file__).parents[2]

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "a group begins: its images, its tables and its models move to the device": (
        "to device: dataset.py Part.to: return Part(self.images.to(device), self.labels.to(device))",
        "to device: palette.py Palette.__init__: self._floats = floats.to(device)",
        "to device: palette.py Palette.__init__: self._back = back.to(device)",
        "to device: layout.py placed: return model.to(device, memory_format=LAYOUT)",
    ),
    "a member is restored": (
        'to device: learners.py _TrainedMember.restore: self._model.load_state_dict(_under("model.", tensors))',
        "to device: learners.py _TrainedMember.restore: value.copy_(tensors[name])",
        'to device: learners.py _TrainedMember.restore: self._train.loss_sum.copy_(tensors["loss_sum"])',
        "to device: stddev.py MeanProbabilityStddev.from_state: "
        'state[name].to(device) if name in state else None for name in ("sum", "mean", "squares")',
        "to device: stddev.py _Blocks.from_state: "
        "list(state[name].to(device).unbind()) if name in state else []",
        "to device: answers.py AugmentedAnswers.from_state: "
        "answers._sums = _Sums(*state[SUMS].to(device).unbind())",
    ),
    "a member is saved": (
        "to cpu: pretended_runs.py StandingKeeper.save: "
        "tensors = {name: tensor.cpu() for name, tensor in checkpoint.tensors.items()}",
        "to cpu: stddev.py MeanProbabilityStddev.state: "
        "kept = {k: v.cpu() for k, v in tensors.items() if v is not None}",
        "to cpu: stddev.py _Blocks.state: "
        'kept = {f"blocks.{k}": torch.stack(v).cpu() for k, v in lists.items() if v}',
        "to cpu: answers.py AugmentedAnswers.state: "
        "sums = {} if self._sums is None else {SUMS: torch.stack(self._sums).cpu()}",
    ),
    "a member's epoch ends": (
        "read: learners.py _TrainedMember.end_epoch: "
        "train_loss = self._train.loss_sum.item() / self._trial.data.train_images",
        "read: evaluation.py evaluate: return Score(loss.item() / count, correct.item() / count)",
        "read: stddev.py MeanProbabilityStddev.value: "
        "return float((self._squares / (self.num_windows - 1)).sqrt().mean())",
    ),
    "a measurement ends": (
        "read: stddev.py _Blocks.jackknife: "
        "return float(((values - values.mean()).square().sum() * (groups - 1) / groups).sqrt())",
        "read: stddev.py MeanProbabilityStddev.covariance_trace: "
        "return float((self._squares / (self.num_windows - 1)).sum())",
        "read: answers.py AugmentedAnswers.values: means = (self._sums.first + moved).tolist()",
        "read: answers.py AugmentedAnswers.values: "
        "errors = ((squares * factor).sqrt() / self._images).tolist()",
    ),
}
"""Where the host waits around the steps, by the reason. It may only shrink."""


@pytest.fixture(scope="module")
def waits() -> Mapping[str, list[Wait]]:
    """Those of every run and every planted fault."""
    command = [sys.executable, "-m", "tests.trainer.pretended_runs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: [Wait(*told) for told in each] for name, each in json.loads(done.stdout).items()}


def test_every_wait_has_a_reason(waits: Mapping[str, list[Wait]]) -> None:
    seen = {f"{wait.what}: {wait.where}" for name in GROUPS for wait in waits[name]}
    assert seen == {wait for waits in ALLOWED.values() for wait in waits}


def test_nothing_waits_within_steps(waits: Mapping[str, list[Wait]]) -> None:
    seen = [wait for name in (*GROUPS, *PARTS) for wait in waits[name]]
    assert {f"{w.what}: {w.where}" for w in seen if w.is_within_steps} == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, waits: Mapping[str, list[Wait]]) -> None:
    fault = [wait for wait in waits[name] if wait.where.startswith("pretended_runs.py <lambda>")]
    assert {wait.what for wait in fault} == {FAULTS[name].wait}


def test_a_first_step_is_told_from_the_next(waits: Mapping[str, list[Wait]]) -> None:
    fault = [wait for wait in waits["fetches"] if "<lambda>" in wait.where]
    assert {wait.is_within_steps for wait in fault} == {True, False}
