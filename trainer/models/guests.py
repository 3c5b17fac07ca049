"""Models that are not kdsweep's: of a file of one's own, of timm, of torchvision. Never pretrained.

A library's models get the image size where they take one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.catalog import library_of
from trainer.own_files import no_exit, registered
from trainer.problems import nearest
from trainer.torch_generators import torch_draws_from
from trainer.trial import GuestModel, OwnFile, digest

CPU = torch.device("cpu")


class NoSuchModelError(ValueError):
    """There is no such model, or what is made is none; says so of a name that stands before it."""


def make(
    name: str, file: OwnFile | None, num_classes: int, image_size: int, rng: np.random.Generator
) -> nn.Module:
    """The model of a file, or of the library that its name says; its weights follow from `rng` alone.

    Raises:
        NoSuchModelError: there is no such model, or what is made is none.
        Exception: whatever the code of others raises.
    """
    if file is not None:
        function = registered(file, "model", name)
        with no_exit(file, name), torch_draws_from(rng, CPU):
            return _checked(function(num_classes, image_size))
    library, _, architecture = name.partition(":")
    builders = {"timm": _of_timm, "torchvision": _of_torchvision}
    build, size = builders[library](architecture, num_classes)
    seed = int(rng.integers(2**63))
    try:
        with torch_draws_from(np.random.default_rng(seed), CPU):
            return _checked(build({size: image_size}))
    except TypeError:
        # It takes no size: torchvision and timm say so in no other way.
        with torch_draws_from(np.random.default_rng(seed), CPU):
            return _checked(build({}))


def build_guest(
    name: str, guest: GuestModel, num_classes: int, image_size: int, rng: np.random.Generator
) -> nn.Module:
    """As `make`, and it is the model that was planned.

    Raises:
        ValueError: it has other parameters here than where it was described.
    """
    model = make(name, guest.file, num_classes, image_size, rng)
    if shapes_of(model) != guest.description.shapes:
        where = guest.file.path if guest.file else f"the {library_of(name)} that is installed here"
        raise ValueError(f"{name} of {where} has other parameters than the one that was planned")
    return model


def shapes_of(model: nn.Module) -> str:
    """The digest of the names, shapes and dtypes in a model's state_dict, in their order."""
    return digest(
        [[name, list(value.shape), str(value.dtype)] for name, value in model.state_dict().items()]
    )


Build = Callable[[dict[str, Any]], object]


def _of_timm(architecture: str, num_classes: int) -> tuple[Build, str]:
    import timm

    if not timm.is_model(architecture):
        raise NoSuchModelError(f"is unknown to timm{_nearest(architecture, timm.list_models())}")

    def build(size: dict[str, Any]) -> object:
        return timm.create_model(architecture, pretrained=False, num_classes=num_classes, **size)

    return build, "img_size"


def _of_torchvision(architecture: str, num_classes: int) -> tuple[Build, str]:
    from torchvision import models

    names = models.list_models(module=models)
    if architecture not in names:
        raise NoSuchModelError(f"is unknown to torchvision{_nearest(architecture, names)}")

    def build(size: dict[str, Any]) -> object:
        return models.get_model(architecture, weights=None, num_classes=num_classes, **size)

    return build, "image_size"


def _nearest(name: str, names: list[str]) -> str:
    """Never all: a library has a thousand names."""
    near = nearest(name, names)
    return f"; did you mean {near!r}?" if near else ""


def _checked(made: object) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise NoSuchModelError(f"is a {type(made).__name__}, not a torch.nn.Module")
    return made
