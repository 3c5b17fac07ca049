"""Groups that are trained and measured on the pretended device, as they are and with faults.

    python -m tests.trainer.pretended_runs

prints, as JSON, every wait of the host by the name of the run or of the fault.
"""

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

from tests.trainer.pretended_device import PretendedLanes, Wait, Watch, pretend, watched
from trainer import learners, models
from trainer.augmentations.schemes import PolicyDecision
from trainer.catalog import AUGMENTATIONS, pick_of
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset, load_dataset
from trainer.keeper import Command, Progress, Result, Row
from trainer.lockstep import run_group
from trainer.losses import student_loss
from trainer.models import build_model
from trainer.models.layers import conv3x3, torch_default
from trainer.replay import Replaying
from trainer.trial import Data, OwnFile, StddevTrial, StudentTrial, TeacherTrial, Trial

DATA = Data.official("fashion_mini", train_images=22, test_images=10)
BATCH_SIZE = 5
"""Four whole batches, and a last one of two."""

TINY = "resnet8"
"""Stands for a model of one layer of each kind, wherever the architecture does not matter."""

FAMILIES = (
    "resnet14",
    "wrn_16_1",
    "vgg8",
    "ResNet18",
    "MobileNetV2_0_25",
    "ShuffleV1",
    "ShuffleV2_0_3",
)
"""One architecture of each."""

OWN = OwnFile(
    path="own.py",
    source="""
from trainer.augmentations.own import register

@register("negative")
def negative(images, rng):
    return -images if rng.random() < 0.5 else images
""",
)


class StandingKeeper:
    """Keeps trials in memory, and stops a group once, after two steps.

    It tells the watch which steps are nothing but steps: all but the first and the last of an epoch or of a run.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._left = 2
        self._kept: dict[Trial, Checkpoint] = {}
        self.num_finished = 0

    def weights(self, fingerprint: str) -> Mapping[str, Tensor]:
        weights: dict[str, Tensor] = build_model(TINY, 10, 16).state_dict()
        return weights

    def checkpoint(self, trial: Trial) -> Checkpoint | None:
        return self._kept.get(trial)

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        tensors = {name: tensor.cpu() for name, tensor in checkpoint.tensors.items()}
        self._kept[trial] = Checkpoint(checkpoint.position, tensors, checkpoint.record)

    def finish(self, trial: Trial, result: Result) -> None:
        self.num_finished += 1

    def fail(self, trial: Trial, error: Exception) -> None:
        raise error

    def after_epoch(self, trial: Trial, row: Row) -> None:
        pass

    def after_step(self, progress: Progress) -> Command:
        self._left -= 1
        goes_on = self._left != 0
        self._watch.is_within_steps = goes_on and progress.step < progress.steps_per_epoch - 1
        return Command.GO_ON if goes_on else Command.STOP


def teacher(architecture: str = TINY, **changes: Any) -> TeacherTrial:
    settings: dict[str, Any] = {"batch_size": BATCH_SIZE, "epochs": 1, "milestones": ()}
    return TeacherTrial(
        data=DATA, teacher=architecture, seed=0, learning_rate=0.05, **(settings | changes)
    )


def student(augmentation: str, **changes: Any) -> StudentTrial:
    return StudentTrial(
        data=DATA,
        teacher=TINY,
        teacher_fingerprint=teacher().fingerprint,
        student=TINY,
        augmentation=augmentation,
        seed=0,
        learning_rate=0.05,
        batch_size=BATCH_SIZE,
        epochs=1,
        pick_size=BATCH_SIZE,
        **changes,
    )


def measured(trained: StudentTrial) -> StddevTrial:
    """The measurement of a student's augmentation."""
    pick = pick_of(trained.augmentation)
    needed: dict[str, Any] = {
        "student": trained.student,
        "student_fingerprint": trained.fingerprint,
        "student_cell": trained.cell,
    }
    return StddevTrial(
        data=DATA,
        teacher=trained.teacher,
        teacher_fingerprint=trained.teacher_fingerprint,
        augmentation=trained.augmentation,
        randomness=trained.randomness,
        own_scheme=trained.own_scheme,
        seed=0,
        epochs=1,
        batch_size=BATCH_SIZE,
        batches_per_window=1,
        pick_size=BATCH_SIZE,
        **(needed if pick and pick.needs_student else {}),
    )


STUDENTS = (
    *(student(name) for name in AUGMENTATIONS),
    *(student(name, randomness="sample") for name in AUGMENTATIONS if name != "identity"),
    *(student(name, own_scheme=OWN) for name in ("negative", "negativepick_t", "negativepick_k")),
)
OTHERWISE_TAUGHT = (
    student("cutmix", method="dkd", method_warmup_epochs=2, optimiser="adamw", clip_norm=1.0),
    student("cutmixpick_t", method="dist", label_smoothing=0.1),
)


