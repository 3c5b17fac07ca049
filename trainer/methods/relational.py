"""DIST: correlations in place of equality (Huang et al. 2022, Knowledge Distillation from A Stronger Teacher)."""

from torch import Tensor

SMALLEST = 1e-8
"""Added to the denominator of a correlation, so that what does not vary has none."""


def dist(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,  # noqa: ARG001 - as every method
    temperature: float,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Tensor:
    """Beta * (1 - mean correlation over rows) + gamma * (1 - mean correlation over columns); no factor of T^2.

    Correlations are Pearson's, of the softmax of logits / T: of each image over the classes, and of each class
    over the images of the batch.

    Args:
        student_logits: float [B, C], with gradient.
        teacher_logits: float [B, C].
        labels: not looked at.
        temperature: T > 0.
        beta: the weight of the relation between classes.
        gamma: the weight of that within classes. In a batch of one nothing varies: the term is a constant.

    Returns:
        A scalar of the logits' dtype.
    """
    student, teacher = ((v / temperature).softmax(1) for v in (student_logits, teacher_logits))
    return beta * _distance(student, teacher) + gamma * _distance(student.t(), teacher.t())


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """1 - the correlation of float [N, K] row by row, averaged."""
    one, other = (values - values.mean(1, keepdim=True) for values in (one, other))
    norms: Tensor = one.norm(dim=1) * other.norm(dim=1)
    return 1 - ((one * other).sum(1) / (norms + SMALLEST)).mean()
