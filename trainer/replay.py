"""How the work of a group is run: operation by operation, or captured once and replayed ever after.

A step of a small network is a thousand operations, each too short to keep a GPU busy while the next one is
launched. A CUDA graph launches them all at once. What is captured is a pure function: it reads its inputs and
changes tensors that never move, and the host decides nothing within it. So a replayed step gives the bits of
an eager one, and which of the two a step is depends on its shape alone, never on the group or on a resume.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from trainer.trial import ExecutionMode

Function = Callable[..., Tensor]
"""Of tensors."""


class Execution(Protocol):
    """How functions of tensors are run."""

    @property
    def name(self) -> str:
        """As rows record it: `eager` or `graph`."""

    def prepare(self, function: Function, changed: Sequence[Tensor] = ()) -> Function:
        """What does the same as `function`, for inputs of one shape.

        Args:
            function: it may change what is in `changed`, in place, and nothing else.
            changed: tensors that stay where they are.
        """


class Eager:
    """Operation by operation."""

    name = "eager"

    def prepare(self, function: Function, changed: Sequence[Tensor] = ()) -> Function:
        return function


class Capture(Protocol):
    def __call__(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """What does again all that `function` does to memory, and the tensor that it then returns.

        The function may be called any number of times.
        """


class Replaying:
    """Captured at the first call, then replayed."""

    name = "graph"

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def prepare(self, function: Function, changed: Sequence[Tensor] = ()) -> Function:
        return _Replayed(function, changed, self._capture)


class _Replayed:
    def __init__(self, function: Function, changed: Sequence[Tensor], capture: Capture) -> None:
        self._function = function
        self._changed = changed
        self._capture = capture
        self._inputs: list[Tensor] = []
        self._captured: tuple[Callable[[], object], Tensor] | None = None

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> Tensor:
        if self._captured is None:
            self._captured = self._capture_with(inputs)
        replay, output = self._captured
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        replay()
        return output.clone()

    def _capture_with(self, inputs: Sequence[Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Capturing may run the function: afterwards everything is as it was before."""
        self._inputs = [given.clone() for given in inputs]
        before = [tensor.clone() for tensor in self._changed]
        with torch.enable_grad():
            captured = self._capture(lambda: self._function(*self._inputs))
        for tensor, value in zip(self._changed, before, strict=True):
            tensor.copy_(value)
        return captured


class CudaGraphs:
    """Captures CUDA graphs which share one pool of memory: they are replayed one after the other, never at once."""

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            # Libraries choose their kernels and make their buffers at the first call, which no graph may hold.
            function()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            output = function()
        return graph.replay, output


def execution_on(device: torch.device, wanted: ExecutionMode) -> Execution:
    """`wanted` where the device can: only CUDA captures, elsewhere everything is eager."""
    if wanted == "graph" and device.type == "cuda":
        return Replaying(CudaGraphs(device))
    return Eager()
