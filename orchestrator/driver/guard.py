"""Nothing of ours may be raised into Tune's loop: the one place where that is seen to.

    guard = Guard(stop, note)
    with guard:
        ...                    # whatever is raised here goes no further
    guard.raise_kept()         # once Tune's loop has ended

A store or a file system that cannot be used for a while ends no run: such an error is told once and borne, as
long as it does not go on for `UNUSABLE_S`, in which the driver was there to see it; then the run is stopped in order and `StoreUnusableError` raised. Any other
error is kept, the run stopped as well, and then it is raised.
"""

import time
from collections.abc import Callable
from types import TracebackType

from orchestrator.store.clocks import AttentiveClock
from orchestrator.store.patience import LONGEST_OPERATION_S

UNUSABLE_S = 600.0
"""So long a store may refuse before the run is stopped."""


class MachineFailedError(Exception):
    """What a run needs of its machines failed; it was stopped, and goes on when it is started again."""


class StoreUnusableError(MachineFailedError):
    """A store has refused for too long."""


class Guard:
    """Bears what passes, keeps what does not.

    Args:
        stop: stops the run in order.
        note: tells a person; raises nothing (`orchestrator.driver.view.unbroken`).
    """

    def __init__(self, stop: Callable[[], None], note: Callable[[str], None]) -> None:
        self._stop = stop
        self._note = note
        self._kept: Exception | None = None
        self._unusable_since: float | None = None
        self._clock = AttentiveClock(time.monotonic, LONGEST_OPERATION_S)

    def __enter__(self) -> None:
        self._clock()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, OSError):
            self._bear(error)
        elif isinstance(error, Exception):
            self._keep(error)
        return isinstance(error, Exception)

    def relieve(self) -> None:
        """The store could be used: what was borne is over."""
        self._unusable_since = None

    def raise_kept(self) -> None:
        """Raise the first error that was kept, if any."""
        if self._kept is not None:
            raise self._kept

    def _bear(self, error: OSError) -> None:
        now = self._clock()
        if self._unusable_since is None:
            self._unusable_since = now
            self._note(f"the store cannot be used: {error}; trying again")
        elif now - self._unusable_since > UNUSABLE_S:
            told = f"the store could not be used for {UNUSABLE_S / 60:.0f} minutes: {error}"
            self._keep(StoreUnusableError(told))

    def _keep(self, error: Exception) -> None:
        if self._kept is None:
            self._kept = error
            self._stop()
