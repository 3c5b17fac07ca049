"""`fashion_mini`: 6,000 + 2,000 real images of clothes, 16x16, inside the package.

Cut from Fashion-MNIST (MIT licence beside this file) by `make_fashion_mini.py`.
"""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("fashion_mini.npz")

CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


class Arrays(NamedTuple):
    """Decoded images uint8 [N, S, S] or [N, 3, S, S], labels uint8 [N], and the SHA-256 of their file."""

    checksum: str
    class_names: tuple[str, ...]
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def read() -> Arrays:
    raw = FILE.read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return Arrays(
            hashlib.sha256(raw).hexdigest(),
            CLASS_NAMES,
            arrays["train_images"],
            arrays["train_labels"],
            arrays["test_images"],
            arrays["test_labels"],
        )
