"""How the work of a group is run: operation by operation, or captured once and replayed ever after.

A step of a small network is a thousand operations, each too short to keep a GPU busy while the next one is
launched, and too small to fill it. A CUDA graph launches them all at once, and graphs in several lanes (streams)
fill it together. What is captured is a pure function: it reads its inputs and changes tensors that never move,
and the host decides nothing within it. So a replayed step gives the bits of an eager one, in any lane and beside
any other; which of the two a step is depends on its shape alone, never on the group or on a resume.
"""

from collections import deque
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

    @property
    def width(self) -> int:
        """So many functions are worth preparing to be run side by side."""

    def prepare(self, function: Function, changed: Sequence[Tensor] = ()) -> Function:
        """What does the same as `function`, for inputs of one shape, but may only begin it.

        Args:
            function: it may change what is in `changed`, in place, and nothing else.
            changed: tensors that stay where they are.
        """

    def settle(self) -> None:
        """What is done after this sees all that prepared functions have begun; the host does not wait."""

    def pace(self) -> None:
        """Said after each step: the host waits where it has run too far ahead of the device."""

    def drain(self) -> None:
        """The host waits until all that was begun is done: only then may what it works on be let go of."""

    def another(self) -> "Execution":
        """Of the same kind, and settled on its own."""


class Eager:
    """Operation by operation."""

    name = "eager"
    width = 1

    def prepare(self, function: Function, changed: Sequence[Tensor] = ()) -> Function:
        return function

    def settle(self) -> None:
        pass

    def pace(self) -> None:
        pass

    def drain(self) -> None:
        pass

    def another(self) -> "Eager":
        return self


