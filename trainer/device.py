"""The device and the arithmetic that a worker process uses."""

import os

import torch


def prepare_device(num_threads: int, use_gpu: bool) -> torch.device:
    """Choose the device and fix everything that bits depend on: threads, TF32 off, deterministic kernels.

    Call once, before anything else of torch runs. `num_threads` is the trial's, never the machine's.
    """
    torch.set_num_threads(num_threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if not (use_gpu and torch.cuda.is_available()):
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    return torch.device("cuda:0")


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU as its driver tells it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
