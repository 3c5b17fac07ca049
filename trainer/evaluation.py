"""The test of a model: its loss and accuracy over the whole, un-augmented test set."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from trainer.augmentations import Palette
from trainer.datasets.dataset import Part
from trainer.precision import forward_in

BATCH_SIZE = 500


class Score(NamedTuple):
    """Mean cross-entropy (T = 1, natural logarithm) and share of images that are classified right."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(model: nn.Module, test: Part, palette: Palette) -> Score:
    """Exact means over all test images, in eval mode; the model is left in the mode it was in.

    Batches of 500; sums in float64 (PAPER.md, section 6).
    """
    was_training = model.training
    model.eval()
    loss = torch.zeros((), dtype=torch.float64, device=test.images.device)
    correct = torch.zeros((), dtype=torch.int64, device=test.images.device)
    for images, labels in zip(
        torch.split(test.images, BATCH_SIZE), torch.split(test.labels, BATCH_SIZE), strict=True
    ):
        with forward_in("fp32", images.device):
            logits = model(palette.normalise(images))
        loss += F.cross_entropy(logits.double(), labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    model.train(was_training)
    count = len(test.labels)
    return Score(loss.item() / count, correct.item() / count)
