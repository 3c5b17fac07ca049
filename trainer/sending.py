"""From the host to the device without waiting for it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sent(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """The values on the device, which may still be busy with what came before.

    A CUDA copy goes on beside the host from pinned memory only; torch keeps that memory until it has arrived.
    """
    here = torch.from_numpy(values)
    if device.type == "cuda":
        here = here.pin_memory()
    return here.to(device, non_blocking=True)
