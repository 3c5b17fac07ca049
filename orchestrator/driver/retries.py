"""Whether a trial is tried again after a failed attempt, when, and where not.

    policy.after(attempts)    -> Retry(delay_s=4.0, avoid={"node"}) or None

What the machine did is tried again with a growing delay, up to `MACHINE_ATTEMPTS` times without progress: a
trial that got further between two deaths starts counting anew, so random kills wear no trial out. From the
second death on it runs alone, so that a trial that kills its worker takes no other with it. A Python
error is tried once more, because a glitch of a node looks like one; where it comes back at the same place,
it is final at once. So is a second attempt that takes too long. A loss that is not a number comes back for
certain, and is final the first time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.store.failures import Cause

MACHINE_ATTEMPTS = 4
"""Attempts without progress that end with a machine's failure."""

PROGRAM_ATTEMPTS = 3
"""Attempts that end with errors of the program, each at another place."""

FIRST_DELAY_S = 1.0
DELAY_FACTOR = 4.0
LONGEST_DELAY_S = 60.0


@dataclass(frozen=True)
class Attempt:
    """A failed attempt: `position` is where its last checkpoint stood, `node` where it ran."""

    cause: Cause
    place: str
    position: object
    node: str


@dataclass(frozen=True)
class Retry:
    """Try again after `delay_s` seconds, on a node that is none of `avoid` where there is one.

    `alone`: outside of any group, because the trial itself may be what failed.
    """

    delay_s: float
    avoid: frozenset[str] = field(default_factory=frozenset)
    alone: bool = True


def after(attempts: Sequence[Attempt]) -> Retry | None:
    """What follows after a trial's failed attempts, the last one last; None: it has failed for good."""
    last = attempts[-1]
    if last.cause is Cause.DIVERGED:
        return None
    if last.cause in (Cause.PROGRAM, Cause.OVER_TIME):
        errors = [attempt for attempt in attempts if attempt.cause is last.cause]
        at_same_place = [error for error in errors if error.place == last.place]
        if len(at_same_place) > 1 or len(errors) >= PROGRAM_ATTEMPTS:
            return None
        return Retry(FIRST_DELAY_S, _nodes(errors))
    stuck = [a for a in attempts if a.cause.by_machine and a.position == last.position]
    if len(stuck) >= MACHINE_ATTEMPTS:
        return None
    delay = FIRST_DELAY_S * DELAY_FACTOR ** (len(stuck) - 1)
    alone = len(stuck) > 1 or last.cause is Cause.OUT_OF_MEMORY
    return Retry(min(delay, LONGEST_DELAY_S), _nodes(stuck), alone)


def _nodes(attempts: Sequence[Attempt]) -> frozenset[str]:
    return frozenset(attempt.node for attempt in attempts if attempt.node)
