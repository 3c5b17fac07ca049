"""Addressed randomness: every random decision is drawn from a generator made from its address.

    addressed_generator(seed, "order", epoch)               # the order of the images of an epoch
    addressed_generator(seed, "scheme", "cutout", epoch, step)

Nothing is carried from one decision to the next, so a decision is the same on every device, in any group
and after any resume. Generators live on the CPU; what they draw is then moved to the device.
"""

import hashlib

import numpy as np


def _words(part: int | str) -> tuple[int, int]:
    """A part of an address as exactly two 32-bit words, so that no two addresses read the same."""
    if isinstance(part, str):
        part = int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "little")
    if not 0 <= part < 2**64:
        raise ValueError(f"an address is made of 64-bit numbers and names, not {part}")
    return part % 2**32, part // 2**32


def addressed_generator(seed: int, *address: int | str) -> np.random.Generator:
    """The generator that stands at an address of 64-bit non-negative integers and names.

    Raises:
        ValueError: a part is negative or needs more than 64 bits.
    """
    key = [word for part in address for word in _words(part)]
    sequence = np.random.SeedSequence(_words(seed), spawn_key=key)
    return np.random.Generator(np.random.Philox(sequence))
