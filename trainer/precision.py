"""The arithmetic of a trial's models: `fp32` (IEEE), `tf32`, or `bf16`.

    with forward_in(precision, device):
        logits = at_least_fp32(model(images))
    with backward_in(precision):
        gradients = torch.autograd.grad(loss(logits), parameters)

It is that of the teacher, of the student and of the gradients. Weights, momentum, losses, softmax, statistics and
every test are IEEE fp32 whatever the precision: where none of these contexts is open, nothing else is computed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trainer.trial import Precision


def use_ieee() -> None:
    """Multiply in IEEE fp32: what a process starts with, and comes back to."""
    _multiply_in("ieee")


def _multiply_in(name: str) -> None:
    """By the flags of every operator: a library that later sets the one above them changes nothing.

    Said at the beginning of every pass, for a library may set these as well (`torch.backends.cudnn.flags` does,
    where it ends). The old flag agrees with them: torch refuses to read it, and to enter `flags`, where it does not.
    """
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    torch.backends.cuda.matmul.fp32_precision = name
    torch.backends.cudnn.conv.fp32_precision = name  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = name  # type: ignore[attr-defined]


@contextmanager
def forward_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Models that are called in here compute so. In bf16 they answer in bf16, from weights in fp32 (autocast)."""
    with backward_in(precision):
        if precision == "bf16":
            with torch.autocast(device.type, torch.bfloat16):
                yield
        else:
            yield


@contextmanager
def backward_in(precision: Precision) -> Iterator[None]:
    """Gradients that are taken in here are multiplied so; those of bf16 know their types from the way forward."""
    _multiply_in("tf32" if precision == "tf32" else "ieee")
    try:
        yield
    finally:
        use_ieee()


def at_least_fp32(logits: Tensor) -> Tensor:
    """What a model has answered, as everything after it is computed."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def has_tf32(device: torch.device) -> bool:
    """Whether a device multiplies in TF32: NVIDIA's from Ampere on."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
