"""Whether a trial is tried again after a failed attempt, when, and where not.

    retries.after(attempts, now)    -> Again(ready_at=now + 4.0, avoid={"node"}, alone=True) or None

What the machine did is tried again with a growing delay, up to `MACHINE_ATTEMPTS` times without progress: a
trial that got further between two deaths starts counting anew, so random kills wear no trial out. From the
second death on it runs alone, so that a trial that kills its worker takes no other with it. A Python
error is tried once more, because a glitch of a node looks like one; where it comes back at the same place,
it is final at once. So is a second attempt that takes too long, or that finds the weights of what it depends on
damaged: one bad answer of a file system looks like that, two are damage. A loss that is not a number comes
back for certain, and is final the first time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.planning.scheduling import Again
from orchestrator.store.failures import Cause, Failure

MACHINE_ATTEMPTS = 4
"""Attempts without progress that end with a machine's failure."""

PROGRAM_ATTEMPTS = 3
"""Attempts that end with errors of the program, each at another place."""

WEIGHTS_ATTEMPTS = 2
"""Attempts that end with weights that cannot be read."""

FIRST_DELAY_S = 1.0
DELAY_FACTOR = 4.0
"""So waits are 1, 4 and 16 seconds: after the fourth attempt there is none."""


@dataclass(frozen=True)
class Attempt:
    """A failed attempt: `position` is where its last checkpoint stood, `node` where it ran."""

    failure: Failure
    position: object
    node: str

    @property
    def cause(self) -> Cause:
        return self.failure.cause


def after(attempts: Sequence[Attempt], now: float) -> Again | None:
    """What follows after a trial's failed attempts, the last one last; None: it has failed for good."""
    last = attempts[-1]
    if last.cause is Cause.DIVERGED:
        return None
    if last.cause in (Cause.PROGRAM, Cause.OVER_TIME):
        errors = [attempt for attempt in attempts if attempt.cause is last.cause]
        at_same_place = [e for e in errors if e.failure.place == last.failure.place]
        if len(at_same_place) > 1 or len(errors) >= PROGRAM_ATTEMPTS:
            return None
        return Again(now + FIRST_DELAY_S, _nodes(errors), alone=True)
    if last.cause is Cause.NO_WEIGHTS:
        unread = [attempt for attempt in attempts if attempt.cause is last.cause]
        again = Again(now + FIRST_DELAY_S, _nodes(unread), alone=False)
        return again if len(unread) < WEIGHTS_ATTEMPTS else None
    stuck = [a for a in attempts if a.cause.by_machine and a.position == last.position]
    if len(stuck) >= MACHINE_ATTEMPTS:
        return None
    delay = FIRST_DELAY_S * DELAY_FACTOR ** (len(stuck) - 1)
    alone = len(stuck) > 1 or last.cause is Cause.OUT_OF_MEMORY
    return Again(now + delay, _nodes(stuck), alone)


def _nodes(attempts: Sequence[Attempt]) -> frozenset[str]:
    return frozenset(attempt.node for attempt in attempts if attempt.node)
