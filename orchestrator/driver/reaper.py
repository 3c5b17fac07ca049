"""Ends a worker process that hangs, on whatever node it is, and tells where it hung."""

import os
import signal
import time
from contextlib import suppress

from orchestrator.cluster.cluster import Cluster, TaskFailedError
from orchestrator.store.processes import Process
from orchestrator.store.signs import Running
from orchestrator.worker.stacks import REQUEST, stack_file
from trainer.private_folder import NotOursError

DUMP_WITHIN_S = 1.0
ANSWER_WITHIN_S = 30.0
GONE = "the process was gone already"


def kill_worker(cluster: Cluster, sign: Running) -> str:
    """Kill the process that gave a sign of life.

    Returns:
        What its threads were doing, as far as it could still say; else why it was not reached.
    """
    try:
        return cluster.answer(cluster.start_on(sign.node, end, sign.process), ANSWER_WITHIN_S)
    except (TaskFailedError, OSError) as error:
        return f"{sign.host}, process {sign.process.pid}: {error}"


def end(process: Process) -> str:
    """Ask a process for its stack, then end it; another that has its number by now is left alone."""
    try:
        stack = _stack_of(process)
        if not _signal(process, signal.SIGKILL):
            return GONE
    except ProcessLookupError:
        return GONE
    return stack or "the process did not answer: it was stopped, or waited for the machine"


def _stack_of(process: Process) -> str:
    """What its threads are doing; empty where it does not say so in time."""
    try:
        path = stack_file(process.pid)
        has_file = path.exists()
    except (NotOursError, OSError):
        return ""
    if not has_file or not _signal(process, REQUEST):
        return ""
    stack, before = "", None
    until = time.monotonic() + DUMP_WITHIN_S
    # It is written piece by piece: what is still the same a moment later is the whole.
    with suppress(OSError):
        while time.monotonic() < until and not (stack and stack == before):
            time.sleep(0.05)
            before, stack = stack, path.read_text(errors="replace")
        path.unlink(missing_ok=True)
    return stack


def _signal(process: Process, number: signal.Signals) -> bool:
    """Send a signal; False where the process is not there."""
    if not process.is_here or process.is_gone:
        return False
    os.kill(process.pid, number)
    return True
