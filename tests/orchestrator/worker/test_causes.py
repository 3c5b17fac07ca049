"""Why attempts fail: the cause and the place of what a worker raises."""

import errno
from pathlib import Path

import pytest
import torch

from orchestrator.store.failures import Cause, Failure, failure_of
from orchestrator.worker.causes import of_death, of_exception
from trainer.checkpoint import CheckpointError
from trainer.datasets.errors import DataError
from trainer.files import LocalFolder
from trainer.members import DivergedError
from trainer.problems import UserError


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DivergedError("nan"), Cause.DIVERGED),
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.NO_SPACE),
        (OSError(errno.EFBIG, "File too large"), Cause.NO_SPACE),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), Cause.OUT_OF_MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), Cause.OUT_OF_MEMORY),
        (torch.AcceleratorError("CUDA error: out of memory"), Cause.OUT_OF_MEMORY),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), Cause.DEVICE),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), Cause.DEVICE),
        (RuntimeError("shapes differ"), Cause.PROGRAM),
        (FileNotFoundError("data"), Cause.PROGRAM),
        (PermissionError(errno.EACCES, "Permission denied"), Cause.IO),
        (DataError("images: gone"), Cause.NO_DATA),
        (OSError(errno.ESTALE, "Stale file handle"), Cause.IO),
        (OSError("When putting an object: connection reset"), Cause.IO),
        (CheckpointError("final.safetensors", "damaged"), Cause.NO_WEIGHTS),
        (UserError("no"), Cause.PROGRAM),
    ],
)  # fmt: skip
def test_causes_of_exceptions(error: Exception, cause: Cause) -> None:
    assert of_exception(error).cause is cause


def test_what_the_device_does_is_not_the_program_s_fault() -> None:
    assert of_exception(
        torch.AcceleratorError("CUDA error: unspecified launch failure")
    ).cause.by_machine


def test_memory_that_torch_cannot_get_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert of_exception(caught.value).cause is Cause.OUT_OF_MEMORY


def test_the_place_of_an_error_is_the_innermost_line_of_ours(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        LocalFolder(tmp_path.parent).read(tmp_path.name)
    failure = of_exception(caught.value)
    assert failure.place.startswith("trainer/files.py:")
    assert failure.place.endswith("in read")
    assert "Traceback" in failure.trace


def test_a_dead_worker_has_a_failure_with_ray_s_account() -> None:
    account = "The actor died because its node has died. Node Id: abc"
    assert of_death(account) == Failure(Cause.NODE_DIED, "the worker's node died", trace=account)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Failure(Cause.PROGRAM, "ValueError: no", "trainer/x.py:3 in f"), "ValueError: no (trainer/x.py:3 in f)"),
        (Failure(Cause.DIVERGED, "ArithmeticError: nan", "trainer/x.py:3 in f"), "ArithmeticError: nan (diverged, trainer/x.py:3 in f)"),
        (Failure(Cause.WORKER_DIED, "the worker died"), "the worker died"),
        (Failure(Cause.OVER_TIME, "took longer than its 20 s; killed"), "took longer than its 20 s; killed (time limit)"),
    ],
)  # fmt: skip
def test_a_failure_tells_cause_and_place_once(failure: Failure, told: str) -> None:
    assert str(failure) == told


@pytest.mark.parametrize(
    ("by_machine", "cause", "expected"),
    [
        (True, None, Cause.WORKER_DIED),
        (False, None, Cause.PROGRAM),
        (True, "a cause of tomorrow's", Cause.WORKER_DIED),
        (True, "no sign of life", Cause.HUNG),
    ],
)
def test_a_stored_failure_without_a_known_cause_keeps_its_blame(
    by_machine: bool, cause: str | None, expected: Cause
) -> None:
    row = {"by_machine": by_machine, "cause": cause, "error": "e", "place": None, "traceback": None}
    assert failure_of(row) == Failure(expected, "e")
