"""Why an attempt failed: what an exception, or Ray's account of a dead worker, comes to."""

import errno
import traceback
from pathlib import Path

from orchestrator.store.failures import Cause, Failure
from orchestrator.store.patience import NO_SPACE, is_certain
from orchestrator.store.provenance import PACKAGES
from orchestrator.worker.foreign import death_of, is_failure_of_device, is_lack_of_memory
from trainer.datasets.errors import DataError

OUR_CODE = Path(__file__).resolve().parents[2]

_BY_NAME = {
    "AcceleratorError": Cause.DEVICE,
    "CheckpointError": Cause.NO_WEIGHTS,
    "DivergedError": Cause.DIVERGED,
    "NoGpuError": Cause.NO_GPU,
    "OtherCodeError": Cause.OTHER_CODE,
}
"""Errors whose classes live beside torch, which a driver never imports, or in what imports this module."""


def of_exception(error: BaseException) -> Failure:
    """The failure that an exception in a worker is."""
    message = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return Failure(_cause(error), message, _place(error), trace)


def of_death(text: str) -> Failure:
    """The failure that Ray's account of a dead worker is."""
    told = {
        Cause.OUT_OF_MEMORY: "the worker was out of memory",
        Cause.NODE_DIED: "the worker's node died",
        Cause.WORKER_DIED: "the worker died",
    }
    cause = death_of(text)
    return Failure(cause, told[cause], trace=text)


def _cause(error: BaseException) -> Cause:
    if isinstance(error, RuntimeError) and is_lack_of_memory(str(error)):
        return Cause.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and is_failure_of_device(str(error)):
        return Cause.DEVICE
    if type(error).__name__ in _BY_NAME:
        return _BY_NAME[type(error).__name__]
    if isinstance(error, DataError):
        return Cause.NO_DATA
    if isinstance(error, OSError):
        return _cause_of_io(error)
    return Cause.OUT_OF_MEMORY if isinstance(error, MemoryError) else Cause.PROGRAM


def _cause_of_io(error: OSError) -> Cause:
    if error.errno in NO_SPACE:
        return Cause.NO_SPACE
    if error.errno == errno.ENOMEM:
        return Cause.OUT_OF_MEMORY
    # A missing right is the machine's: a token has expired, an export maps its users otherwise.
    is_programs = is_certain(error) and not isinstance(error, PermissionError)
    return Cause.PROGRAM if is_programs else Cause.IO


def _place(error: BaseException) -> str:
    """`trainer/lockstep.py:150 in _each`: the innermost line of ours, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    paths = [Path(frame.filename).resolve() for frame in frames]
    ours = [i for i, path in enumerate(paths) if _is_ours(path)]
    last = ours[-1] if ours else -1
    path, frame = paths[last], frames[last]
    shown = path.relative_to(OUR_CODE) if ours else Path(path.parent.name, path.name)
    return f"{shown}:{frame.lineno} in {frame.name}"


def _is_ours(path: Path) -> bool:
    """Also where kdsweep itself lies among installed packages, but not what lies beside it there."""
    return any(path.is_relative_to(OUR_CODE / name) for name in PACKAGES)
