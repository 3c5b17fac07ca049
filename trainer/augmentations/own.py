"""Schemes of a researcher's own: one Python file with registered functions on batched tensors.

    from trainer.augmentations.own import register

    @register("invert")
    def invert(images, rng):
        return -images if rng.random() < 0.5 else images

The function gets `images` float32 [B, 3, S, S], cropped, flipped and normalised, its own to change, and `rng`, a
`numpy.random.Generator` that stands at the address of this seed, epoch and step. It returns float32
[B', 3, S, S] and must draw from `rng` alone, so that a trial can be resumed and repeated bit for bit. The
file's hash is part of the trial's identity, so it stands alone: what it imports of one's own is not hashed.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from trainer.own_files import no_exit, registered, registrar
from trainer.trial import OwnFile

OwnFunction = Callable[[Tensor, np.random.Generator], Tensor]
Scheme = TypeVar("Scheme", bound=OwnFunction)


def register(name: str) -> Callable[[Scheme], Scheme]:
    """Name a function of one's own, as the sweep's `augmentations` will."""
    return registrar("scheme")(name)


def apply_own(scheme: OwnFile, name: str, images: Tensor, rng: np.random.Generator) -> Tensor:
    """Let a scheme of one's own act on a batch.

    Raises:
        ValueError: the file registers no such scheme, or it returns anything but images.
        RuntimeError: it calls `exit`.
    """
    function = registered(scheme, "scheme", name)
    with no_exit(scheme, name):
        returned: object = function(images.clone(memory_format=torch.preserve_format), rng)
    if isinstance(returned, Tensor) and _are_images(returned, like=images):
        return returned
    got = (
        f"{returned.dtype} {list(returned.shape)}"
        if isinstance(returned, Tensor)
        else type(returned).__name__
    )
    shape = ", ".join(map(str, images.shape[1:]))
    raise ValueError(f"{scheme.path}: {name} must return torch.float32 [B', {shape}], not {got}")


def _are_images(returned: Tensor, like: Tensor) -> bool:
    shaped_alike = returned.dim() == like.dim() and returned.shape[1:] == like.shape[1:]
    return returned.dtype == like.dtype and shaped_alike and len(returned) > 0
