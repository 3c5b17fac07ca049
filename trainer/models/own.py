"""Architectures of a researcher's own: one Python file with registered functions.

    from torch import nn
    from trainer.models.own import register

    @register("tiny_net")
    def tiny_net(num_classes, image_size):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, num_classes))

The function returns a module that maps float32 images [B, 3, image_size, image_size] to logits
[B, num_classes]. Weights and dropout are drawn from torch's own generators alone, which stand at an address of
the trial's whenever it draws; whatever it carries from step to step is in its `state_dict`. So trials can be
resumed and repeated bit for bit. The file's hash is part of the trial's identity: it stands alone.
"""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from trainer.own_files import registrar

Builder = TypeVar("Builder", bound=Callable[[int, int], nn.Module])


def register(name: str) -> Callable[[Builder], Builder]:
    """Name a function of one's own, as the sweep's `pairs` will."""
    return registrar("model")(name)
