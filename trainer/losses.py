"""The losses of one distillation step (PAPER.md, section 3)."""

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


def student_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    mixed_student_logits: Tensor,
    mixed_teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    label_weight: float,
    distillation_weight: float,
) -> Tensor:
    """label_weight * CE(s(x), y) + distillation_weight * [ KD(s(x), t(x)) + KD(s(m), t(m)) ].

    The augmented images m have no label term: the teacher's output on them is their target. Each KD is
    averaged over its own batch; m may hold more images than x (the last batch of an epoch, with a pick).

    Args:
        student_logits, teacher_logits: float [B, C].
        mixed_student_logits, mixed_teacher_logits: float [B', C].
        labels: int64 [B].

    Returns:
        A scalar.
    """
    original = distillation_loss(student_logits, teacher_logits, temperature)
    mixed = distillation_loss(mixed_student_logits, mixed_teacher_logits, temperature)
    labelled = F.cross_entropy(student_logits, labels)
    return label_weight * labelled + distillation_weight * (original + mixed)
