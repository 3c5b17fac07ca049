"""The losses of one distillation step (PAPER.md, section 3)."""

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

    Returns:
        A scalar.
    """
    loss = weights.label * F.cross_entropy(student_logits, labels)
    matched: Tensor | None = None
    # A term without weight is left out: nought times infinity would be no number.
    if weights.distillation and weights.original:
        matched = weights.original * distillation_loss(student_logits, teacher_logits, temperature)
    if weights.distillation and weights.augmented and mixed is not None:
        augmented = weights.augmented * distillation_loss(*mixed, temperature)
        matched = augmented if matched is None else matched + augmented
    return loss if matched is None else loss + weights.distillation * matched
