"""The process of an allocation's batch script: a Ray over its nodes, a sweep on it, and the end of both.

    python -m orchestrator.cluster.slurm launch SWEEP --store S --others "srun ..."

The Ray is this job's alone: its head is here, each further node is started by the command `--others`, ports are
free ones, the token is in a folder of 0700 on each node's own disk. Ray listens at the address by which the nodes
reach each other, with a single node on the loopback interface only. Then the sweep runs as `kdsweep run --address`
does, in a process of its own.

    signal    from                          the sweep                  the job
    USR1      Slurm, before the time is up  saves and leaves           is queued again, unless another one comes
    USR2      kdsweep stop                  saves and leaves           is over
    others    scancel, a terminal           the same, while Ray lives  is over

The exit code is kdsweep's own: 0 done, 1 some trial failed, 2 bad input, 3 stopped before it was finished.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from orchestrator.cluster.interruption import STOPPING
from orchestrator.cluster.jobs import SETTINGS, Handover
from orchestrator.cluster.slurm import commands, records
from orchestrator.cluster.slurm.allocation import Allocation, allocation
from orchestrator.cluster.slurm.hand import Hand
from orchestrator.cluster.slurm.others import PYTHON, Others
from orchestrator.cluster.slurm.raylet import NodeNotStartedError, address_towards, started
from orchestrator.cluster.slurm.scratch import scratch_folder
from orchestrator.cluster.submission import SUBMITTED, has_begun
from orchestrator.store.store import Store
from trainer.problems import UserError

DONE, BAD_INPUT, STOPPED = 0, 2, 3
LOOK_EVERY_S = 0.2
HAS_IT_BEGUN_EVERY_S = 2.0
JOINED_WITHIN_S = 600.0
LOOPBACK = "127.0.0.1"
WARNING = signal.SIGUSR1
"""What Slurm sends before the time is up, as the batch script asks it to."""


@dataclass(frozen=True)
class Task:
    """What the batch script asks for.

    Attributes:
        sweep: its file.
        handover: how it is run.
        nodes: how many the allocation has.
        others: what starts a program on each of them but this one.
        record: where the submission is kept; None: nowhere.
    """

    sweep: str
    handover: Handover
    nodes: int
    others: tuple[str, ...]
    record: Path | None


class Wish:
    """What signals have asked for, and the sweep's process, which hears of it."""

    def __init__(self) -> None:
        self.heard: set[int] = set()
        self.driver: subprocess.Popen[bytes] | None = None

    @property
    def is_to_leave(self) -> bool:
        return bool(self.heard)

    @property
    def is_to_come_back(self) -> bool:
        """Slurm would queue a job again that somebody has stopped or cancelled after the warning."""
        return self.heard == {WARNING}

    def listen(self) -> None:
        """From now on signals are heard."""
        for number in STOPPING:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """A second one is passed on as well: it means at once there."""
        self.heard.add(number)
        if self.driver is not None:
            with suppress(OSError):
                self.driver.terminate()


def main(arguments: Sequence[str]) -> int:
    """Run the sweep in this allocation; the exit code."""
    wish = Wish()
    wish.listen()
    task = _task(arguments)
    here = allocation(os.environ, len(os.sched_getaffinity(0)))
    begun = None if task.record is None else records.begin(task.record)
    code, has_trained = _told(task, here, wish)
    is_queued = wish.is_to_come_back and code == STOPPED and _queue_again(here, has_trained)
    if code == STOPPED and here.job is not None and not is_queued:
        _say(f"to go on: {records.command(task.record) if task.record else 'submit it again'}")
    if task.record is not None and begun is not None and not is_queued:
        records.end(task.record, begun, code)
    return code


def _task(arguments: Sequence[str]) -> Task:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.cluster.slurm launch")
    parser.add_argument("sweep")
    parser.add_argument("--store", required=True)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--data")
    parser.add_argument("--deadline")
    parser.add_argument("--retry-failed", action="store_true")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--others", default="", help="starts a program on each further node")
    parser.add_argument("--record", type=Path)
    given = parser.parse_args(arguments)
    if given.nodes > 1 and not given.others.strip():
        parser.error(
            f"--nodes {given.nodes}: expected --others, what starts a program on each further node"
        )
    verb: Literal["run", "resume"] = "resume" if given.retry_failed else "run"
    return Task(
        sweep=given.sweep,
        handover=Handover(
            store=given.store,
            data=given.data,
            deadline=given.deadline,
            verb=verb,
            changes=tuple(given.changes),
        ),
        nodes=given.nodes,
        others=tuple(shlex.split(given.others)),
        record=given.record,
    )


