"""What an autoscaler may bring, as users write it."""

import math

import pytest

from orchestrator.cli.scaling import most_of, written
from orchestrator.planning.scheduling import Capacity
from trainer.problems import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8", Capacity(math.inf, 8.0)),
        ("8,64", Capacity(64.0, 8.0)),
        (" 0,64 ", Capacity(64.0, 0.0)),
        ("8,0", Capacity(0.0, 8.0)),
    ],
)
def test_gpus_and_perhaps_cpus(text: str, expected: Capacity) -> None:
    assert most_of(text) == expected
    assert most_of(written(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "0,0", "-1", "8,", "8 64", "8,64,2", "many", "1.5", "9999999"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"--scale-to: .*as in 8,64"):
        most_of(text)
