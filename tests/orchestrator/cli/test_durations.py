"""Spans of time as people write them."""

import pytest

from orchestrator.cli.durations import seconds
from trainer.problems import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45s", 45), ("90m", 5400), ("11h", 39600), ("1h30m", 5400), ("0.5h", 1800), (" 2m ", 120)],
)
def test_spans_of_time(text: str, expected: float) -> None:
    assert seconds(text, "--deadline") == expected


@pytest.mark.parametrize("text", ["", "45", "0s", "1d", "-5m", "m", "1m1h"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(UserError, match=r"--deadline: .*: expected hours, minutes or seconds"):
        seconds(text, "--deadline")
