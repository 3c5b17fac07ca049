"""Picking: of a pool of augmented images, the ones of highest score (PAPER.md, section 4)."""

import torch
from torch import Tensor


def entropy(logits: Tensor) -> Tensor:
    """-sum p*log(p) of softmax(logits) at temperature 1, in the logits' own precision.

    Args:
        logits: float [N, C].

    Returns:
        float [N]. A probability that underflows to 0 makes it NaN, as in the paper's code.
    """
    probabilities = logits.softmax(dim=1)
    return -(probabilities * probabilities.log()).sum(dim=1)


def divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """KL( softmax(t/T) || softmax(s/T) ) of each image, without the factor T^2.

    Args:
        student_logits, teacher_logits: float [N, C].

    Returns:
        float [N].
    """
    student = (student_logits / temperature).log_softmax(dim=1)
    teacher = (teacher_logits / temperature).log_softmax(dim=1)
    return (teacher.exp() * (teacher - student)).sum(dim=1)


def pick(scores: Tensor, count: int) -> Tensor:
    """Indices of the min(N, count) highest scores, ascending by score; NaN counts as highest.

    Args:
        scores: float [N].
        count: an absolute number, not a share: in a short last batch the whole pool is kept.

    Returns:
        int64 [min(N, count)].
    """
    return torch.sort(scores, stable=True).indices[-count:]