def _told(task: Task, here: Allocation, wish: Wish) -> tuple[int, bool]:
    """The sweep's exit code, and whether it has trained anything; what went wrong was told."""
    try:
        return _on_its_own_ray(task, here, wish)
    except (UserError, OSError) as error:
        _say(str(error))
        return BAD_INPUT, False
    except NodeNotStartedError as error:
        _say(f"{error}; nothing was trained")
        return STOPPED, False


def _on_its_own_ray(task: Task, here: Allocation, wish: Wish) -> tuple[int, bool]:
    own_address = _own_address(here) if task.nodes > 1 else LOOPBACK
    with scratch_folder(here) as folder, ExitStack() as at_the_end:
        own, address = at_the_end.enter_context(started(folder, here, own_address))
        _say(f"node {here.node}: head at {address}: {here.cpus} CPUs, {here.gpus or 0} GPUs")
        if task.nodes > 1:
            others = Others(task.others, Hand(address, folder.token.read_text()))
            at_the_end.callback(lambda: others.end(keep_logs=folder.is_wanted))
            _await(others, task.nodes - 1, here, wish)
        if wish.is_to_leave:
            return STOPPED, False
        code, has_trained = _run(task, here, address, wish)
        has_broken = not wish.is_to_leave and own.what_died() is not None
        folder.is_wanted = has_broken or code not in (DONE, BAD_INPUT, STOPPED)
        return code, has_trained


def _own_address(here: Allocation) -> str:
    """The address at which the further nodes reach this one.

    Slurm's own way to one of them is asked; elsewhere Ray is, which looks for the way out.
    """
    if here.job is not None:
        with suppress(UserError):
            for node in commands.node_names(here.node_list):
                if node != here.node:
                    name = commands.node_address(node) or node
                    if (address := address_towards(name)) is not None:
                        return address
    from ray import util

    ray_util: Any = util
    return str(ray_util.get_node_ip_address())


def _await(others: Others, number: int, here: Allocation, wish: Wish) -> None:
    """Wait until so many nodes have joined, or somebody wants to leave.

    Raises:
        UserError: one refuses.
        NodeNotStartedError: one does not come.
    """
    until = time.monotonic() + JOINED_WITHIN_S
    while len(others.joined) < number and not wish.is_to_leave:
        code = others.exit_code()
        if others.refused:
            told = "; ".join(f"node {name}: {why}" for name, why in others.refused.items())
            raise UserError(told)
        if code is not None or time.monotonic() > until:
            why = f"what was to start the others ended with {code}" if code is not None else ""
            why = why or f"the others had {JOINED_WITHIN_S:.0f} s"
            joined = ", ".join([here.node, *others.joined])
            raise NodeNotStartedError(f"of {number + 1} nodes only {joined} came: {why}")
        time.sleep(LOOK_EVERY_S)


def _run(task: Task, here: Allocation, address: str, wish: Wish) -> tuple[int, bool]:
    """The exit code of the sweep's process, and whether it has trained."""
    job = here.job or f"batch-{uuid.uuid4().hex[:8]}"
    environment = {**os.environ, **SETTINGS, SUBMITTED: job}
    command = task.handover.command(PYTHON, task.sweep, address)
    store = Store(task.handover.store)
    driver = subprocess.Popen(command, env=environment)  # noqa: S603 - words, not a line for a shell
    wish.driver = driver
    if wish.is_to_leave:
        driver.terminate()
    has_trained, looked_at = False, 0.0
    while (code := driver.poll()) is None:
        if not has_trained and time.monotonic() - looked_at > HAS_IT_BEGUN_EVERY_S:
            has_trained, looked_at = has_begun(store, job), time.monotonic()
        time.sleep(LOOK_EVERY_S)
    if code < 0:
        _say(f"the sweep's process was killed by signal {-code}")
        code = STOPPED
    return code, has_trained


def _queue_again(here: Allocation, has_trained: bool) -> bool:
    """Let Slurm run this job once more; whether it will."""
    if not has_trained:
        _say("the time was nearly up before anything was trained, so it is not queued again")
        return False
    try:
        commands.called("scontrol", "requeue", here.number)
    except UserError as error:
        _say(f"it could not be queued again: {error}")
        return False
    _say(f"{here.job} is queued again, and goes on from what is saved")
    return True


def _say(what: str) -> None:
    with suppress(OSError):
        sys.stdout.write(f"{what}\n")
        sys.stdout.flush()
