"""A further node of an allocation.

    srun ... python -m orchestrator.cluster.slurm node

Its standard input says where the head is (`hand`), and ends when the node is to end.
"""

import os
import select
import sys

from orchestrator.cluster import interruption
from orchestrator.cluster.own_ray import OwnRay
from orchestrator.cluster.run_folder import RunFolder
from orchestrator.cluster.slurm.allocation import Allocation, allocation
from orchestrator.cluster.slurm.hand import KEEP_LOGS, Event, Hand, Word
from orchestrator.cluster.slurm.raylet import NodeNotStartedError, address_towards, started
from orchestrator.cluster.slurm.scratch import scratch_folder
from trainer.problems import UserError

LOOK_EVERY_S = 1.0
DONE, FAILED = 0, 1


def main() -> int:
    """Join the head, and stay until the launcher is done; the exit code."""
    interruption.listen()
    here = allocation(os.environ, len(os.sched_getaffinity(0)))
    hand = Hand.read(sys.stdin.readline())
    if hand is None:
        return DONE  # the launcher was gone before it began
    try:
        with scratch_folder(here) as folder:
            folder.token.write_text(hand.token)
            return _stay(here, folder, hand)
    except (UserError, NodeNotStartedError) as error:
        _say(here, "refused", str(error))
    except KeyboardInterrupt:
        return DONE
    return FAILED


def _stay(here: Allocation, folder: RunFolder, hand: Hand) -> int:
    own_address = address_towards(hand.address.rpartition(":")[0].strip("[]"))
    if own_address is None:
        raise NodeNotStartedError(f"no way to the head at {hand.address}")
    with started(folder, here, own_address, hand.address) as (own, _):
        _say(here, "joined", f"{here.cpus} CPUs, {here.gpus or 0} GPUs")
        lost = _until_over_or_lost(own, folder)
    if lost is None:
        return DONE
    folder.is_wanted = True
    _say(here, "lost", lost)
    return FAILED


def _until_over_or_lost(own: OwnRay, folder: RunFolder) -> str | None:
    """What died; None where the launcher is done."""
    while (lost := own.what_died()) is None:
        readable, _, _ = select.select([sys.stdin], [], [], LOOK_EVERY_S)
        if readable:
            line = sys.stdin.readline()
            if not line:
                return None
            folder.is_wanted = folder.is_wanted or line.strip() == KEEP_LOGS
    return lost


def _say(here: Allocation, event: Event, what: str) -> None:
    sys.stdout.write(f"{Word(here.node, event, what).line()}\n")
    sys.stdout.flush()
