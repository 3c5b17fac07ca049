"""Two methods of one's own, for examples/own_method.yaml."""

import torch.nn.functional as F
from torch import Tensor

from trainer.methods import register


@register("distance")
def distance(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,  # noqa: ARG001 - every method has it
    temperature: float,
    *,
    power: float = 2.0,
) -> Tensor:
    """How far apart the logits are, divided by the temperature."""
    apart = (student_logits - teacher_logits).abs() / temperature
    return apart.pow(power).mean()


@register("attentive")
def attentive(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,
    temperature: float,
    *,
    trust: float = 0.5,
) -> Tensor:
    """KD in which images that the teacher gets wrong weigh less; mixed images, without labels, weigh alike."""
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    if labels is not None:
        is_right = teacher_logits.argmax(1) == labels
        divergence = divergence * (trust + (1 - trust) * is_right)
    return divergence.mean() * temperature**2
