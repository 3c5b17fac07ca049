"""The losses of one distillation step (PAPER.md, section 3)."""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 * KL( softmax(t/T) || softmax(s/T) ), summed over classes, averaged over the batch.

    Args:
        student_logits: float [B, C], with gradient.
        teacher_logits: float [B, C].
        temperature: T > 0.

    Returns:
        A scalar of the logits' dtype (Hinton et al. 2015).
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


Method = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]
"""Of the student's and the teacher's logits, labels (None: of images without) and the temperature."""


def kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,  # noqa: ARG001 - as every method
    temperature: float,
) -> Tensor:
    """`distillation_loss` as a `Method`: the paper's, which looks at no labels."""
    return distillation_loss(student_logits, teacher_logits, temperature)


class LossWeights(NamedTuple):
    """The weights of a distillation step's three terms; the defaults are the paper's."""

    label: float = 0.1
    distillation: float = 0.9
    original: float = 1.0
    augmented: float = 1.0


PAPER_WEIGHTS = LossWeights()


def student_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    mixed: tuple[Tensor, Tensor] | None,
    temperature: float,
    weights: LossWeights = PAPER_WEIGHTS,
    *,
    method: Method = kd,
    label_smoothing: float = 0.0,
    warmth: Tensor | None = None,
) -> Tensor:
    """Label * CE(s(x), y) + distillation * [ original * KD(s(x), t(x)) + augmented * KD(s(m), t(m)) ].

    The augmented images m have no label term: the teacher's output on them is their target. Each KD is
    averaged over its own batch; a term whose weight is 0 is left out. m may hold more images than x (the last
    batch of an epoch, with a pick).

    Args:
        student_logits, teacher_logits: float [B, C], of the original images.
        labels: int64 [B].
        mixed: the student's and the teacher's logits of the augmented images, float [B', C]; None leaves
            that term out.
        method: in the place of KD; it gets no labels of the augmented images.
        label_smoothing: the share of the labels' weight that is spread evenly over all classes.
        warmth: 0-dimensional, a factor of the distillation weight; None stands for 1.

    Returns:
        A scalar.
    """
    label_loss = F.cross_entropy(student_logits, labels, label_smoothing=label_smoothing)
    loss = weights.label * label_loss
    matched: Tensor | None = None
    # A term without weight is left out: nought times infinity would be no number.
    if weights.distillation and weights.original:
        matched = weights.original * method(student_logits, teacher_logits, labels, temperature)
    if weights.distillation and weights.augmented and mixed is not None:
        augmented = weights.augmented * method(*mixed, None, temperature)
        matched = augmented if matched is None else matched + augmented
    if matched is None:
        return loss
    matched = weights.distillation * matched
    return loss + (matched if warmth is None else warmth * matched)
