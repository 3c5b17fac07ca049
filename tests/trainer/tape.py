"""A CUDA graph's stand-in on the CPU: the operations of one call, done again on the same memory.

Its lanes are as late as a device may be: nothing that was begun is done before somebody settles it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainer.replay import Lane, Replaying


class HostReadError(RuntimeError):
    """A value was read while it was captured: no graph can hold that."""


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise HostReadError(str(func))
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        self._operations.append((func, args, kwargs, _tensors(made)))
        return made

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, made in self._operations:
            for old, new in zip(made, _tensors(func(*args, **kwargs)), strict=True):
                # What is made anew goes where it went before; views and changes in place are there already.
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class TapeLane:
    def __init__(self) -> None:
        self._late: list[Callable[[], None]] = []
        self.num_captured = 0

    def capture(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        self.num_captured += 1
        function()
        tape = _Tape()
        with tape:
            output = function()
        return tape.replay, output

    def begin(self, work: Callable[[], None], touched: Sequence[Tensor]) -> None:
        self._late.append(work)

    def mark(self) -> Callable[[], object]:
        return self.join

    def join(self) -> None:
        with torch.no_grad():
            for work in self._late:
                work()
        self._late.clear()


class TapeLanes:
    """Remembers the lanes that it made; no more than there is `room` for."""

    def __init__(self, most: int = 3, room: int = 100) -> None:
        self.most = most
        self.made: list[TapeLane] = []
        self.waited_for: list[int] = []
        self._room = room

    def new(self) -> Lane:
        self.made.append(TapeLane())
        return self.made[-1]

    def mark(self) -> Callable[[], object]:
        return lambda: self.waited_for.append(len(self.waited_for) + 1)

    def has_room(self) -> bool:
        return len(self.made) < self._room


def on_tape() -> Replaying:
    return Replaying(TapeLanes())
