"""Methods of distillation: how a student's logits are compared with its teacher's.

    from trainer import methods

    methods.loss("dkd", student_logits, teacher_logits, labels, temperature=4.0, beta=2.0)

A method is a function `(student_logits, teacher_logits, labels, temperature, *, OPTION=DEFAULT) -> scalar` of
logits alone. A student's whole loss (`trainer.losses.student_loss`) has one term of it for the original images and
one for the augmented ones, which have no labels. `kd`, `dkd` and `dist` are here; one's own are registered by
`register` in a file that a sweep names.
"""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, int64

from trainer.losses import Method, kd
from trainer.methods.decoupled import dkd
from trainer.methods.own import own_method, register
from trainer.methods.relational import dist
from trainer.options import METHODS, Scalar, checked_weights
from trainer.problems import did_you_mean
from trainer.trial import StudentTrial

__all__ = ["FUNCTIONS", "loss", "method_of", "register"]

FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {"kd": kd, "dkd": dkd, "dist": dist}
"""Those of `trainer.options.METHODS`."""


def loss(
    name: str,
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,
    *,
    temperature: float = 4.0,
    **options: Scalar,
) -> Tensor:
    """What one of kdsweep's own methods makes of the logits of a batch.

    Args:
        name: kd, dkd or dist.
        student_logits: float [B, C].
        teacher_logits: float [B, C], of the same dtype.
        labels: int64 [B], from 0 to C - 1; None for images that have none.
        temperature: above 0; the default is the paper's.
        options: those of the method; the others have their defaults (`trainer.options.METHODS`).

    Returns:
        A scalar of the logits' dtype.

    Raises:
        ValueError: an unknown method or option, a value that is none of it, or tensors of other shapes or kinds.
    """
    if name not in FUNCTIONS:
        raise ValueError(f"unknown method {name!r}{did_you_mean(name, METHODS)}")
    if not temperature > 0:
        raise ValueError(f"temperature: expected more than 0, not {temperature}")
    if student_logits.dim() != 2 or student_logits.shape != teacher_logits.shape:
        raise ValueError(
            "logits: expected [B, C] of the student and of the teacher, "
            f"not {list(student_logits.shape)} and {list(teacher_logits.shape)}"
        )
    num_images, num_classes = student_logits.shape
    if num_images == 0:
        raise ValueError("logits: expected those of one image or more")
    if labels is not None and (labels.dtype != int64 or labels.shape != (num_images,)):
        raise ValueError(
            f"labels: expected int64 [{num_images}], not {labels.dtype} {list(labels.shape)}"
        )
    for label in () if labels is None else (int(labels.min()), int(labels.max())):
        if not 0 <= label < num_classes:
            raise ValueError(f"labels: expected 0 to {num_classes - 1}, not {label}")
    whole = checked_weights(name, options)
    return FUNCTIONS[name](student_logits, teacher_logits, labels, temperature, **whole)


def method_of(trial: StudentTrial) -> Method:
    """The method of a trial, with its options."""
    options = dict(trial.method_options)
    if trial.own_method is not None:
        return own_method(trial.own_method, trial.method, options)
    return partial(FUNCTIONS[trial.method], **options)
