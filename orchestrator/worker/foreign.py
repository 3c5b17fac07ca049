"""What Ray and torch say in words only. All such sentences are read here, and a test holds each of them.

Where a library tells by the type of an exception, it is asked by its type, elsewhere.
"""

import re

from orchestrator.store.failures import Cause

LACK_OF_MEMORY = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "can't allocate memory",
    "Cannot allocate memory",
    "out of memory",
    "std::bad_alloc",
)
"""Of a plain RuntimeError of torch's: cuBLAS, cuDNN, CPU allocator, errno, CUDA, C++."""

FAILURE_OF_DEVICE = (
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
)
"""Of a plain RuntimeError of torch's: how cuBLAS and cuDNN meet a device that has failed."""

_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")


def is_lack_of_memory(text: str) -> bool:
    """Whether a RuntimeError of torch's says that there is no memory left."""
    return any(sentence in text for sentence in LACK_OF_MEMORY)


def is_failure_of_device(text: str) -> bool:
    """Whether a RuntimeError of torch's says that the device itself has failed."""
    return any(sentence in text for sentence in FAILURE_OF_DEVICE)


def death_of(text: str) -> Cause:
    """What Ray's account of a dead actor blames: memory, its node, or nothing in particular."""
    lowered = text.lower()
    if any(word in lowered for word in ("memoryerror", "low on memory", "out_of_memory")):
        return Cause.OUT_OF_MEMORY
    if "node" in lowered and ("has died" in lowered or "was terminated" in lowered):
        return Cause.NODE_DIED
    return Cause.WORKER_DIED


def missing_module(text: str) -> str | None:
    """The module that a task could not import on its node; None where that was not its trouble."""
    modules = _NO_MODULE.findall(text)
    return modules[-1] if modules else None


def is_other_version(text: str) -> bool:
    """Whether a cluster was made with another Ray or Python."""
    return "ersion mismatch" in text


def wants_token(text: str) -> bool:
    """Whether a cluster refuses for want of a token; some of its errors have a type that says so instead."""
    return "AuthToken" in text


def takes_no_jobs_yet(text: str) -> bool:
    """Whether a head is too young to have an agent that takes jobs."""
    return "No available agent" in text


def is_unknown_job(text: str) -> bool:
    """Whether the Jobs API knows no job of the id it was asked for: an HTTP status within a RuntimeError."""
    return "status code 404" in text


def first_line(error: BaseException) -> str:
    """Ray's errors go on for many lines; the first one says it."""
    return str(error).strip().partition("\n")[0]


def last_line(error: BaseException) -> str:
    """Of an error within a task, whose traceback comes first."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
