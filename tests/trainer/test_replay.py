"""What is captured and replayed gives the bits of what is run, and says so where it cannot."""

import pytest
import torch
from torch import Tensor

from tests.trainer.tape import HostReadError, TapeLanes, on_tape
from trainer.replay import STEPS_AHEAD, Eager, Replaying, execution_on


def test_a_replayed_function_does_to_its_memory_what_it_would_have_done() -> None:
    total, seen = torch.zeros(3), torch.zeros(3)

    def add(values: Tensor) -> Tensor:
        total.add_(values * 2)
        return total.sum()

    def add_plainly(values: Tensor) -> Tensor:
        seen.add_(values * 2)
        return seen.sum()

    execution = on_tape()
    replayed = execution.prepare(add, (total,))
    for step in range(4):
        values = torch.arange(3.0) + step
        answer, plain = replayed(values), add_plainly(values)
        execution.settle()
        assert torch.equal(answer, plain)
        assert torch.equal(total, seen)


def test_it_is_captured_once() -> None:
    lanes = TapeLanes()
    execution = Replaying(lanes)
    square = execution.prepare(lambda x: x * x)
    kept = [square(torch.full((2,), float(i))) for i in range(3)]
    execution.settle()
    assert [lane.num_captured for lane in lanes.made] == [1]
    assert [x.tolist() for x in kept] == [[0, 0], [1, 1], [4, 4]]


@pytest.mark.parametrize(
    ("most", "room", "in_each"), [(9, 9, [1] * 5), (2, 9, [3, 2]), (9, 1, [5]), (9, 0, [5])]
)
def test_functions_are_spread_over_as_many_lanes_as_there_is_room_for(
    most: int, room: int, in_each: list[int]
) -> None:
    lanes = TapeLanes(most, room)
    execution = Replaying(lanes)
    for function in [execution.prepare(lambda x: x + 1) for _ in range(5)]:
        function(torch.ones(1))
    assert sorted((lane.num_captured for lane in lanes.made), reverse=True) == in_each


def test_the_host_is_never_more_than_a_few_steps_ahead() -> None:
    lanes = TapeLanes()
    execution = Replaying(lanes)
    total = torch.zeros(())
    add = execution.prepare(total.add_, (total,))
    add(torch.zeros(()))
    execution.settle()
    for step in range(1, 10):
        add(torch.ones(()))
        execution.pace()
        # A tape does all that it has begun once it is waited for.
        assert total.item() == (step if step > STEPS_AHEAD else 0)
        assert len(lanes.waited_for) == max(0, step - STEPS_AHEAD)


def test_each_execution_settles_what_it_has_begun_itself() -> None:
    one = on_tape()
    other = one.another()
    answers = [e.prepare(lambda x: x + 1)(torch.ones(1)) for e in (one, other)]
    other.settle()
    assert answers[1].item() == 2
    assert len(one._begun) == 1
    one.settle()
    assert answers[0].item() == 2


@pytest.mark.parametrize(
    "other", [torch.ones(1), torch.ones(3), torch.ones(2, dtype=torch.float64)]
)
def test_what_was_captured_for_one_shape_takes_no_other(other: Tensor) -> None:
    """Copying would broadcast it, or cast it, without a word."""
    double = on_tape().prepare(lambda x: x * 2)
    double(torch.ones(2))
    with pytest.raises(ValueError, match="captured for"):
        double(other)


def test_a_function_that_asks_for_a_value_cannot_be_captured() -> None:
    replayed = on_tape().prepare(lambda x: x * float(x.sum()))
    with pytest.raises(HostReadError):
        replayed(torch.ones(2))


def test_what_is_not_declared_to_change_is_changed_by_capturing() -> None:
    """Why `changed` must name everything: capturing runs the function."""
    total = torch.zeros(())
    on_tape().prepare(total.add_)(torch.ones(()))
    assert total.item() == 2


@pytest.mark.parametrize("wanted", ["eager", "graph"])
def test_without_cuda_everything_is_eager(wanted: str) -> None:
    execution = execution_on(torch.device("cpu"), wanted)
    assert isinstance(execution, Eager)
    assert execution.name == "eager"
