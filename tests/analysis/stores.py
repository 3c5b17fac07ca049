"""Made-up stores that look like real ones, written through the store itself."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from orchestrator.store.records import identity_columns
from orchestrator.store.store import Store
from trainer.catalog import AUGMENTATIONS, default_learning_rate
from trainer.trial import Data, StddevTrial, StudentTrial, TeacherTrial, Trial

PAPER_PAIRS = (
    *("vgg13/vgg8", "vgg13/MobileNetV2", "resnet56/resnet20", "resnet56/ShuffleV2"),
    *("wrn_40_2/wrn_16_2", "wrn_40_2/vgg8", "resnet32x4/resnet8x4"),
    *("resnet32x4/ShuffleV2", "ResNet50/vgg8"),
)
PAPER_DATA = {name: Data.official(name) for name in ("cifar100", "tinyimagenet")}
LEVELS = {"cifar100": (0.0055, 1.15), "tinyimagenet": (0.0039, 1.85)}
"""T. stddev and test loss of identity, about those that were published."""


def paper_trials(
    pairs: Iterable[str] = PAPER_PAIRS,
    datasets: Iterable[str] = ("cifar100", "tinyimagenet"),
    seeds: Iterable[int] = (0, 1, 2),
    augmentations: Iterable[str] = AUGMENTATIONS,
) -> list[Trial]:
    """The trials of the paper's sweep; T. stddev once per teacher, of cutmixpick_s once per pair."""
    found: dict[str, Trial] = {}
    for name in datasets:
        data = PAPER_DATA[name]
        for pair in pairs:
            teacher_name, student_name = pair.split("/")
            teacher = TeacherTrial(data=data, teacher=teacher_name, seed=0, learning_rate=0.05)
            found.setdefault(teacher.fingerprint, teacher)
            for seed in seeds:
                for augmentation in augmentations:
                    student = StudentTrial(
                        data=data,
                        teacher=teacher_name,
                        teacher_fingerprint=teacher.fingerprint,
                        student=student_name,
                        augmentation=augmentation,
                        seed=seed,
                        learning_rate=default_learning_rate(student_name),
                    )
                    picks = augmentation == "cutmixpick_s"
                    stddev = StddevTrial(
                        data=data,
                        teacher=teacher_name,
                        teacher_fingerprint=teacher.fingerprint,
                        augmentation=augmentation,
                        seed=seed,
                        student=student_name if picks else None,
                        student_fingerprint=student.fingerprint if picks else None,
                        student_cell=student.cell if picks else None,
                    )
                    found.setdefault(student.fingerprint, student)
                    found.setdefault(stddev.fingerprint, stddev)
    return list(found.values())


def _place(augmentation: str | None) -> float:
    """From 0 to 1 over the nine; others in the middle."""
    return AUGMENTATIONS.index(augmentation) / 8 if augmentation in AUGMENTATIONS else 0.5


def made_up_metrics(trial: Trial) -> dict[str, Any]:
    """Numbers with the paper's trend and a seed noise of a plausible size, drawn from the fingerprint."""
    noise = np.random.default_rng(int(trial.fingerprint[:16], 16)).standard_normal(3)
    stddev, loss = LEVELS.get(trial.dataset, LEVELS["cifar100"])
    # Hidden quality of a scheme: from 0 to 1 over the nine, and a wobble of its own per teacher.
    place = _place(trial.augmentation)
    own = np.random.default_rng([len(trial.teacher), sum(map(ord, trial.augmentation or ""))])
    place = place + 0.05 * own.standard_normal()
    if trial.kind == "stddev":
        return {"t_stddev": stddev * (1 - 0.28 * place) + 2e-5 * noise[0], "num_windows": 1564}
    own = np.random.default_rng(
        sum(map(ord, f"{trial.dataset}{trial.student}{trial.augmentation}"))
    )
    place = place + 0.12 * own.standard_normal()
    shift = 0.04 * (len(trial.student or "") % 5)
    value = (loss + shift) * (1 - 0.11 * place) + 0.006 * noise[1]
    accuracy = math.exp(-value) * 2 + 0.002 * noise[2]
    return {
        "train_loss": value / 2,
        "test_loss": value,
        "test_accuracy": accuracy,
        "best_accuracy": accuracy + 0.002,
        "best_epoch": 230,
    }


def add(store: Store, trial: Trial, **metrics: Any) -> None:
    """A finished trial with made-up numbers, or with those given."""
    dependencies = {
        name: getattr(trial, name, None)
        for name in ("teacher_fingerprint", "student_fingerprint", "student_cell")
    }
    numbers = metrics or made_up_metrics(trial)
    curve = []
    if trial.kind != "stddev" and "test_loss" in numbers:
        curve = [
            {"epoch": e, "test_loss": numbers["test_loss"] + 3 * math.exp(-e / 6)}
            for e in range(1, 25)
        ]
    started = datetime(2026, 1, 1, tzinfo=UTC)
    row = identity_columns(trial) | dependencies | numbers
    row |= {
        "cell": trial.cell,
        "trial": trial.model_dump_json(),
        "device": "cpu",
        "host": "here",
        "precision": trial.precision,
    }
    row |= {"kdsweep_version": "0.1.0", "torch_version": "2.15.0", "git_commit": "0" * 40}
    row |= {"started_at": started, "finished_at": started, "wall_seconds": 60.0, "num_threads": 1}
    store.add_result(row, curve)


def fill(store: Store, trials: Iterable[Trial]) -> Store:
    for trial in trials:
        add(store, trial)
    return store
