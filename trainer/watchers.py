"""The members of a group that watch a teacher. Nothing here waits for the device within an epoch."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoint import Checkpoint
from trainer.frozen import FrozenModel
from trainer.keeper import Row
from trainer.members import DivergedError, EpochClock
from trainer.positions import Position
from trainer.predictors.answers import AugmentedAnswers
from trainer.predictors.own import OwnPredictor
from trainer.stddev import MeanProbabilityStddev
from trainer.trial import PredictorTrial, StddevTrial
from trainer.views import StepViews


class _Watcher:
    """Looks at what a teacher answers; `student` is the trained one that cutmixpick_s asks, in eval mode."""

    def __init__(
        self, trial: StddevTrial | PredictorTrial, device: torch.device, student: FrozenModel | None
    ) -> None:
        self._watched = trial
        self._device = device
        self._student = student
        self._clock = EpochClock()
        self.curve: list[dict[str, float | int]] = []

    def begin_epoch(self, epoch: int) -> None:
        pass

    def begin_step(self, views: StepViews) -> None:
        views.begin(self._watched)

    def end_epoch(self, epoch: int, group_size: int) -> None:
        """Add a row to the curve, of an epoch that `group_size` members have shared."""
        shared: dict[str, float | int] = {
            "seconds": self._clock.seconds(),
            "group_size": group_size,
        }
        self.curve.append({"epoch": epoch, **self._of_epoch(epoch), **shared})
        self._clock.restart()

    def save(self, position: Position) -> Checkpoint:
        record: dict[str, Any] = {"curve": self.curve, "seconds": self._clock.seconds()}
        return Checkpoint(position, self._state(), record)

    def restore(self, checkpoint: Checkpoint) -> None:
        self._restore(checkpoint.tensors)
        self.curve = list(checkpoint.record["curve"])
        self._clock.restart(checkpoint.record["seconds"])

    def weights(self) -> None:
        return None

    def _of_epoch(self, epoch: int) -> Mapping[str, float | int]:
        """What a row of the curve has of its own."""
        raise NotImplementedError

    def _state(self) -> Mapping[str, Tensor]:
        raise NotImplementedError

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        raise NotImplementedError


class StddevMember(_Watcher):
    """Measures T. stddev, and what else is measured in the same pass."""

    def __init__(
        self, trial: StddevTrial, device: torch.device, student: FrozenModel | None = None
    ) -> None:
        super().__init__(trial, device, student)
        self._trial = trial
        self._meter = MeanProbabilityStddev(trial.batches_per_window)
        self._answers: AugmentedAnswers | None = AugmentedAnswers()

    def step(self, views: StepViews) -> None:
        mixed = views.mixed(self._trial, self._student)
        mixed_probabilities = mixed.logits.softmax(1)
        self._meter.update(views.original.logits.softmax(1), mixed_probabilities)
        if self._answers is not None:
            self._answers.update(mixed_probabilities)

    def _of_epoch(self, epoch: int) -> Mapping[str, float | int]:
        """T. stddev is nan while there are fewer than two windows.

        Raises:
            DivergedError: the teacher's probabilities are not numbers.
        """
        value = self._meter.value()
        if math.isnan(value) and self._meter.num_windows > 1:
            raise DivergedError(f"T. stddev is not a number after epoch {epoch}")
        return {"t_stddev": value, "num_windows": self._meter.num_windows}

    def _state(self) -> Mapping[str, Tensor]:
        return self._meter.state() | (self._answers.state() if self._answers is not None else {})

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        # Checkpoints of older versions have no answers: what came before them is unknown.
        self._answers = AugmentedAnswers.from_state(state, self._device)
        self._meter = MeanProbabilityStddev.from_state(
            self._trial.batches_per_window, state, self._device
        )

    def metrics(self) -> Row:
        return {
            "t_stddev": self._meter.value(),
            "t_stddev_stderr": self._meter.standard_error(),
            "num_windows": self._meter.num_windows,
            "covariance_trace": self._meter.covariance_trace(),
            "covariance_trace_stderr": self._meter.covariance_trace_standard_error(),
            **(self._answers.values() if self._answers is not None else {}),
        }


class PredictorMember(_Watcher):
    """Shows the teacher's answers to an object of a researcher's own."""

    def __init__(
        self, trial: PredictorTrial, device: torch.device, student: FrozenModel | None = None
    ) -> None:
        super().__init__(trial, device, student)
        self._predictor = OwnPredictor(trial.own_predictor, trial.predictor)

    def step(self, views: StepViews) -> None:
        mixed = views.mixed(self._watched, self._student)
        self._predictor.update(views.original.logits, mixed.logits, views.batch.labels)

    def _of_epoch(self, epoch: int) -> Mapping[str, float | int]:
        return {}

    def _state(self) -> Mapping[str, Tensor]:
        return self._predictor.state()

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self._predictor.restore({name: value.to(self._device) for name, value in state.items()})

    def metrics(self) -> Row:
        return {
            "predictor_value": self._predictor.value(),
            "predictor_stderr": self._predictor.standard_error(),
            "predictor_lower_is_better": self._predictor.lower_is_better,
        }
