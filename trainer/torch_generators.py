"""Torch's own generators, from which layers draw weights and dropout, at an address for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def torch_draws_from(rng: np.random.Generator, device: torch.device) -> Iterator[None]:
    """What torch draws on the CPU and on `device` follows from `rng`, from which one number is drawn.

    Afterwards its generators are as they were.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(int(rng.integers(2**63)))
        yield
