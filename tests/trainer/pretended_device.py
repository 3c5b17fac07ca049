"""A device that is not there, and a watch over all that a host with a GPU would wait for.

Tensors on the pretended device have shapes and a place, but neither memory nor values; what lies on the CPU is
real. Torch takes one such device per process, and for good: only `tests.trainer.pretended_runs`, a process of its
own, calls `pretend`. The parts of torch that it stands on may change.
"""

import contextlib
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeAlias
from unittest import mock

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import trainer
from trainer.sending import sent

NAME = "pretended"
CPU = torch.device("cpu")
WATCHED = tuple(str(Path(path).parent) for path in (trainer.__file__, __file__))
"""Whose lines are told: the trainer's, and those of the faults that are planted into it."""

Operation: TypeAlias = "OpOverload[..., Any]"

COPIES = {torch.ops.aten.copy_, torch.ops.aten._to_copy, torch.ops.aten._foreach_copy_}
INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
MASKS = {torch.bool, torch.uint8}


def pretend() -> torch.device:
    """Register the device, once per process."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(NAME)
    # A tensor made of a list for this device is made on the CPU and sent, before the eyes of the watch.
    torch._C._set_only_lift_cpu_tensors(True)
    return torch.device(NAME, 0)


class Wait(NamedTuple):
    """`what` the host waits for, `where` it does (file, function and line), and whether a step is going on."""

    what: str
    where: str
    is_within_steps: bool


class _Shapes(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Computes shapes and places; what a device starts with is not asked of one that is not there."""

    @property
    def avoid_device_init(self) -> bool:
        return True


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes on the pretended device, and notes every wait of the host.

    These are `read`: a value that leaves the device; `print`; `size`: a tensor whose size depends on values, as
    behind a mask; `cpu operand`: a tensor, more than a number, that an operation on the device finds on the CPU;
    `to device` and `to cpu`: copies, but for what `trainer.sending.sent` sends, as it alone pins memory.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: set[Wait] = set()
        self.is_within_steps = False
        self._is_capturing = False
        self._shapes = _Shapes(allow_non_fake_inputs=True)

    def note(self, what: str) -> None:
        frame = _innermost_watched_frame()
        path, code = frame.f_code.co_filename, frame.f_code
        line, *_ = linecache.getline(path, frame.f_lineno).split("  #")
        function, *_ = code.co_qualname.split(".<locals>")
        where = f"{Path(path).name} {function}: {line.strip()}"
        self.waits.add(Wait(what, where, self.is_within_steps))

    def capture(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """For `trainer.replay.Replaying`: a graph takes nothing from the host, not even what is sent."""

        def again() -> Tensor:
            self._is_capturing = True
            try:
                with torch.enable_grad():
                    return function()
            finally:
                self._is_capturing = False

        return again, again()

    def __torch_dispatch__(
        self,
        func: Operation,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        given = _given(func, args, kwargs)
        tensors = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
        is_made_here = (given.get("device") or CPU) == CPU
        if is_made_here and not any(isinstance(tensor, FakeTensor) for tensor in tensors):
            return func(*args, **kwargs)
        for what in self._waits(func, given, tensors):
            self.note(what)
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1
        with self._shapes:
            return func(*args, **kwargs)

    def _waits(
        self, func: Operation, given: Mapping[str, Any], tensors: Sequence[Tensor]
    ) -> Iterator[str]:
        if func.overloadpacket in COPIES:
            start = tree_leaves(given.get("src", given["self"]))[0].device
            end = given.get("device") or tree_leaves(given["self"])[0].device
            if start != end and not (given.get("non_blocking") and self._is_sending()):
                yield "to cpu" if end == CPU else "to device"
            return
        if all(tensor.device == CPU for tensor in tensors):
            return
        if len({tensor.device for tensor in tensors if tensor.dim()}) > 1:
            yield "cpu operand"
        if torch.Tag.data_dependent_output in func.tags:
            yield "read"
        if func.overloadpacket in INDEXING:
            # A number that is put behind a mask is filled in, without waiting.
            is_filled = "values" in given and not given["values"].dim()
            masks = [i for i in given["indices"] if i is not None and i.dtype in MASKS]
            if masks and not is_filled:
                yield "size"
        elif torch.Tag.dynamic_output_shape in func.tags:
            yield "size"

    def _is_sending(self) -> bool:
        return not self._is_capturing and _innermost_watched_frame().f_code is sent.__code__


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """All that the trainer does in this block, also backwards, is watched."""

    def shown(tensor: Tensor, **_: object) -> str:
        if tensor.device.type == NAME:
            watch.note("print")
        return object.__repr__(tensor)

    with (
        Watch() as watch,
        torch.autograd.set_multithreading_enabled(False),
        mock.patch.object(Tensor, "__repr__", shown),
    ):
        yield watch


def _given(func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What an operation is given, by the names of its arguments."""
    names = (argument.name for argument in func._schema.arguments)
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _innermost_watched_frame() -> FrameType:
    frame = sys._getframe()
    path = frame.f_code.co_filename
    while path == __file__ or not path.startswith(WATCHED):
        assert frame.f_back is not None
        frame = frame.f_back
        path = frame.f_code.co_filename
    return frame


class PretendedLanes:
    """For `trainer.replay.Replaying`: work is done when it is begun, and nobody is waited for."""

    most = 9

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def new(self) -> "PretendedLanes":
        return self

    def has_room(self) -> bool:
        return True

    def capture(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        return self._watch.capture(function)

    def begin(self, work: Callable[[], None], touched: Sequence[Tensor]) -> None:
        work()

    def join(self) -> None:
        pass

    def mark(self) -> Callable[[], object]:
        return self.join
