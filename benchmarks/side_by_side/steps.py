"""CPU and wall time per step of either side, in one process, after a warm-up.

The clock is the process's own CPU time, all its threads, and that of the plain loop's workers. Start-up, reading
of data and building of models are outside; `whole_sweeps` measures those too.
"""

import itertools
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch

from benchmarks.side_by_side.cpu_watch import cpu_seconds
from benchmarks.side_by_side.pillow_images import train_batches
from benchmarks.side_by_side.plain_trial import learning_rate, make_loop
from benchmarks.side_by_side.workloads import Kind, Pair, Scale, trials
from trainer.checkpoint import Checkpoint
from trainer.device import prepare_device
from trainer.keeper import Command, FolderKeeper, Progress
from trainer.lockstep import run_group
from trainer.models import build_model
from trainer.trial import Precision, Trial

Side = Literal["plain", "plain, teacher only", "kdsweep"]
"""`plain, teacher only` is a plain T. stddev trial without the student's passes, which its result does not need."""

PLAIN_SIDES: tuple[Side, ...] = ("plain", "plain, teacher only")


@dataclass(frozen=True)
class Run:
    """What one process does: trials of one kind and pair, several of them only in kdsweep's lockstep."""

    side: Side
    kind: Kind
    pair: str
    schemes: tuple[str, ...]
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Cost:
    """Seconds per step; `images` of the training set were shown to each trial in each step."""

    cpu_s: float
    wall_s: float
    images: float


@dataclass(frozen=True)
class _Reading:
    cpu_s: float
    wall_s: float
    images: int

    @classmethod
    def now(cls, images: int) -> Self:
        pids = (worker.pid for worker in multiprocessing.active_children())
        workers = sum(cpu_seconds(pid) for pid in pids if pid is not None)
        return cls(time.process_time() + workers, time.perf_counter(), images)

    def until(self, end: "_Reading", steps: int) -> Cost:
        return Cost(
            cpu_s=(end.cpu_s - self.cpu_s) / steps,
            wall_s=(end.wall_s - self.wall_s) / steps,
            images=(end.images - self.images) / steps,
        )


def measure(run: Run, scale: Scale, weights: Path) -> Cost:
    """The cost of a step of a run; to be called once in a fresh process.

    Raises:
        ValueError: several trials at once are asked of the plain loop.
    """
    group = trials(run.kind, Pair.of(run.pair), run.schemes, scale, run.precision)
    if run.side == "kdsweep":
        return _of_kdsweep(group, scale, weights)
    if len(group) != 1:
        raise ValueError("the plain loop runs one trial per process")
    return _of_the_plain_loop(group[0], run, scale, weights)


class _TimingKeeper(FolderKeeper):
    """Gives weights, reads the clock after the warm-up and after the steps, and then stops the group."""

    def __init__(self, weights: Path, scale: Scale) -> None:
        super().__init__(weights)
        self._scale = scale
        self.readings: list[_Reading] = []

    def checkpoint(self, trial: Trial) -> None:
        return None

    def save(self, trial: Trial, checkpoint: Checkpoint) -> None:
        pass

    def after_step(self, progress: Progress) -> Command:
        last = self._scale.warmup + self._scale.steps
        if progress.step in {self._scale.warmup, last}:
            self.readings.append(_Reading.now(progress.step * self._scale.batch_size))
        return Command.STOP if progress.step == last else Command.GO_ON


def _of_kdsweep(group: list[Trial], scale: Scale, weights: Path) -> Cost:
    device = prepare_device(num_threads=1, gpus=0)
    keeper = _TimingKeeper(weights, scale)
    run_group(group, keeper, scale.dataset(), device)
    begin, end = keeper.readings
    return begin.until(end, scale.steps)


def _of_the_plain_loop(trial: Trial, run: Run, scale: Scale, weights: Path) -> Cost:
    torch.set_num_threads(1)
    torch.manual_seed(trial.seed)
    dataset, idle_student = scale.dataset(), None
    if run.kind == "stddev" and run.side == "plain":
        student = Pair.of(run.pair).student
        idle_student = build_model(student, dataset.num_classes, dataset.image_size)
    with (weights / f"{os.getpid()}.log").open("w") as log:
        loop, _ = make_loop(trial, dataset, weights, log, idle_student)
        loop.begin_epoch(learning_rate(trial, 1))
        batches = iter(train_batches(dataset, trial.batch_size))
        for images, labels in itertools.islice(batches, scale.warmup):
            loop.step(images, labels)
        begin = _Reading.now(loop.num_images)
        for images, labels in itertools.islice(batches, scale.steps):
            loop.step(images, labels)
        return begin.until(_Reading.now(loop.num_images), scale.steps)
