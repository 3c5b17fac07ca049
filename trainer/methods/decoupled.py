"""DKD: the target class and all others, apart (Zhao et al. 2022, Decoupled Knowledge Distillation)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

HIDDEN = -1000.0
"""Added to the target's logit, it leaves no probability there, and no infinity either."""


def dkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,
    temperature: float,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
) -> Tensor:
    """T^2 * ( alpha * KL of target against rest + beta * KL among the rest ), averaged over the batch.

    With p the softmax of logits / T, the first is KL( [p_t, 1 - p_t] of the teacher || that of the student ), the
    second that of the softmax over all classes but the target. All of it is computed of logarithms, so that a
    student that is sure of itself has a finite loss.

    Args:
        student_logits: float [B, C], with gradient; C is 2 or more.
        teacher_logits: float [B, C].
        labels: int64 [B], the targets; None, of images that have no label (mixed ones): the class that the
            teacher holds for the likeliest is the target.
        temperature: T > 0.
        alpha: the weight of the target class.
        beta: the weight of all others.

    Returns:
        A scalar of the logits' dtype.
    """
    target = teacher_logits.argmax(1, keepdim=True) if labels is None else labels[:, None]
    classes = torch.arange(student_logits.shape[1], device=student_logits.device)
    is_target = target == classes
    student, teacher = student_logits / temperature, teacher_logits / temperature
    of_target = _divergence(_binary(student, is_target), _binary(teacher, is_target))
    of_rest = _divergence(_rest(student, is_target), _rest(teacher, is_target))
    return (alpha * of_target + beta * of_rest) * temperature**2


def _binary(logits: Tensor, is_target: Tensor) -> Tensor:
    """Log [p_t, 1 - p_t] of float [B, C], as [B, 2]."""
    logs = F.log_softmax(logits, dim=1)
    parts = (logs.masked_fill(mask, -math.inf).logsumexp(1) for mask in (~is_target, is_target))
    return torch.stack(tuple(parts), dim=1)


def _rest(logits: Tensor, is_target: Tensor) -> Tensor:
    """Log of the softmax over all classes but the target."""
    return F.log_softmax(logits + HIDDEN * is_target, dim=1)


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of log-probabilities [B, K], averaged over the batch."""
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)
