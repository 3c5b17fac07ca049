"""Run a group of trials in lockstep: make each batch, view and teacher output once, feed all with it.

Trials with equal `lockstep_key` see the same batches, and a frozen teacher says the same about them. So one
worker makes a batch, makes each view of it, shows each view to the teacher, and every member takes its step.
A trial's numbers are the same bits alone, in any group, or resumed after any step: all randomness is
addressed, no tensor of one member enters another's arithmetic, and no batch is ever joined with another.
A group of one is the ordinary case.

A member that fails leaves the group; the others go on. Members that were cut off at different steps cannot
share batches: each such part of the group runs after the other.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from trainer.augmentations import Batch, CropsAndFlips, Palette
from trainer.catalog import pick_of
from trainer.checkpoint import Checkpoint
from trainer.datasets.dataset import Dataset
from trainer.evaluation import evaluate
from trainer.frozen import FrozenModel
from trainer.keeper import Command, Keeper, Progress, Result
from trainer.learners import Place, StudentMember, TeacherMember, trained_model
from trainer.members import DivergedError, Member, last_losses
from trainer.positions import Position
from trainer.published import read_published
from trainer.randomness import addressed_generator
from trainer.replay import Eager, Execution
from trainer.sending import sent
from trainer.trial import (
    SEMANTICS,
    GuestModel,
    PredictorTrial,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    Trial,
    lockstep_key,
    steps_per_epoch,
)
from trainer.views import StepViews
from trainer.watchers import PredictorMember, StddevMember


def run_group(
    trials: Sequence[Trial],
    keeper: Keeper,
    dataset: Dataset,
    device: torch.device,
    execution: Execution | None = None,
) -> None:
    """Run trials to their ends, each from its last checkpoint; the keeper hears what became of each.

    Args:
        trials: with equal `lockstep_key`; at least one.
        keeper: gives checkpoints and weights, takes results.
        dataset: what the trials' `data` names; its tensors may be anywhere.
        device: where to compute (`trainer.device.prepare_device`).
        execution: how, of this group's own (`trainer.replay.execution_on`); None: eagerly.

    Raises:
        torch.AcceleratorError: the device itself has failed: nothing computes on it any more in this process.
        ValueError: the trials do not belong together.
        CheckpointError: the weights of a dependency are missing or damaged.
    """
    for trial in trials:
        if trial.semantics != SEMANTICS[trial.kind]:
            raise ValueError(
                f"{trial.kind} trials of semantics {trial.semantics} are computed by another version of "
                f"kdsweep; this one computes {SEMANTICS[trial.kind]}"
            )
    if len({lockstep_key(trial) for trial in trials}) != 1:
        raise ValueError("these trials cannot share a group: their lockstep keys differ")
    first, dataset = trials[0], dataset.to(device)
    palette = Palette(dataset.mean, dataset.std, device)
    place = Place(dataset, palette, device, execution or Eager())
    if isinstance(first, TeacherTrial) and first.checkpoint is not None:
        keeper.finish(first, _evaluate_published(first, first.checkpoint, place))
        return
    starts = [(keeper.checkpoint(trial), trial) for trial in trials]
    starts.sort(key=lambda start: _position(start[0]))
    group = _Group(first, keeper, place)
    for position, together in groupby(starts, key=lambda start: _position(start[0])):
        group.run(position, list(together))
        if group.stopped:
            break


def _evaluate_published(
    trial: TeacherTrial, checkpoint: PublishedCheckpoint, place: Place
) -> Result:
    """A published teacher is tested once; its weights are kept in the form of our own."""
    dataset, guest = place.dataset, trial.teacher_model
    weights = read_published(
        Path(checkpoint.path),
        checkpoint.sha256,
        trial.teacher,
        dataset.num_classes,
        guest,
        dataset.image_size,
    )
    model = trained_model(trial.teacher, guest, weights, place)
    score = evaluate(model, place.dataset.test, place.palette)
    if not math.isfinite(score.loss):
        raise DivergedError(f"{checkpoint.path}: its test loss is {score.loss}")
    metrics = {"test_loss": score.loss, "test_accuracy": score.accuracy}
    return Result(metrics, (), model.state_dict(), num_teacher_passes=0)


def _position(checkpoint: Checkpoint | None) -> Position:
    return checkpoint.position if checkpoint else Position()


class _Group:
    def __init__(self, first: Trial, keeper: Keeper, place: Place) -> None:
        self._first = first
        self._keeper = keeper
        self._place = place
        self._teacher = self._frozen_teacher(first)
        self._members: dict[Trial, Member] = {}
        self.stopped = False

    def _frozen_teacher(self, trial: Trial) -> FrozenModel:
        if isinstance(trial, TeacherTrial):
            return FrozenModel(torch.nn.Identity())
        return self._frozen(
            trial.teacher, trial.teacher_model, trial.teacher_fingerprint, trial.batch_size
        )

    def _frozen(
        self, architecture: str, guest: GuestModel | None, fingerprint: str, whole: int
    ) -> FrozenModel:
        """A finished trial's model, as this group calls it, for batches of `whole` images mostly."""
        weights = self._keeper.weights(fingerprint)
        model = trained_model(architecture, guest, weights, self._place)
        # Whether the code of others can be captured nobody knows.
        execution = None if guest else self._place.execution
        return FrozenModel(model, self._first.precision, execution, whole)

    def _member(self, trial: Trial) -> Member:
        match trial:
            case TeacherTrial():
                return TeacherMember(trial, self._place)
            case StudentTrial():
                return StudentMember(trial, self._place)
            case StddevTrial():
                return StddevMember(trial, self._place.device, self._trained_student(trial))
            case PredictorTrial():
                return PredictorMember(trial, self._place.device, self._trained_student(trial))

    def _trained_student(self, trial: StddevTrial | PredictorTrial) -> FrozenModel | None:
        pick = pick_of(trial.augmentation)
        if pick is None or trial.student is None or trial.student_fingerprint is None:
            return None
        pool = pick.runs * trial.batch_size
        return self._frozen(trial.student, trial.student_model, trial.student_fingerprint, pool)

    def run(self, start: Position, trials: Sequence[tuple[Checkpoint | None, Trial]]) -> None:
        """Run trials that all stand at `start` until none is left or the keeper says stop."""
        for checkpoint, trial in trials:
            with self._leaving_alone(trial):
                member = self._member(trial)
                if checkpoint is not None:
                    member.restore(checkpoint)
                self._members[trial] = member
        epoch, step = start.epoch, start.step
        while self._members and not self.stopped:
            self._run_epoch(epoch, step)
            epoch, step = epoch + 1, 0

    def _run_epoch(self, epoch: int, first_step: int) -> None:
        self._each(operator.methodcaller("begin_epoch", epoch))
        trial = self._first
        rng = addressed_generator(trial.seed, "order", epoch)
        order = sent(rng.permutation(trial.data.train_images), self._place.device)
        batches = torch.split(order, trial.batch_size)
        for step in range(first_step, len(batches)):
            views = self._views(batches[step], epoch, step)
            # All passes of the teacher that will be asked for, before the first is.
            self._each(operator.methodcaller("begin_step", views))
            self._each(operator.methodcaller("step", views))
            self._place.execution.pace()
            after = Position(epoch, step + 1)
            if after.step == len(batches):
                self._end_epoch(epoch)
                after = Position(epoch + 1)
            if not self._members:
                return
            self._obey(self._keeper.after_step(self._progress(epoch, step + 1)), after)
            if self.stopped:
                return

    def _views(self, indices: torch.Tensor, epoch: int, step: int) -> StepViews:
        """The step's batch after the standard augmentation, and the views that will be asked of it."""
        seed, train = self._first.seed, self._place.dataset.train
        rng = addressed_generator(seed, "standard augmentation", epoch, step)
        crops = CropsAndFlips.draw(rng, len(indices), self._place.dataset.image_size)
        batch = Batch(
            crops.apply(train.images[indices]), train.labels[indices], self._place.palette
        )
        stream = functools.partial(_scheme_stream, seed, epoch, step)
        return StepViews(batch, self._teacher, stream)

    def _each(self, act: Callable[[Member], None]) -> None:
        self._each_trial(lambda _, member: act(member))

    def _each_trial(self, act: Callable[[Trial, Member], None]) -> None:
        for trial, member in list(self._members.items()):
            with self._leaving_alone(trial):
                act(trial, member)

    @contextmanager
    def _leaving_alone(self, trial: Trial) -> Iterator[None]:
        """What raises in here takes its trial out of the group, and no other with it.

        But not an error of the device itself: after it nothing computes there any more in this process, and no
        member is to blame.
        """
        try:
            yield
        except torch.AcceleratorError:
            raise
        except Exception as error:  # noqa: BLE001
            self._place.execution.drain()
            self._members.pop(trial, None)
            self._keeper.fail(trial, error)

    def _end_epoch(self, epoch: int) -> None:
        self._each(operator.methodcaller("end_epoch", epoch, len(self._members)))
        self._each_trial(lambda trial, member: self._keeper.after_epoch(trial, member.curve[-1]))
        for trial in [t for t in self._members if t.epochs == epoch]:
            member = self._members.pop(trial)
            with self._leaving_alone(trial):
                result = Result(
                    member.metrics(), member.curve, member.weights(), self._teacher.num_passes
                )
                self._keeper.finish(trial, result)

    def _obey(self, command: Command, position: Position) -> None:
        if command is not Command.GO_ON:
            self._each_trial(lambda trial, member: self._keeper.save(trial, member.save(position)))
        self.stopped = command is Command.STOP

    def _progress(self, epoch: int, step: int) -> Progress:
        losses = last_losses(list(self._members.values()))
        return Progress(
            trials=tuple(self._members),
            epoch=epoch,
            step=step,
            steps_per_epoch=steps_per_epoch(self._first),
            loss=sum(losses) / len(losses) if losses else None,
        )


def _scheme_stream(seed: int, epoch: int, step: int, scheme: str) -> np.random.Generator:
    return addressed_generator(seed, "scheme", scheme, epoch, step)
