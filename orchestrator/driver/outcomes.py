"""What became of a job: recorded, told to the scheduler, and which of its trials are tried again.

Where the store refuses to be read, nothing has been done yet and the whole is done again. From the first failure
that is recorded on, nothing raises: no attempt is recorded or counted twice.
"""

import time
from collections.abc import Callable, Collection, Mapping

from orchestrator.driver import retries
from orchestrator.driver.claims import Claims
from orchestrator.driver.retries import Attempt
from orchestrator.planning.scheduling import Again, Job, Scheduler
from orchestrator.store.failures import Failure
from orchestrator.store.records import failure_row
from orchestrator.store.store import Store
from orchestrator.worker.causes import of_death
from orchestrator.worker.job import JobReport
from trainer.positions import newest_position
from trainer.problems import UserError
from trainer.trial import Trial


def position_in(store: Store, trial: Trial) -> object:
    """Where a trial will go on; nowhere, where that cannot be read: its worker looks again."""
    try:
        return newest_position(store.checkpoint_folder(trial.fingerprint))
    except (OSError, UserError):
        return None


class Outcomes:
    """The failed attempts of one run, and what follows from them.

    Args:
        store: where failures are recorded.
        scheduler: is told how jobs ended.
        claims: are released.
        note: tells a person what could not be recorded; raises nothing.
    """

    def __init__(
        self, store: Store, scheduler: Scheduler, claims: Claims, note: Callable[[str], None]
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._claims = claims
        self._note = note
        self._attempts: dict[str, list[Attempt]] = {}
        self._killed: dict[int, Failure] = {}
        self.failed: dict[str, Failure] = {}
        """What failed for good in this run, by fingerprint: its last failure."""

    def killed(self, job: Job, failure: Failure) -> None:
        """A job was ended by this driver; why, for when Tune tells of its death."""
        self._killed[job.number] = failure

    def reported(self, job: Job, report: JobReport) -> None:
        """A job came to its end."""
        self._claims.release(job)
        for trial in job.trials:
            entry = report.failed.get(trial.fingerprint)
            if entry is not None and not entry.is_recorded:
                self._record(trial, entry.failure)
        failures = {fingerprint: entry.failure for fingerprint, entry in report.failed.items()}
        self._end(job, set(report.finished), failures, report.node)

    def died(self, job: Job, account: str) -> None:
        """A job's worker died, by Ray's account; of its trials, those that have no row yet failed."""
        done = self._store.finished()
        left = [trial for trial in job.trials if trial.fingerprint not in done]
        signs = [self._store.signs.last(trial.fingerprint) for trial in left]
        node = next((sign.node for sign in signs if sign and sign.node), "")
        failure = self._killed.get(job.number) or of_death(account)
        for trial in left:
            self._record(trial, failure)
        self._claims.release(job)
        failures = {trial.fingerprint: failure for trial in left}
        self._end(job, done.intersection(t.fingerprint for t in job.trials), failures, node)
        self._killed.pop(job.number, None)

    def _record(self, trial: Trial, failure: Failure) -> None:
        try:
            self._store.add_failure(failure_row(trial, failure))
        except OSError as error:
            self._note(f"{trial.fingerprint[:12]} failed ({failure.error}), not recorded: {error}")

    def _end(
        self, job: Job, finished: Collection[str], failures: Mapping[str, Failure], node: str
    ) -> None:
        """Tell the scheduler."""
        now = time.monotonic()
        again: dict[str, Again] = {}
        for trial in job.trials:
            fingerprint = trial.fingerprint
            if fingerprint in failures:
                attempts = self._attempts.setdefault(fingerprint, [])
                position = position_in(self._store, trial)
                attempts.append(Attempt(failures[fingerprint], position, node))
                retry = retries.after(attempts, now)
                if retry is None:
                    self.failed[fingerprint] = failures[fingerprint]
                else:
                    again[fingerprint] = retry
            elif fingerprint not in finished and not self._scheduler.stopping:
                # Its worker left in order, as on a machine that is taken away.
                alone = self._scheduler.is_suspect(fingerprint)
                elsewhere = frozenset({node} - {""})
                again[fingerprint] = Again(now + retries.FIRST_DELAY_S, elsewhere, alone)
        failed = self.failed.keys() & {trial.fingerprint for trial in job.trials}
        self._scheduler.end(job, finished, failed, again)