class Lane(Protocol):
    """Does captured work: in order within one lane, side by side with the other lanes."""

    def capture(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """What does again all that `function` does to memory, and the tensor that it then returns.

        The function may be called any number of times.
        """

    def begin(self, work: Callable[[], None], touched: Sequence[Tensor]) -> None:
        """Do `work` after all that was done outside of lanes so far; `touched` are not its own."""

    def join(self) -> None:
        """What is done outside of lanes after this comes after all that this lane has begun."""

    def mark(self) -> Callable[[], object]:
        """Lets the host wait until all that this lane has begun so far is done."""


class Lanes(Protocol):
    """Makes lanes, as many as there is room for."""

    most: int

    def new(self) -> Lane: ...

    def has_room(self) -> bool:
        """Whether one more may be made."""

    def mark(self) -> Callable[[], object]:
        """Lets the host wait until all that was done outside of lanes so far is done."""


STEPS_AHEAD = 3
"""Enough for the device never to run dry.

A replayed step is launched in a moment: without a bound the host would be hundreds of steps ahead, their images
would fill the memory, and a stop or a checkpoint would have to wait for them all.
"""


class Replaying:
    """Each function is captured at its first call, and then replayed in the lane that it was given."""

    name = "graph"

    def __init__(self, lanes: Lanes) -> None:
        self._maker = lanes
        self._marks: deque[list[Callable[[], object]]] = deque()
        self._lanes: list[Lane] = []
        self._begun: dict[Lane, None] = {}
        self._num_captured = 0

    @property
    def width(self) -> int:
        return self._maker.most

    def prepare(self, function: Function, changed: Sequence[Tensor] = ()) -> Function:
        return _Replayed(function, changed, self._next_lane, self._note)

    def settle(self) -> None:
        for lane in self._begun:
            lane.join()
        self._begun.clear()

    def pace(self) -> None:
        self._marks.append([self._maker.mark(), *(lane.mark() for lane in self._lanes)])
        if len(self._marks) > STEPS_AHEAD:
            for wait in self._marks.popleft():
                wait()

    def drain(self) -> None:
        # Each, also one where a capture or a beginning has failed.
        for lane in self._lanes:
            lane.join()
        self._begun.clear()
        self._maker.mark()()

    def another(self) -> "Replaying":
        return Replaying(self._maker)

    def _next_lane(self) -> Lane:
        self._num_captured += 1
        is_free = len(self._lanes) < self._maker.most and self._maker.has_room()
        if is_free or not self._lanes:
            self._lanes.append(self._maker.new())
            return self._lanes[-1]
        return self._lanes[self._num_captured % len(self._lanes)]

    def _note(self, lane: Lane) -> None:
        self._begun[lane] = None


class _Replayed:
    def __init__(
        self,
        function: Function,
        changed: Sequence[Tensor],
        next_lane: Callable[[], Lane],
        note: Callable[[Lane], None],
    ) -> None:
        self._function = function
        self._changed = changed
        self._next_lane = next_lane
        self._note = note
        self._inputs: list[Tensor] = []
        self._captured: tuple[Lane, Callable[[], object], Tensor] | None = None

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> Tensor:
        if self._captured is None:
            self._captured = self._capture_with(inputs)
        for own, given in zip(self._inputs, inputs, strict=True):
            if (own.shape, own.dtype) != (given.shape, given.dtype):
                raise ValueError(
                    f"captured for {own.shape} {own.dtype}: {given.shape} {given.dtype}"
                )
        lane, replay, output = self._captured
        result = torch.empty_like(output)

        def work() -> None:
            for own, given in zip(self._inputs, inputs, strict=True):
                own.copy_(given)
            replay()
            result.copy_(output)

        self._note(lane)
        lane.begin(work, (*inputs, result))
        return result

    def _capture_with(self, inputs: Sequence[Tensor]) -> tuple[Lane, Callable[[], object], Tensor]:
        """Capturing may run the function: afterwards everything is as it was before."""
        self._inputs = [given.clone() for given in inputs]
        before = [tensor.clone() for tensor in self._changed]
        lane = self._next_lane()
        with torch.enable_grad():
            replay, output = lane.capture(lambda: self._function(*self._inputs))
        for tensor, value in zip(self._changed, before, strict=True):
            tensor.copy_(value)
        return lane, replay, output


class CudaLanes:
    """Lanes of one device: streams, each with a pool of memory for its graphs.

    A lane holds the activations of one graph. There are fewer of them where they would fill the memory.
    """

    most = 9
    """The paper's augmentations: as many as a group has members."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._largest = 0

    def new(self) -> Lane:
        return _CudaLane(self._device, self._note_size)

    def has_room(self) -> bool:
        free, total = torch.cuda.mem_get_info(self._device)
        may_take = torch.cuda.get_per_process_memory_fraction(self._device) * total
        left = min(free, may_take - torch.cuda.memory_reserved(self._device))
        return left > 3 * self._largest

    def mark(self) -> Callable[[], object]:
        return _mark(torch.cuda.current_stream(self._device))

    def _note_size(self, num_bytes: int) -> None:
        self._largest = max(self._largest, num_bytes)


class _CudaLane:
    def __init__(self, device: torch.device, note_size: Callable[[int], None]) -> None:
        self._device = device
        self._note_size = note_size
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def capture(self, function: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                # Libraries choose their kernels and make their buffers at the first call, which no graph may hold.
                function()
        finally:
            current.wait_stream(self._stream)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            output = function()
        self._note_size(torch.cuda.memory_reserved(self._device) - before)
        return graph.replay, output

    def begin(self, work: Callable[[], None], touched: Sequence[Tensor]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            work()
        for tensor in touched:
            # Whoever lets go of it may do so at once: its memory is not given away before this lane is done.
            tensor.record_stream(self._stream)

    def join(self) -> None:
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def mark(self) -> Callable[[], object]:
        return _mark(self._stream)


def _mark(stream: torch.cuda.Stream) -> Callable[[], object]:
    # Blocking: who waits sleeps, and leaves the core to the workers of other jobs.
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(stream)
    return event.synchronize


def execution_on(device: torch.device, wanted: ExecutionMode) -> Execution:
    """`wanted` where the device can: only CUDA captures, elsewhere everything is eager."""
    if wanted == "graph" and device.type == "cuda":
        return Replaying(CudaLanes(device))
    return Eager()
