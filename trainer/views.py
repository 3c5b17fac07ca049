"""One step's images, and what the frozen teacher says of them: made once, shown to all who ask.

A *view* is a set of images with the teacher's logits for them. The views of a step are the original batch
and the runs of each scheme: run 0 is the scheme itself, the further ones fill the pools that are picked
from. Each is shown to the teacher once, as its own batch, so its logits are the same bits whoever else is in
the group; a pick gathers from the runs' logits.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from trainer.augmentations import PER_IMAGE_SCHEMES, SCHEMES, Batch, pick
from trainer.augmentations.own import apply_own
from trainer.augmentations.picking import divergence, entropy
from trainer.catalog import Pick, base_of, pick_of
from trainer.frozen import FrozenModel
from trainer.layout import laid_out
from trainer.trial import AugmentedTrial, OwnFile, Randomness

Score = Callable[[Tensor], Tensor]
"""Maps float images [N, 3, S, S] to logits [N, C]."""

RandomStream = Callable[[str], np.random.Generator]
"""The generator of a scheme's decisions in this step, by name."""


class View(NamedTuple):
    """`images` float32 [N, 3, S, S] and the teacher's `logits` float32 [N, C] for them."""

    images: Tensor
    logits: Tensor


class BaseScheme(NamedTuple):
    """A scheme that makes images, and how it draws."""

    name: str
    randomness: Randomness = "batch"
    own: OwnFile | None = None

    @classmethod
    def of(cls, trial: AugmentedTrial) -> Self:
        name = base_of(trial.augmentation)
        draws_per_image = trial.randomness == "sample" and name in PER_IMAGE_SCHEMES
        return cls(name, "sample" if draws_per_image else "batch", trial.own_scheme)

    @property
    def stream(self) -> str:
        """The name of its random stream."""
        return self.name if self.randomness == "batch" else f"{self.name} per image"


IDENTITY = BaseScheme("identity")


def _needed(trial: AugmentedTrial) -> tuple[BaseScheme, int]:
    """The scheme that makes a trial's images, and how many runs of it they are made of."""
    pick = pick_of(trial.augmentation)
    return BaseScheme.of(trial), 1 if pick is None else pick.runs


def mixed_of(runs: Sequence[View], trial: AugmentedTrial, student: Score | None = None) -> View:
    """What a trial's scheme makes of its runs: the only one, or what is picked of all; on tensors alone.

    Args:
        runs: as many as the scheme needs.
        student: scores the picks that need one.

    Raises:
        ValueError: such a pick without a student.
    """
    how = pick_of(trial.augmentation)
    if how is None:
        return runs[0]
    with torch.no_grad():
        pool = View(*(torch.cat(parts) for parts in zip(*runs, strict=True)))
        kept = pick(_scores(pool, how, trial.temperature, student), trial.pick_size)
        return View(laid_out(pool.images[kept]), pool.logits[kept])


def _scores(pool: View, how: Pick, temperature: float, student: Score | None) -> Tensor:
    if not how.needs_student:
        return entropy(pool.logits)
    if student is None:
        raise ValueError(f"{how.name} needs a student to score the pool")
    # In the mode it is in, as in the paper's code: in training its batch norm sees the pool.
    logits = student(pool.images)
    if how.criterion == "kld":
        return divergence(logits, pool.logits, temperature)
    return entropy(logits)


class StepViews:
    """The views of one step, made when first asked for."""

    def __init__(self, batch: Batch, teacher: FrozenModel, stream: RandomStream) -> None:
        self.batch = batch
        self.stream = stream
        self._teacher = teacher
        self._streams: dict[BaseScheme, np.random.Generator] = {}
        self._made: dict[BaseScheme, list[View]] = {}

    def begin(self, trial: AugmentedTrial | None) -> None:
        """Make the original and what a trial will ask for, so that the teacher's passes can run side by side."""
        self._runs(IDENTITY, 1)
        if trial is not None:
            self._runs(*_needed(trial))

    @property
    def original(self) -> View:
        return self.runs(IDENTITY, 1)[0]

    def material(self, trial: AugmentedTrial) -> list[View]:
        """The runs that a trial's images are made of."""
        return self.runs(*_needed(trial))

    def mixed(self, trial: AugmentedTrial, student: Score | None = None) -> View:
        """What a trial's scheme makes of the batch (`mixed_of`)."""
        return mixed_of(self.material(trial), trial, student)

    def runs(self, base: BaseScheme, count: int) -> list[View]:
        """The first `count` runs of a scheme; the schemes and all picks of it share them."""
        views = self._runs(base, count)
        self._teacher.settle()
        return views

    def _runs(self, base: BaseScheme, count: int) -> list[View]:
        """Where one fails, all are forgotten: what it drew must not be missing when the next member asks."""
        views = self._made.setdefault(base, [])
        try:
            while len(views) < count:
                images = laid_out(self._apply(base))
                views.append(View(images, self._teacher.begin(images)))
        except Exception:
            del self._made[base]
            self._streams.pop(base, None)
            raise
        return views[:count]

    def _apply(self, base: BaseScheme) -> Tensor:
        """The next run: every run draws on from where the one before stopped."""
        if base not in self._streams:
            self._streams[base] = self.stream(base.stream)
        rng, batch = self._streams[base], self.batch
        if base.own is not None:
            return apply_own(base.own, base.name, batch.images, rng)
        schemes = PER_IMAGE_SCHEMES if base.randomness == "sample" else SCHEMES
        return schemes[base.name].draw(rng, len(batch), batch.image_size).apply(batch)