class Tiny(nn.Sequential):
    def __init__(self, num_classes: int) -> None:
        super().__init__(
            conv3x3(3, 4),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, num_classes),
        )


@functools.cache
def images() -> Dataset:
    return load_dataset(DATA)


def run(trials: Sequence[Trial], watch: Watch, device: torch.device) -> None:
    """Run a group to its end, stopped after two steps and resumed; whole batches are captured."""
    keeper = StandingKeeper(watch)
    for _ in range(2):
        run_group(trials, keeper, images(), device, Replaying(PretendedLanes(watch)))
    assert keeper.num_finished == len(trials)


def go_through_families(watch: Watch, device: torch.device) -> None:
    """A model of each, forward and backward."""
    watch.is_within_steps = True
    batch = torch.zeros(2, 3, 16, 16, device=device)
    for name in FAMILIES:
        model = build_model(name, 10, 16).to(device)
        watch.waits.clear()
        model(batch).sum().backward()


def apply_policies(watch: Watch, device: torch.device) -> None:
    """All operations of both sets of AutoAugment's sub-policies."""
    watch.is_within_steps = True
    for size in (32, 64):
        batch = torch.zeros(2, 3, size, size, dtype=torch.uint8, device=device)
        for policy in range(25):
            PolicyDecision(policy, (0.0, 0.0), (0, 1)).transform(batch)


GROUPS: Mapping[str, Callable[[Watch, torch.device], None]] = {
    "teacher": functools.partial(run, [teacher(epochs=2, milestones=(1,))]),
    "students": functools.partial(run, (*STUDENTS, *OTHERWISE_TAUGHT)),
    "stddev": functools.partial(run, [measured(trial) for trial in STUDENTS]),
}
PARTS: Mapping[str, Callable[[Watch, torch.device], None]] = {
    "families": go_through_families,
    "policies": apply_policies,
}
"""What may wait nowhere."""


class Fault(NamedTuple):
    """What a loss might do with a student's logits, and the wait that it costs."""

    wait: str
    act: Callable[[Tensor], object]


FAULTS: Mapping[str, Fault] = {
    "reads a number": Fault("read", lambda logits: logits.sum().item()),
    "reads a list": Fault("read", lambda logits: logits[0].tolist()),
    "branches": Fault("read", lambda logits: bool(logits.sum() > 0)),
    "compares": Fault("read", lambda logits: torch.equal(logits, logits)),
    "prints": Fault("print", lambda logits: print(logits.sum(), file=sys.stderr)),  # noqa: T201
    "formats": Fault("print", lambda logits: f"{logits.sum()}"),
    "masks": Fault("size", lambda logits: logits[logits > 0]),
    "finds": Fault("size", lambda logits: logits.nonzero()),
    "gathers from the CPU": Fault("cpu operand", lambda logits: logits[torch.arange(2)]),
    "adds what is on the CPU": Fault("cpu operand", lambda logits: logits + torch.ones(10)),
    "sends": Fault("to device", lambda logits: torch.ones(10).to(logits.device)),
    "sends what is not pinned": Fault(
        "to device", lambda logits: torch.ones(10).to(logits.device, non_blocking=True)
    ),
    "sends a list": Fault("to device", lambda logits: torch.tensor([1, 2], device=logits.device)),
    "copies in place": Fault("to device", lambda logits: logits.detach().copy_(torch.ones(10))),
    "fetches": Fault("to cpu", lambda logits: logits.cpu()),
}


def take_steps_with(fault: Fault, watch: Watch, device: torch.device) -> None:
    """What the fault does may end the group."""

    def faulty(logits: Tensor, *others: Any, **named: Any) -> Tensor:
        fault.act(logits)
        return student_loss(logits, *others, **named)

    with mock.patch.object(learners, "student_loss", faulty), contextlib.suppress(RuntimeError):
        run_group([student("cutmix")], StandingKeeper(watch), images(), device)


def main() -> None:
    device = pretend()
    acts = {**GROUPS, **PARTS}
    acts |= {name: functools.partial(take_steps_with, fault) for name, fault in FAULTS.items()}
    waits: dict[str, list[Wait]] = {}
    with mock.patch.dict(models._REGISTRY, {TINY: models._Entry(Tiny, torch_default)}):
        for name, act in acts.items():
            with watched() as watch:
                act(watch, device)
            waits[name] = sorted(watch.waits)
    sys.stdout.write(json.dumps(waits))


if __name__ == "__main__":
    main()
