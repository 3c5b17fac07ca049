"""Chaos: a whole small sweep under random kills ends with exactly the rows of an undisturbed run.

CI runs one round; `CHAOS_ROUNDS=10 CHAOS_KILLS=8 pytest tests/orchestrator/driver/test_chaos.py` runs more.
"""

import logging
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import pytest

from orchestrator.store.store import Store
from tests.orchestrator.commands import descendants, finish, start, trial_workers, wait_until
from tests.orchestrator.results import assert_same_results, is_clean
from trainer.files import process_is_alive

pytestmark = pytest.mark.slow

LOG = logging.getLogger(__name__)
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
FIRST_SEED = int(os.environ.get("CHAOS_SEED", "0"))
MOST_KILLS = int(os.environ.get("CHAOS_KILLS", "4"))
"""Then the run is left alone, so that a round ends."""

WEIGHTS = {"worker killed": 5, "worker preempted": 2, "driver killed": 2, "driver stopped": 1}


def disturb(process: Popen[str], chance: random.Random) -> str | None:
    """Do one random harm to a running command; None where there was nothing to harm."""
    what = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    workers = trial_workers(process.pid)
    if what.startswith("worker"):
        if not workers:
            return None
        number = signal.SIGKILL if what == "worker killed" else signal.SIGTERM
        harmed = chance.choice(workers)
    else:
        number = signal.SIGKILL if what == "driver killed" else signal.SIGTERM
        harmed = process.pid
    try:
        os.kill(harmed, number)
    except ProcessLookupError:
        return None
    return what


def end(process: Popen[str], workers: list[int], services: list[int]) -> tuple[int, str]:
    """Wait for a command that was killed or stopped, and for its workers to end by themselves.

    Ray's own services may outlive a killed driver for a while; they are ended.
    """
    if process.wait() < 0:
        wait_until(lambda: not any(map(process_is_alive, workers)))
        for pid in filter(process_is_alive, services):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return finish(process)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
@pytest.mark.timeout(1200)
def test_random_kills_change_no_row(
    seed: int, home: Path, sweep: Path, tmp_path: Path, undisturbed: Store
) -> None:
    chance = random.Random(seed)
    store = Store(tmp_path / "store")
    done: Counter[str] = Counter()
    for _ in range(MOST_KILLS + 1):
        process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
        workers, services = [], []
        while process.poll() is None:
            try:
                process.wait(chance.uniform(0.5, 8))
            except TimeoutExpired:
                workers = trial_workers(process.pid)
                services = [pid for pid, _ in descendants(process.pid) if pid not in workers]
                if done.total() < MOST_KILLS and (harm := disturb(process, chance)):
                    done[harm] += 1
                    if harm.startswith("driver"):
                        break
        code, output = end(process, workers, services)
        assert code in (0, 3, -signal.SIGKILL, -signal.SIGTERM), output
        if code == 0:
            break
    assert code == 0, output
    num_failures = store.failures().num_rows
    LOG.info("seed %d: %s; %d failures recorded", seed, dict(done), num_failures)
    assert_same_results(store, undisturbed)
    assert is_clean(store)
