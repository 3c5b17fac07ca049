"""The device and the arithmetic that a worker process uses."""

import os
import socket

import torch

from trainer.precision import has_tf32, use_ieee
from trainer.trial import Precision

PRETEND = "KDSWEEP_PRETEND_GPUS"
"""Set to 1 where a cluster's GPUs are only said to be there: to try its scheduling, jobs compute on the CPU."""


class NoGpuError(Exception):
    """A GPU was reserved, and torch finds none, or none of the kind that is needed: another machine may have it."""


def prepare_device(num_threads: int, gpus: float) -> torch.device:
    """Choose the device and fix everything that bits depend on: threads, arithmetic, deterministic kernels.

    Call once, before anything else of torch runs.

    Args:
        num_threads: the trial's, never the machine's.
        gpus: what is reserved. Of less than a whole one, no more than this share of its memory is taken:
            where a workspace does not fit, cuDNN takes another algorithm without a word, and other bits come
            of it, so what the others on the GPU hold must not matter.

    Raises:
        NoGpuError: a GPU is to be used, and there is none.
    """
    torch.set_num_threads(num_threads)
    use_ieee()
    torch.backends.cudnn.benchmark = False
    if not gpus or os.environ.get(PRETEND) == "1":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = f"made for CUDA {torch.version.cuda}" if torch.version.cuda else "made without CUDA"
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise NoGpuError(
            f"a GPU is reserved, but torch {torch.__version__} ({built}) finds none on "
            f"{socket.gethostname()}, CUDA_VISIBLE_DEVICES={seen}"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Every fresh tensor would be filled with NaN first, half as many launches again: nothing of ours reads one.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if gpus < 1:
        torch.cuda.set_per_process_memory_fraction(gpus)
    return torch.device("cuda:0")


def check_precision(device: torch.device, precision: Precision) -> None:
    """Raise `NoGpuError` where a device cannot compute in a precision: nothing else is taken without a word."""
    if precision == "tf32" and not has_tf32(device):
        raise NoGpuError(
            f"precision tf32 needs an NVIDIA GPU from Ampere on; {device_name(device)} on "
            f"{socket.gethostname()} has none; fp32 runs anywhere"
        )


def has_gpu() -> bool:
    """Whether torch finds a GPU here."""
    return torch.cuda.is_available()


def cudnn_version() -> str | None:
    """The cuDNN that torch computes with, `91002` for 9.10.2; None where it has none."""
    version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return None if version is None else str(version)


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU as its driver tells it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
