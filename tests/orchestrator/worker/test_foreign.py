"""The sentences of Ray and torch that mean something to us: each is held, and looked for in what is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from orchestrator.store.failures import Cause
from orchestrator.worker.foreign import (
    death_of,
    first_line,
    is_lack_of_memory,
    is_other_version,
    is_unknown_job,
    last_line,
    missing_module,
    takes_no_jobs_yet,
    wants_token,
)

RAY = Path(find_spec("ray").origin or "").parent  # type: ignore[union-attr]
"""Not imported: what it reads of the environment then is meant for other tests."""

VERSIONS = """Version mismatch: The cluster was started with:
    Ray: 2.52.0
    Python: 3.11.7
This process on node 10.0.0.2 was started with:
    Ray: 2.60.0"""


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (is_other_version, VERSIONS),
        (wants_token, "InvalidAuthToken: Authentication token is missing or incorrect"),
        (takes_no_jobs_yet, "No available agent to submit job, please try again later."),
        (is_unknown_job, "Request failed with status code 404: Job kdsweep-x does not exist."),
        (is_lack_of_memory, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        (is_lack_of_memory, "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
        (is_lack_of_memory, "[Errno 12] Cannot allocate memory"),
        (is_lack_of_memory, "std::bad_alloc"),
    ],
)
def test_a_sentence_is_understood(says: Callable[[str], bool], sentence: str) -> None:
    assert says(sentence)
    assert not says("Request failed with status code 500: job-404 went wrong")


@pytest.mark.parametrize(
    ("account", "cause"),
    [
        ("The actor died unexpectedly before finishing this task. SIGKILL", Cause.WORKER_DIED),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory", Cause.OUT_OF_MEMORY),
        ("The actor died because its node has died. Node Id: abc", Cause.NODE_DIED),
        ("Its node was terminated: expected termination", Cause.NODE_DIED),
        ("", Cause.WORKER_DIED),
    ],
)  # fmt: skip
def test_what_a_death_is_blamed_on(account: str, cause: Cause) -> None:
    assert death_of(account) is cause


def test_the_module_that_a_node_lacks() -> None:
    trace = "Traceback ...\nModuleNotFoundError: No module named 'torchvision.ops'\n"
    assert missing_module(trace) == "torchvision.ops"
    assert missing_module("ValueError: no") is None


def test_the_line_that_says_it() -> None:
    error = RuntimeError("\n  one\ntwo\n  three  \n")
    assert first_line(error) == "one"
    assert last_line(error) == "three"
    assert last_line(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("dashboard/modules/job/job_head.py", "No available agent"),
        ("dashboard/modules/dashboard_sdk.py", "Request failed with status code"),
        ("_private/utils.py", "Version mismatch: {"),
        ("_raylet.so", "AuthToken"),
    ],
)
def test_the_installed_ray_still_says_so(file: str, words: str) -> None:
    assert words.encode() in (RAY / file).read_bytes()


def test_the_installed_torch_still_says_so() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50)
    assert is_lack_of_memory(str(raised.value))
