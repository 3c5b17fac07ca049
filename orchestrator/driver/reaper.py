"""Ends a worker process that hangs, on whatever node it is, and tells where it hung."""

import os
import signal
import time

from orchestrator.cluster.cluster import Cluster, TaskFailedError
from orchestrator.store.signs import Running
from orchestrator.worker.stacks import stack_file

DUMP_WITHIN_S = 1.0
ANSWER_WITHIN_S = 30.0


def kill_worker(cluster: Cluster, sign: Running) -> str:
    """Kill the process that gave a sign of life.

    Returns:
        What its threads were doing, as far as it could still say; else why it was not reached.
    """
    try:
        return cluster.answer(cluster.start_on(sign.node, _kill, sign.pid), ANSWER_WITHIN_S)
    except (TaskFailedError, OSError) as error:
        return f"{sign.host}, process {sign.pid}: {error}"


def _kill(pid: int) -> str:
    """Ask a process of this node for its stack, then end it."""
    stack = ""
    try:
        path = stack_file(pid)
        if path.exists():
            os.kill(pid, signal.SIGUSR1)
            end = time.monotonic() + DUMP_WITHIN_S
            while time.monotonic() < end and not stack:
                time.sleep(0.05)
                stack = path.read_text()
            path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return "the process was gone already"
    return stack or "the process did not answer: it was stopped, or waited for the machine"
