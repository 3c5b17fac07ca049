"""Methods of a researcher's own: one Python file with registered functions of logits.

    from trainer.methods import register

    @register("squared")
    def squared(student_logits, teacher_logits, labels, temperature, *, power=2.0):
        return (student_logits - teacher_logits).abs().pow(power).mean()

The function gets both logits float32 [B, C] and labels int64 [B], or None of images that have none, as its own to
change; what it takes by keyword only are its options. It returns a scalar with a gradient, and draws nothing, so
that a trial can be resumed and repeated bit for bit. Its file's hash is part of the trial's identity.
"""

from collections.abc import Callable, Mapping
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor

from trainer.losses import Method
from trainer.options import Scalar
from trainer.own_files import no_exit, registered, registrar
from trainer.trial import OwnFile

OwnFunction = TypeVar("OwnFunction", bound=Callable[..., Tensor])


def register(name: str) -> Callable[[OwnFunction], OwnFunction]:
    """Name a function of one's own, as the sweep's `student.method` will."""
    return registrar("method")(name)


def own_method(file: OwnFile, name: str, options: Mapping[str, Scalar]) -> Method:
    """A method that a file registers, with its options.

    It raises ValueError where it returns anything but a scalar with a gradient, RuntimeError where it calls
    `exit`, and whatever its function raises.

    Raises:
        ValueError: the file registers no such method.
        Exception: whatever the file raises.
    """
    function = registered(file, "method", name)

    def method(
        student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None, temperature: float
    ) -> Tensor:
        # The teacher's logits and the labels are shown to others, too.
        given = (
            student_logits.clone(),
            teacher_logits.clone(),
            labels if labels is None else labels.clone(),
        )
        with no_exit(file, name):
            returned: object = function(*given, temperature, **options)
        if _is_loss(returned):
            return returned
        raise ValueError(
            f"{file.path}: {name} must return a scalar with a gradient, not {_told(returned)}"
        )

    return method


def try_on_noise(method: Method, num_classes: int, temperature: float) -> None:
    """Let a method act on a small batch of noise, with labels and without.

    Raises:
        ValueError: its value or its gradient is not finite, or the gradient is nought for every image.
        Exception: whatever it raises.
    """
    noise = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 8, num_classes, generator=noise)
    student = student.clone().requires_grad_()
    for labels in (torch.arange(8) % num_classes, None):
        try:
            value = method(student, teacher, labels, temperature)
        except Exception as error:
            if labels is None:  # with labels it worked
                error.add_note("where labels are None, as those of augmented images are")
            raise
        (gradient,) = torch.autograd.grad(value, student)
        where = "for images with labels" if labels is not None else "where labels are None"
        if not value.isfinite():
            raise ValueError(f"is {value.item()} on noise, {where}")
        if not gradient.isfinite().all():
            raise ValueError(f"has a gradient that is not finite on noise, {where}")
        if not gradient.any():
            raise ValueError(f"has a gradient of nought on noise, {where}: it would teach nothing")


def _is_loss(returned: object) -> TypeGuard[Tensor]:
    return isinstance(returned, Tensor) and returned.dim() == 0 and returned.requires_grad


def _told(returned: object) -> str:
    if not isinstance(returned, Tensor):
        return type(returned).__name__
    return (
        f"{returned.dtype} {list(returned.shape)}{'' if returned.requires_grad else ' without one'}"
    )
