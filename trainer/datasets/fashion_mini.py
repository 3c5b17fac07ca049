"""`fashion_mini`: 6,000 + 2,000 real images of clothes, 16x16, inside the package.

Cut from Fashion-MNIST (MIT licence beside this file) by `make_fashion_mini.py`.
"""

import hashlib
import io
from pathlib import Path

import numpy as np

from trainer.catalog import DATASETS
from trainer.datasets.arrays import Arrays, Half
from trainer.datasets.errors import DataError
from trainer.datasets.idx import CLASS_NAMES

FILE = Path(__file__).with_name("fashion_mini.npz")


def read() -> Arrays:
    """Decode the file, grey images of 16x16.

    Raises:
        DataError: the installed file is not the one that was shipped.
    """
    raw = FILE.read_bytes()
    checksum, expected = (
        f"sha256:{hashlib.sha256(raw).hexdigest()}",
        DATASETS["fashion_mini"].checksum,
    )
    if checksum != expected:
        raise DataError(f"{FILE}: {checksum}, expected {expected}; install kdsweep anew")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        halves = (
            Half(arrays[f"{half}_images"], arrays[f"{half}_labels"].astype(np.int64))
            for half in ("train", "test")
        )
        return Arrays(CLASS_NAMES, *halves)
