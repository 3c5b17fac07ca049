"""A folder on this machine for what Tune writes while a run goes on, and what follows where it cannot be written.

Nothing in it is ever needed again, but Tune does not go on without. What is done is in the store, so such a run is
stopped, and goes on from the last checkpoints once the machine has been mended.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.driver.guard import MachineFailedError


class ScratchUnusableError(MachineFailedError):
    """The folder for temporary files of this machine cannot be used any more."""


@contextmanager
def scratch(place: Path) -> Iterator[Path]:
    """A fresh folder in `place`, which goes with what it is for.

    Raises:
        ScratchUnusableError: whoever used it met an error of its file system.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix="tune-", dir=place, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except Exception as error:
        if (fault := _of_file_system(error)) is None:
            raise
        why = fault.strerror or fault
        raise ScratchUnusableError(
            f"{place}: {why}: Ray Tune cannot go on; make space there, or set TMPDIR to another folder"
        ) from error


def _of_file_system(error: BaseException | None) -> OSError | None:
    """The error of a file system that is behind an error of Tune's, if any."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
            return error
        error = error.__cause__ or error.__context__
    return None
