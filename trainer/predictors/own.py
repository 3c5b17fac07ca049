"""Predictors of a researcher's own: one Python file with registered classes, fed with what a teacher answers.

    from trainer.predictors.own import register

    @register("agreement")
    class Agreement:
        lower_is_better = False
        def update(self, original, mixed, labels): ...
        def value(self): ...
        def standard_error(self): ...
        def state(self): ...
        def restore(self, state): ...

An object is made without arguments, and sees every step of every epoch once. `update` gets the teacher's logits, float32
[B, C] of the original images and [B', C] of the augmented ones, and the labels, int64 [B], of the originals; all are its
own to change. (Mixed images have no labels, and picks make B' another number than B.) `value` is one finite number,
`standard_error` one, or nan. `state` is everything that the next `update` needs, as tensors by name; `restore` gets it
back, on the device, after an interruption, so that a trial goes on to the same bits: nothing may be drawn at random.
`lower_is_better` is the direction that is expected, True where the class does not say. The file's hash is part of the
trial's identity, so it stands alone: what it imports of one's own is not hashed.
"""

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainer.own_files import no_exit, registered, registrar
from trainer.trial import OwnFile

Class = TypeVar("Class", bound=Callable[..., Any])

METHODS = ("update", "value", "standard_error", "state", "restore")


def register(name: str) -> Callable[[Class], Class]:
    """Name a class of one's own, as tables and `--predictor` will."""
    return registrar("predictor")(name)


class OwnPredictor:
    """An object of a researcher's own, and what is checked of it.

    Raises:
        ValueError: the file registers no such class, or it lacks a method; and of each method, where it returns
            anything but what it should.
        RuntimeError: it calls `exit`.
        Exception: whatever the file raises.
    """

    def __init__(self, file: OwnFile, name: str) -> None:
        self._file = file
        self._name = name
        made = registered(file, "predictor", name)
        with no_exit(file, name):
            self._object = made()
        lacking = [
            method for method in METHODS if not callable(getattr(self._object, method, None))
        ]
        if lacking:
            raise ValueError(f"{file.path}: {name} has no {', '.join(lacking)}")
        lower = getattr(self._object, "lower_is_better", True)
        if not isinstance(lower, bool):
            raise ValueError(f"{file.path}: {name}.lower_is_better must be true or false")
        self.lower_is_better = lower

    def update(self, original: Tensor, mixed: Tensor, labels: Tensor) -> None:
        """Show it one step: copies, so that what it changes is nobody else's."""
        with no_exit(self._file, self._name), torch.no_grad():
            self._object.update(original.clone(), mixed.clone(), labels.clone())

    def value(self) -> float:
        """A finite number."""
        value = self._number("value")
        if not math.isfinite(value):
            raise ValueError(f"{self._file.path}: {self._name}.value() is {value}: not finite")
        return value

    def standard_error(self) -> float:
        """A number that is not negative, or nan."""
        error = self._number("standard_error")
        if error < 0 or math.isinf(error):
            raise ValueError(f"{self._file.path}: {self._name}.standard_error() is {error}")
        return error

    def state(self) -> dict[str, Tensor]:
        """Tensors by name."""
        with no_exit(self._file, self._name):
            state: object = self._object.state()
        if isinstance(state, Mapping) and all(
            isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
        ):
            return dict(state)
        raise ValueError(f"{self._file.path}: {self._name}.state() must return tensors by name")

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Give it back what `state()` returned."""
        with no_exit(self._file, self._name), torch.no_grad():
            self._object.restore(dict(state))

    def _number(self, method: str) -> float:
        with no_exit(self._file, self._name):
            number: object = getattr(self._object, method)()
        if isinstance(number, Tensor) and number.numel() == 1:
            number = number.item()
        if not isinstance(number, bool) and isinstance(number, Real):
            return float(number)
        raise ValueError(
            f"{self._file.path}: {self._name}.{method}() must return a number, not {type(number).__name__}"
        )
