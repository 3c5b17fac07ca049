"""Looks at the store and at the nodes while a run goes on: other drivers, jobs that hang, places that come and go."""

import time
from collections.abc import Callable, Mapping

from orchestrator.cluster.cluster import Cluster
from orchestrator.driver.claims import Claims
from orchestrator.driver.handed_out import HandedOut
from orchestrator.driver.newcomers import Newcomers
from orchestrator.driver.outcomes import Outcomes
from orchestrator.driver.overdue import Overdue, Watch
from orchestrator.driver.reaper import kill_worker
from orchestrator.planning.scheduling import Job, Scheduler
from orchestrator.store.clocks import AttentiveClock
from orchestrator.store.failures import Failure
from orchestrator.store.signs import Running

CLAIM_AGAIN_EVERY_S = 40.0
"""Claims of jobs that wait for their place are renewed, long before they expire."""


class Lookout:
    """What is seen is told to the scheduler; what hangs is ended.

    Args:
        cluster: whose nodes are looked at.
        scheduler: is told of other drivers and of the cluster's capacity.
        claims: what this run and others have in hand.
        outcomes: is told why a job was ended.
        watch: notices jobs that hang.
        newcomers: asks nodes that join; None where there are none.
        note: tells a person.
    """

    def __init__(
        self,
        cluster: Cluster,
        scheduler: Scheduler,
        claims: Claims,
        outcomes: Outcomes,
        watch: Watch,
        newcomers: Newcomers | None,
        note: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._scheduler = scheduler
        self._claims = claims
        self._outcomes = outcomes
        self._watch = watch
        self._newcomers = newcomers
        self._note = note
        self._clock = AttentiveClock()
        self._claimed_at = time.monotonic()

    def look(self, signs: Mapping[str, Running], handed_out: HandedOut) -> None:
        """Look once; `signs` are all living ones of the store.

        Raises:
            OSError: the store cannot be read, or not be written.
        """
        now = time.monotonic()
        # First: as long as the store takes no signs, nobody's silence means anything.
        self._claims.show()
        self._scheduler.held, done = self._claims.others(signs)
        self._scheduler.finish_elsewhere(done)
        for overdue in self._watch.overdue(
            self._scheduler.running, self._claims.own(signs), self._clock()
        ):
            self._end(overdue)
        if self._newcomers:
            self._newcomers.look()
        self._scheduler.capacity = self._cluster.capacity(without=self.closed)
        if now - self._claimed_at >= CLAIM_AGAIN_EVERY_S:
            self._claimed_at = now
            for job in handed_out.waiting().values():
                self._claims.claim(job)

    @property
    def closed(self) -> frozenset[str]:
        """Nodes where no job is to be placed."""
        return self._newcomers.closed if self._newcomers else frozenset()

    def has_place(self, job: Job) -> bool:
        """Whether any open node that the job does not avoid is large enough for it."""
        shut = job.avoid | self.closed
        nodes = self._cluster.nodes()
        return any(node.name not in shut and node.holds(job.resources) for node in nodes)

    def misplaced(self, handed_out: HandedOut) -> frozenset[str]:
        """Jobs, by Tune's ids, that wait where they should not.

        All nodes that they do not avoid were lost, or other nodes are closed by now than when they were handed out.
        """
        waiting = handed_out.waiting().items()
        homeless = {name for name, job in waiting if job.avoid and not self.has_place(job)}
        return handed_out.outdated(self.closed) | homeless

    def _end(self, overdue: Overdue) -> None:
        self._note(f"{overdue.job.trials[0].fingerprint[:12]}: {overdue.failure.error}")
        stack = kill_worker(self._cluster, overdue.sign)
        why = overdue.failure
        self._outcomes.killed(overdue.job, Failure(why.cause, why.error, trace=stack))
