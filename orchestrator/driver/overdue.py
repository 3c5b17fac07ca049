"""Notices jobs that hang: without a sign of life, or over their time. Plain bookkeeping, without Ray.

    watch = Watch(silence_s=600, limit_s=None)
    watch.overdue(running_jobs, store.signs.running(), time.monotonic())   -> [Overdue(job, failure, sign)]

Time is this process's own, counted from when a sign was seen to change: clocks of other machines do not
enter, nor does time in which nobody looked (`orchestrator.store.clocks`). A job that has given no sign yet is still waiting for its place or starting, and is left alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.planning.scheduling import Job
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.signs import Running


@dataclass(frozen=True)
class _Seen:
    beats: frozenset[str]
    newest: Running
    """The one that changed last: of the process that works now."""
    started_at: float
    changed_at: float


@dataclass(frozen=True)
class Overdue:
    """A job that must be ended, why, and its last sign, which names the process."""

    job: Job
    failure: Failure
    sign: Running


class Watch:
    """What was last seen of each running job.

    Args:
        silence_s: so long a worker may finish no step.
        limit_s: so long a job may take for each of its trials; None: for ever.
    """

    def __init__(self, silence_s: float, limit_s: float | None) -> None:
        self._silence_s = silence_s
        self._limit_s = limit_s
        self._seen: dict[int, _Seen] = {}

    def overdue(
        self, jobs: Iterable[Job], signs: Mapping[str, Running], now: float
    ) -> list[Overdue]:
        """The jobs that must be ended now; each is told once."""
        overdue_jobs = []
        running = {job.number: job for job in jobs}
        for number, job in running.items():
            of_worker = _of_its_worker(job, signs)
            seen = self._seen.get(number)
            changed = [sign for sign in of_worker if seen is None or sign.beat not in seen.beats]
            if changed:
                beats = frozenset(sign.beat for sign in of_worker)
                self._seen[number] = _Seen(beats, changed[0], seen.started_at if seen else now, now)
            if number in self._seen and (failure := self._failure(job, now)):
                overdue_jobs.append(Overdue(job, failure, self._seen.pop(number).newest))
        self._seen = {number: s for number, s in self._seen.items() if number in running}
        return overdue_jobs

    def _failure(self, job: Job, now: float) -> Failure | None:
        seen = self._seen[job.number]
        silent = now - seen.changed_at
        if silent > self._silence_s:
            return Failure(Cause.HUNG, f"no sign of life for {silent:.0f} s; killed")
        limit = self._limit_s and self._limit_s * len(job.trials)
        if limit and now - seen.started_at > limit:
            text = f"took longer than its {limit:.0f} s (time_limit_minutes); killed"
            return Failure(Cause.OVER_TIME, text)
        return None


def _of_its_worker(job: Job, signs: Mapping[str, Running]) -> list[Running]:
    """The signs of the job's worker; a claim of the driver's is none."""
    of_job = (signs[t.fingerprint] for t in job.trials if t.fingerprint in signs)
    return [sign for sign in of_job if sign.has_started]
