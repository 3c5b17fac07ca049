"""What is captured and replayed gives the bits of what is run, and says so where it cannot."""

import pytest
import torch
from torch import Tensor

from tests.trainer.tape import HostReadError, TapeCapture, on_tape
from trainer.replay import Eager, Replaying, execution_on


def test_a_replayed_function_does_to_its_memory_what_it_would_have_done() -> None:
    total, seen = torch.zeros(3), torch.zeros(3)

    def add(values: Tensor) -> Tensor:
        total.add_(values * 2)
        return total.sum()

    def add_plainly(values: Tensor) -> Tensor:
        seen.add_(values * 2)
        return seen.sum()

    replayed = on_tape().prepare(add, (total,))
    for step in range(4):
        values = torch.arange(3.0) + step
        assert torch.equal(replayed(values), add_plainly(values))
        assert torch.equal(total, seen)


def test_it_is_captured_once() -> None:
    capture = TapeCapture()
    square = Replaying(capture).prepare(lambda x: x * x)
    kept = [square(torch.full((2,), float(i))) for i in range(3)]
    assert capture.num_captured == 1
    assert [x.tolist() for x in kept] == [[0, 0], [1, 1], [4, 4]]


def test_a_function_that_asks_for_a_value_cannot_be_captured() -> None:
    replayed = on_tape().prepare(lambda x: x * float(x.sum()))
    with pytest.raises(HostReadError):
        replayed(torch.ones(2))


def test_what_is_not_declared_to_change_is_changed_by_capturing() -> None:
    """Why `changed` must name everything: capturing runs the function."""
    total = torch.zeros(())
    on_tape().prepare(total.add_)(torch.ones(()))
    assert total.item() == 3


@pytest.mark.parametrize("wanted", ["eager", "graph"])
def test_without_cuda_everything_is_eager(wanted: str) -> None:
    execution = execution_on(torch.device("cpu"), wanted)
    assert isinstance(execution, Eager)
    assert execution.name == "eager"
