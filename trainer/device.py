"""The device and the arithmetic that a worker process uses."""

import os
import socket

import torch

PRETEND = "KDSWEEP_PRETEND_GPUS"
"""Set to 1 where a cluster's GPUs are only said to be there: to try its scheduling, jobs compute on the CPU."""


class NoGpuError(Exception):
    """A GPU was reserved, and torch finds none: the machine is not what it says."""


def prepare_device(num_threads: int, use_gpu: bool) -> torch.device:
    """Choose the device and fix everything that bits depend on: threads, TF32 off, deterministic kernels.

    Call once, before anything else of torch runs. `num_threads` is the trial's, never the machine's.

    Raises:
        NoGpuError: a GPU is to be used, and there is none.
    """
    torch.set_num_threads(num_threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if not use_gpu or os.environ.get(PRETEND) == "1":
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
    return torch.device("cuda:0")


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
