"""Ends a worker process that hangs, on whatever node it is, and tells where it hung."""

import os
import signal
import time
from typing import Any

from orchestrator.store.store import Running

DUMP_WITHIN_S = 1.0
ANSWER_WITHIN_S = 30.0


def kill_worker(ray: Any, sign: Running) -> str:
    """Kill the process that gave a sign of life.

    Returns:
        What its threads were doing, as far as it could still say; else why it was not reached.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=sign.node, soft=False)
    kill = ray.remote(num_cpus=0, max_retries=0)(_kill)
    answer = kill.options(scheduling_strategy=there).remote(sign.pid)
    try:
        return str(ray.get(answer, timeout=ANSWER_WITHIN_S))
    except (ray.exceptions.RayError, OSError) as error:
        return f"{sign.host}, process {sign.pid}: {error}"


def _kill(pid: int) -> str:
    """Ask a process of this node for its stack, then end it."""
    from orchestrator.worker.stacks import stack_file

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
