"""Signals that come at a moment when nobody can catch an exception."""

import subprocess
import sys

import pytest

from tests.orchestrator.commands import hear_signals

NUMBERS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]
IN_A_FINALIZER = """
import signal, sys
from orchestrator.cluster import interruption

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


def python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run it with the signals as a person's command has them, whatever this process ignores."""
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=hear_signals,
    )


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_comes_while_an_object_is_finalized(number: str) -> None:
    code = IN_A_FINALIZER.format(in_finalizer=f"signal.raise_signal(signal.{number})")
    ended = python(code)
    assert ended.returncode == 3
    assert ended.stderr == ""


def test_leaving_in_order_outlasts_the_alarm_of_another_handler_of_the_signal() -> None:
    """Ray's failure handler sets one, and passes the signal on: the driver was aborted while it ended its Ray."""
    ended = python(
        """
import signal, sys, time
from orchestrator.cluster import interruption

interruption.listen()
signal.alarm(1)
try:
    signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    time.sleep(1.5)
    sys.exit(3)
"""
    )
    assert ended.returncode == 3


def test_leaving_outlasts_that_alarm_too_where_ray_itself_makes_an_exit_of_the_signal() -> None:
    ended = python(
        """
import signal, sys, time
from types import SimpleNamespace
from orchestrator.cluster import connection, interruption

def init(**_options):
    signal.alarm(1)
    sys.exit(signal.SIGTERM)

ray = SimpleNamespace(init=init, exceptions=SimpleNamespace(RayError=RuntimeError))
interruption.listen()
try:
    connection._started(ray, connection.LocalCluster(1, 0), {})
except KeyboardInterrupt:
    time.sleep(1.5)
    sys.exit(3 if interruption.broke_in() else 4)
"""
    )
    assert ended.returncode == 3, ended.stderr


def test_another_error_in_a_finalizer_is_still_told() -> None:
    code = IN_A_FINALIZER.format(in_finalizer="raise ValueError('told')")
    ended = python(code)
    assert ended.returncode == 0
    assert "ValueError: told" in ended.stderr


def said_by(code: str) -> tuple[int, str]:
    ended = python(code)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


TWICE = """
import signal, time
from orchestrator.cluster import interruption

interruption.listen()
clock = iter({times})
interruption.time.monotonic = lambda: next(clock)
try:
    with interruption.stopping_in_order(lambda: print("asked", flush=True)):
        for number in {numbers}:
            signal.raise_signal(getattr(signal, number))
        print("went on")
except KeyboardInterrupt:
    print("at once")
"""


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([100.0, 101.9], "asked\nwent on\n"),
        ([100.0, 102.1], "asked\nat once\n"),
        ([100.0, 100.5], "asked\nwent on\n"),
    ],
)
def test_signals_within_two_seconds_are_one(times: list[float], expected: str) -> None:
    """Slurm's own and a forwarding script's, or the process's and its group's."""
    code = TWICE.format(times=times, numbers=["SIGTERM", "SIGUSR1"])
    assert said_by(code) == (0, expected)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_of_them_stops_in_order_once(number: str) -> None:
    assert said_by(TWICE.format(times=[100.0], numbers=[number])) == (0, "asked\nwent on\n")


def test_the_signal_of_a_closing_terminal_is_left_ignored_where_it_was() -> None:
    """As `nohup` has it; anywhere else it stops the command."""
    code = """
import signal
from orchestrator.cluster.interruption import listen

signal.signal(signal.SIGHUP, {before})
listen()
try:
    signal.raise_signal(signal.SIGHUP)
    print("ignored")
except KeyboardInterrupt:
    print("stopped")
"""
    assert said_by(code.format(before="signal.SIG_IGN")) == (0, "ignored\n")
    assert said_by(code.format(before="signal.SIG_DFL")) == (0, "stopped\n")


def test_a_lost_ray_is_raised_in_the_main_thread() -> None:
    code = """
import threading, time
from orchestrator.cluster import interruption

interruption.listen()
try:
    with interruption.stopping_in_order(lambda: print("asked")):
        threading.Timer(0.2, interruption.lose, ["it died"]).start()
        time.sleep(30)
except interruption.RayLostError as error:
    print(error)
try:
    interruption.check()
except interruption.RayLostError:
    print("remembered")
"""
    assert said_by(code) == (0, "it died\nremembered\n")
