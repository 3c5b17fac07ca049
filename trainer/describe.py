"""`python -m trainer.describe`: build models that are not kdsweep's, try them, and say what they consist of.

It reads a JSON list of `Wanted` from its input and answers with one of `Answer`, in their order. It runs beside
whoever asks (`trainer.descriptions`): the code of others may end or hang its process, and torch takes seconds
to import.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trainer.descriptions import ANSWERS, WANTED, Answer, Wanted
from trainer.launches import Launches
from trainer.layout import laid_out, placed
from trainer.models.guests import CPU, NoSuchModelError, make, shapes_of
from trainer.problems import shortened
from trainer.torch_generators import torch_draws_from
from trainer.trial import Description, PassSize

BATCH = 4


class UnfitError(Exception):
    """A model with which no trial could be run; says why."""


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What the code of others raises, as one line."""
    try:
        yield
    except UnfitError:
        raise
    except NoSuchModelError as error:
        raise UnfitError(str(error)) from error
    except Exception as error:
        text = " ".join(str(error).split())
        raise UnfitError(shortened(f"{what}: {type(error).__name__}: {text}", 500)) from error


def describe(wanted: Wanted) -> Description:
    """Build a model and try all that a trial will do with it.

    Raises:
        UnfitError: it cannot be trained, or not so that its trials can be resumed and repeated bit for bit.
    """

    def build() -> nn.Module:
        rng = np.random.default_rng(0)
        model = make(wanted.name, wanted.file, wanted.num_classes, wanted.image_size, rng)
        return placed(model, CPU)

    with _told("cannot be built"):
        model, again = build(), build()
    _check_weights(model, again)
    shapes = shapes_of(model)
    images = laid_out(torch.from_numpy(_noise(2 * BATCH, wanted.image_size)))
    size = f"3x{wanted.image_size}x{wanted.image_size}"
    with _told(f"cannot take images of {size}"):
        _check_answers(model.eval(), images, wanted.num_classes)
        look = _size(images, lambda some: _looked(model, some))
    with _told(f"cannot learn from images of {size}"):
        _check_gradients(model.train(), images, wanted.num_classes)
        _check_state(model, again, images)
        training = _size(images, lambda some: _learnt(model, some))
        multiply_adds = _multiply_adds(model, images[:BATCH])
    return Description(
        parameters=sum(p.numel() for p in model.parameters()),
        tensors=sum(1 for _ in model.parameters()),
        multiply_adds=multiply_adds,
        look=look,
        training=training,
        shapes=shapes,
        needs_two_images=_needs_two_images(model, images),
    )


def _noise(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 3, size, size), dtype=np.float32)


def _check_weights(model: nn.Module, again: nn.Module) -> None:
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            what = f"{name} of its state_dict is a {type(value).__name__}"
            raise UnfitError(f"{what}; expected tensors alone, as a checkpoint holds them")
    if not any(True for _ in model.parameters()):
        raise UnfitError("has no parameters")
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise UnfitError(f"{name} is {parameter.dtype}; expected torch.float32")
        if not parameter.requires_grad:
            raise UnfitError(
                f"{name} takes no gradient; every parameter must, and a constant is a buffer"
            )
    if not _are_equal(model.state_dict(), again.state_dict()):
        raise UnfitError(
            "begins with other weights each time; expected them from torch's own generators"
        )


def _are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value.nan_to_num(), other[name].nan_to_num()) for name, value in one.items()
    )


def _check_answers(model: nn.Module, images: Tensor, num_classes: int) -> None:
    logits = _looked(model, images)
    _check_logits(logits, len(images), num_classes)
    if not torch.equal(logits, _looked(model, images)):
        raise UnfitError("answers otherwise each time, also in eval mode")


def _check_logits(logits: object, count: int, num_classes: int) -> None:
    wanted = f"expected torch.float32 [{count}, {num_classes}]"
    if not isinstance(logits, Tensor):
        raise UnfitError(f"answers with a {type(logits).__name__}; {wanted}")
    if logits.dtype != torch.float32 or logits.shape != (count, num_classes):
        raise UnfitError(f"answers with {logits.dtype} {list(logits.shape)}; {wanted}")


def _looked(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)  # type: ignore[no-any-return]


def _drawn(model: nn.Module, images: Tensor) -> Tensor:
    """A pass in training, with the same draws each time."""
    with torch_draws_from(np.random.default_rng(1), CPU):
        return model(images)  # type: ignore[no-any-return]


def _check_gradients(model: nn.Module, images: Tensor, num_classes: int) -> None:
    logits = _drawn(model, images)
    _check_logits(logits, len(images), num_classes)
    names, parameters = zip(*model.named_parameters(), strict=True)
    if not logits.requires_grad:
        raise UnfitError("no gradient comes out of it")
    gradients = torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            raise UnfitError(f"no gradient reaches {name}; every parameter must learn")


def _check_state(model: nn.Module, again: nn.Module, images: Tensor) -> None:
    """A trial is resumed with a fresh model that gets the state_dict: it must go on alike."""
    again.train().load_state_dict(model.state_dict())
    alike = torch.equal(_drawn(model, images), _drawn(again, images))
    if not (alike and _are_equal(model.state_dict(), again.state_dict())):
        raise UnfitError(
            "goes on otherwise after its state_dict was loaded into a fresh one: what it carries from step to "
            "step must be in its state_dict, and what it draws must come from torch's own generators"
        )


def _learnt(model: nn.Module, images: Tensor) -> None:
    logits = model(images)
    torch.autograd.grad(logits, list(model.parameters()), torch.ones_like(logits))


def _size(images: Tensor, act: Callable[[Tensor], object]) -> PassSize:
    """What is moved for each image is what twice as many images move more: weights are moved once."""
    with Launches() as few:
        act(images[:BATCH])
    with Launches() as many:
        act(images[: 2 * BATCH])
    return PassSize(launches=few.launches, floats=max(0, round((many.floats - few.floats) / BATCH)))


def _multiply_adds(model: nn.Module, images: Tensor) -> int:
    """Of one image in a forward pass: convolutions, linear layers and products of matrices.

    Counted in training: in eval mode, some of torch's layers are one operation of which nothing is counted.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(images)
    return int(counter.get_total_flops()) // (2 * len(images))


def _needs_two_images(model: nn.Module, images: Tensor) -> bool:
    try:
        _learnt(model, images[:1])
    except (RuntimeError, ValueError):
        return True
    return False


def _answer(wanted: Wanted) -> Answer:
    try:
        return Answer(description=describe(wanted))
    except UnfitError as error:
        return Answer(problem=str(error))


def main() -> None:
    """Answer what is asked on the standard input; whatever a model prints goes where errors go."""
    to_asker = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    answers = [_answer(wanted) for wanted in WANTED.validate_json(sys.stdin.buffer.read())]
    to_asker.write(ANSWERS.dump_json(answers))
    to_asker.close()


if __name__ == "__main__":
    main()
