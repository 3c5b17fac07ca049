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

import hashlib
import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from trainer.trial import OwnScheme

OwnFunction = Callable[[Tensor, np.random.Generator], Tensor]
Registered = TypeVar("Registered", bound=OwnFunction)

_MARK = "_kdsweep_schemes"


def register(name: str) -> Callable[[Registered], Registered]:
    """Name a function of one's own, as the sweep's `augmentations` will."""

    def mark(function: Registered) -> Registered:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), name))
        return function

    return mark


@lru_cache
def _functions(source: str, path: str) -> dict[str, OwnFunction]:
    """The registered functions of a file, by name. Runs the file."""
    module = ModuleType(f"kdsweep_own_{hashlib.sha256(source.encode()).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102
    return {name: v for v in vars(module).values() for name in getattr(v, _MARK, ())}


def apply_own(scheme: OwnScheme, name: str, images: Tensor, rng: np.random.Generator) -> Tensor:
    """Let a scheme of one's own act on a batch.

    Raises:
        ValueError: the file registers no such scheme, or it returns anything but images.
        RuntimeError: it calls `exit`.
    """
    try:
        functions = _functions(scheme.source, scheme.path)
        if name not in functions:
            raise ValueError(f"{scheme.path} registers no scheme {name!r}, but {list(functions)}")
        returned: object = functions[name](images.clone(memory_format=torch.preserve_format), rng)
    except SystemExit as error:
        raise RuntimeError(f"{scheme.path}: {name} would end the whole process") from error
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
