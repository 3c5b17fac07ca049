"""One driver among others on a store: shows itself, claims what it hands out, leaves to others what is theirs.

A claim is a sign of life that the driver writes for a trial before its worker has started. No lock is taken:
two drivers that claim one trial in the same moment compute it twice, with equal bits, and the second row
replaces the first. Signs are a courtesy, so a full disk that takes none ends no run; but by its own sign, given
again and again, a driver notices a store that takes nothing any more.
"""

import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from orchestrator.planning.scheduling import Job
from orchestrator.store.patience import NO_SPACE
from orchestrator.store.processes import this_process
from orchestrator.store.signs import LONGEST_LIFE_S, Run, Running, sign_of_life
from orchestrator.store.store import Store

RUN_LIVES_FOR_S = 60.0
CLAIM_LIVES_FOR_S = LONGEST_LIFE_S


class Claims:
    """The signs of one run.

    Args:
        store: where they are.
        sweep: the sweep's name, for others to read.
    """

    def __init__(self, store: Store, sweep: str) -> None:
        self.run_id = uuid.uuid4().hex
        self._store = store
        self._sweep = sweep
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._others: Mapping[str, Running] = {}

    def other_runs(self) -> list[Run]:
        """The other drivers that work on this store now."""
        return [run for run in self._store.signs.runs().values() if run.run_id != self.run_id]

    def show(self) -> None:
        """Give a sign that this driver is alive.

        Raises:
            OSError: the store cannot be written, and not for want of space.
        """
        run = Run(
            run_id=self.run_id,
            sweep=self._sweep,
            host=socket.gethostname(),
            started_at=self._started_at,
            process=this_process(),
            lives_for_s=RUN_LIVES_FOR_S,
        )
        try:
            self._store.signs.set_run(run)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise

    def claim(self, job: Job) -> None:
        """Say that a job's trials are about to be worked on."""
        with suppress(OSError):
            for trial in job.trials:
                sign = sign_of_life(trial, self.run_id, lives_for_s=CLAIM_LIVES_FOR_S)
                self._store.signs.set_running(sign)

    def taken(self, job: Job) -> frozenset[str]:
        """Those of a job's trials that another run has claimed since the last look."""
        signs = (self._store.signs.at_work(trial.fingerprint) for trial in job.trials)
        return frozenset(sign.fingerprint for sign in signs if sign and sign.owner != self.run_id)

    def release(self, job: Job) -> None:
        """Nobody of this run works on a job's trials any more; signs that cannot be removed expire."""
        with suppress(OSError):
            for trial in job.trials:
                sign = self._store.signs.last(trial.fingerprint)
                if sign is not None and sign.owner == self.run_id:
                    self._store.signs.clear_running(trial.fingerprint)

    def own(self, signs: Mapping[str, Running]) -> dict[str, Running]:
        """The signs of this run's workers, by fingerprint."""
        return {fp: sign for fp, sign in signs.items() if sign.owner == self.run_id}

    def others(self, signs: Mapping[str, Running]) -> tuple[frozenset[str], frozenset[str]]:
        """What other runs work on now, and what they have finished since the last look."""
        others = {fp: sign for fp, sign in signs.items() if sign.owner != self.run_id}
        gone = self._others.keys() - others.keys()
        # In this order: where the store cannot be read, the next look finds them gone as well.
        done = self._store.finished().intersection(gone) if gone else frozenset()
        self._others = others
        return frozenset(others), frozenset(done)

    def end(self) -> None:
        """This driver leaves."""
        for clear in (self._store.stops.clear, self._store.signs.clear_run):
            with suppress(OSError):
                clear(self.run_id)
