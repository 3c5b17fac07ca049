"""The jobs that Tune has, by its own ids: those that wait for a place, and those at work."""

from orchestrator.planning.scheduling import Job


class HandedOut:
    """What was handed out and has not ended."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[str, frozenset[str]] = {}
        """With the nodes that were closed when they were handed out: Tune keeps them away from those."""

    def add(self, trial_id: str, job: Job, closed: frozenset[str] = frozenset()) -> None:
        self._jobs[trial_id] = job
        self._waiting[trial_id] = closed

    def started(self, trial_id: str) -> None:
        """A job has found its place."""
        self._waiting.pop(trial_id, None)

    def take(self, trial_id: str) -> Job | None:
        """A job that ended; None where it is none of these."""
        self._waiting.pop(trial_id, None)
        return self._jobs.pop(trial_id, None)

    def take_all(self) -> list[Job]:
        """Those that Tune has let go of."""
        jobs = list(self._jobs.values())
        self._jobs.clear()
        self._waiting.clear()
        return jobs

    def waiting(self) -> dict[str, Job]:
        """Those that wait for a place, by Tune's ids."""
        return {
            trial_id: self._jobs[trial_id] for trial_id in self._jobs if trial_id in self._waiting
        }

    def outdated(self, closed: frozenset[str]) -> frozenset[str]:
        """Those that wait, by Tune's ids, though since then other nodes were closed, or some opened."""
        return frozenset(name for name, before in self._waiting.items() if before != closed)

    @property
    def nothing_works(self) -> bool:
        return len(self._waiting) == len(self._jobs)
