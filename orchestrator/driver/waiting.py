"""Jobs that find no place: told after a while, and not waited for without end.

Nodes may be on their way (an autoscaler starts a machine in minutes), or busy with somebody else's work. Where no
node is there that could ever take one of the jobs, the run is stopped in order after half an hour: submitted again,
it goes on.
"""

import time
from collections.abc import Callable, Collection

from orchestrator.language.resources import Resources
from orchestrator.planning.scheduling import Capacity, Job
from orchestrator.planning.words import duration
from orchestrator.store.clocks import Clock

TELL_AFTER_S = 60.0
TELL_AGAIN_AFTER_S = 600.0
GIVE_UP_AFTER_S = 1800.0


class Waiting:
    """How long nothing has worked.

    Args:
        most: what an autoscaler may bring, as the user told; zeros: nothing.
        note: tells a person.
        clock: seconds from some moment on.
    """

    def __init__(
        self, most: Capacity, note: Callable[[str], None], clock: Clock = time.monotonic
    ) -> None:
        self._most = most
        self._note = note
        self._clock = clock
        self._since: float | None = None
        self._tell_at = 0.0

    def is_in_vain(self, jobs: Collection[Job], *, has_place: bool) -> bool:
        """Whether it was waited long enough; tells, now and then, what is waited for.

        Args:
            jobs: all that wait, where nothing works; else empty.
            has_place: whether some node is large enough for one of them.
        """
        now = self._clock()
        if not jobs:
            self._since = None
            return False
        if self._since is None:
            self._since, self._tell_at = now, now + TELL_AFTER_S
        is_in_vain = not has_place and now - self._since >= GIVE_UP_AFTER_S
        if now >= self._tell_at or is_in_vain:
            self._tell_at = now + TELL_AGAIN_AFTER_S
            self._note(self._told(jobs, now - self._since, has_place=has_place))
        return is_in_vain

    def _told(self, jobs: Collection[Job], waited_s: float, *, has_place: bool) -> str:
        sizes = " or ".join(sorted({_size(job.resources) for job in jobs}))
        if has_place:
            why = "the nodes that have them are busy with something else"
        elif self._most.cpu or self._most.gpu:
            why = "no node has come that has them; is --scale-to what the autoscaler may bring?"
        else:
            why = "no node is there any more that has them"
        return f"nothing has run for {duration(waited_s)}: jobs wait for {sizes}; {why}"


def _size(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.bundle.items())
