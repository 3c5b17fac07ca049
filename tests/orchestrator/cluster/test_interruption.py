"""Signals that come at a moment when nobody can catch an exception."""

import subprocess
import sys

import pytest

IN_A_FINALIZER = """
import signal, sys
from orchestrator.cluster.interruption import Interruption

interruption = Interruption()
interruption.listen()

class Finalized:
    def __del__(self):
        {in_finalizer}

Finalized()
try:
    interruption.check()
except KeyboardInterrupt:
    sys.exit(3)
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_that_comes_while_an_object_is_finalized(number: str) -> None:
    code = IN_A_FINALIZER.format(in_finalizer=f"signal.raise_signal(signal.{number})")
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 3
    assert ended.stderr == ""


def test_another_error_in_a_finalizer_is_still_told() -> None:
    code = IN_A_FINALIZER.format(in_finalizer="raise ValueError('told')")
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0
    assert "ValueError: told" in ended.stderr
