"""A whole trial by the plain loop, in a process of its own, from its JSON to its result.

python -m benchmarks.side_by_side.plain_trial TRIAL.json --weights FOLDER --data FOLDER --threads 1
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.side_by_side.pillow_images import Batches, held_out_batches, train_batches
from benchmarks.side_by_side.plain_loop import PlainLoop, PlainStddev, PlainStudent, PlainTeacher
from trainer.checkpoint import CheckpointFolder
from trainer.datasets.dataset import Dataset, load_dataset
from trainer.models import build_model
from trainer.schedules import step_learning_rate
from trainer.trial import TRIAL, PredictorTrial, StddevTrial, StudentTrial, TeacherTrial, Trial


def trained(architecture: str, weights: Mapping[str, Tensor], dataset: Dataset) -> nn.Module:
    """A model with given weights, in torch's default memory layout."""
    model = build_model(architecture, dataset.num_classes, dataset.image_size)
    model.load_state_dict(weights)
    return model


def make_loop(
    trial: Trial,
    dataset: Dataset,
    weights: Path,
    log: TextIO,
    idle_student: nn.Module | None = None,
) -> tuple[PlainLoop, nn.Module | None]:
    """The plain loop of a trial, and the model that it trains; None: it trains none.

    `weights` is the folder with `FINGERPRINT/final.safetensors` of what the trial depends on.
    """

    def finished(architecture: str, fingerprint: str) -> nn.Module:
        return trained(architecture, CheckpointFolder(weights / fingerprint).weights(), dataset)

    def fresh(architecture: str) -> nn.Module:
        return build_model(architecture, dataset.num_classes, dataset.image_size)

    match trial:
        case TeacherTrial():
            model = fresh(trial.teacher)
            return PlainTeacher(model, trial, log), model
        case StudentTrial():
            model = fresh(trial.student)
            teacher = finished(trial.teacher, trial.teacher_fingerprint)
            return PlainStudent(trial, teacher, model, dataset, log), model
        case StddevTrial():
            teacher = finished(trial.teacher, trial.teacher_fingerprint)
            student = None
            if trial.student is not None and trial.student_fingerprint is not None:
                student = finished(trial.student, trial.student_fingerprint)
            return PlainStddev(trial, teacher, student, idle_student, dataset, log), None
        case PredictorTrial():
            raise ValueError("a predictor of one's own has no plain loop")


def learning_rate(trial: Trial, epoch: int) -> float:
    if isinstance(trial, StddevTrial | PredictorTrial):
        return 0.0
    return step_learning_rate(epoch, trial.learning_rate, trial.milestones, trial.decay)


@torch.no_grad()
def held_out_loss(model: nn.Module, batches: Batches, log: TextIO) -> float:
    """The mean cross-entropy over the test images."""
    model.eval()
    loss, correct, count = 0.0, 0.0, 0
    for images, labels in batches:
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).float().sum().item()
        count += len(labels)
    log.write(f"test loss {loss / count:.6f} accuracy {correct / count:.4f}\n")
    return loss / count


def run_trial(trial: Trial, dataset: Dataset, weights: Path, log: TextIO) -> dict[str, float | int]:
    """Run a trial to its end and keep the model it trained beside the weights it took.

    Returns:
        Its number, and how many images it was shown in training and in tests.
    """
    torch.manual_seed(trial.seed)
    loop, model = make_loop(trial, dataset, weights, log)
    train, held_out = train_batches(dataset, trial.batch_size), held_out_batches(dataset)
    value, tested = float("nan"), 0
    for epoch in range(1, trial.epochs + 1):
        loop.begin_epoch(learning_rate(trial, epoch))
        for images, labels in train:
            loop.step(images, labels)
        if model is not None:
            value = held_out_loss(model, held_out, log)
            tested += len(dataset.test.labels)
    if isinstance(loop, PlainStddev):
        value = loop.value()
    if model is not None:
        CheckpointFolder(weights / trial.fingerprint).keep(model.state_dict())
    return {"value": value, "train_images": loop.num_images, "test_images": tested}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trial", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trial = TRIAL.validate_json(options.trial.read_text())
    begun = time.perf_counter()
    with options.trial.with_suffix(".log").open("w") as log:
        result = run_trial(trial, load_dataset(trial.data, options.data), options.weights, log)
    seconds = time.perf_counter() - begun
    print(json.dumps({"kind": trial.kind, "seconds": seconds, **result}))


if __name__ == "__main__":
    main()
