"""One step's images, and what the frozen teacher says of them: made once, shown to all who ask.

A *view* is a set of images with the teacher's logits for them. The views of a step are the original batch
and the runs of each scheme: run 0 is the scheme itself, the further ones fill the pools that are picked
from. Each is shown to the teacher once, as its own batch, so its logits are the same bits whoever else is in
the group; a pick gathers from the runs' logits.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from trainer.augmentations import PER_IMAGE_SCHEMES, SCHEMES, Batch, pick
from trainer.augmentations.own import apply_own
from trainer.augmentations.picking import divergence, entropy
from trainer.catalog import Pick, base_of, pick_of
from trainer.trial import OwnScheme, Randomness, StddevTrial, StudentTrial

Score = Callable[[Tensor], Tensor]
"""Maps float images [N, 3, S, S] to logits [N, C]."""

RandomStream = Callable[[str], np.random.Generator]
"""The generator of a scheme's decisions in this step, by name."""


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


class FrozenTeacher:
    """A teacher in eval mode and without gradient, which counts its forward passes."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model.eval().requires_grad_(False)
        self.num_passes = 0

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        self.num_passes += 1
        return self._model(images)  # type: ignore[no-any-return]


class View(NamedTuple):
    """`images` float32 [N, 3, S, S] and the teacher's `logits` float32 [N, C] for them."""

    images: Tensor
    logits: Tensor


class BaseScheme(NamedTuple):
    """A scheme that makes images, and how it draws."""

    name: str
    randomness: Randomness = "batch"
    own: OwnScheme | None = None

    @classmethod
    def of(cls, trial: StudentTrial | StddevTrial) -> Self:
        name = base_of(trial.augmentation)
        draws_per_image = trial.randomness == "sample" and name in PER_IMAGE_SCHEMES
        return cls(name, "sample" if draws_per_image else "batch", trial.own_scheme)

    @property
    def stream(self) -> str:
        """The name of its random stream."""
        return self.name if self.randomness == "batch" else f"{self.name} per image"


IDENTITY = BaseScheme("identity")


class StepViews:
    """The views of one step, made when first asked for."""

    def __init__(self, batch: Batch, teacher: FrozenTeacher, stream: RandomStream) -> None:
        self.batch = batch
        self._teacher = teacher
        self._stream = stream
        self._streams: dict[BaseScheme, np.random.Generator] = {}
        self._made: dict[BaseScheme, list[View]] = {}

    @property
    def original(self) -> View:
        return self.runs(IDENTITY, 1)[0]

    def mixed(self, trial: StudentTrial | StddevTrial, student: Score | None = None) -> View:
        """What a trial's scheme makes of the batch; `student` scores the picks that need one.

        Raises:
            ValueError: such a pick without a student, or a scheme of one's own that makes no images.
        """
        base, pick = BaseScheme.of(trial), pick_of(trial.augmentation)
        if pick is None:
            return self.runs(base, 1)[0]
        return self._picked(base, pick, trial, student)

    @torch.no_grad()
    def _picked(
        self,
        base: BaseScheme,
        how: Pick,
        trial: StudentTrial | StddevTrial,
        student: Score | None,
    ) -> View:
        runs = self.runs(base, how.runs)
        pool = View(*(torch.cat(parts) for parts in zip(*runs, strict=True)))
        scores = self._scores(pool, how, trial.temperature, student)
        kept = pick(scores, trial.pick_size)
        return View(_channels_last(pool.images[kept]), pool.logits[kept])

    def _scores(self, pool: View, how: Pick, temperature: float, student: Score | None) -> Tensor:
        if not how.needs_student:
            return entropy(pool.logits)
        if student is None:
            raise ValueError(f"{how.name} needs a student to score the pool")
        # In the mode it is in, as in the paper's code: in training its batch norm sees the pool.
        logits = student(pool.images)
        if how.criterion == "kld":
            return divergence(logits, pool.logits, temperature)
        return entropy(logits)

    def runs(self, base: BaseScheme, count: int) -> list[View]:
        """The first `count` runs of a scheme; the schemes and all picks of it share them.

        Where one fails, all are forgotten: what it drew must not be missing when the next member asks.
        """
        views = self._made.setdefault(base, [])
        try:
            while len(views) < count:
                images = _channels_last(self._apply(base))
                views.append(View(images, self._teacher(images)))
        except Exception:
            del self._made[base]
            self._streams.pop(base, None)
            raise
        return views[:count]

    def _apply(self, base: BaseScheme) -> Tensor:
        """The next run: every run draws on from where the one before stopped."""
        if base not in self._streams:
            self._streams[base] = self._stream(base.stream)
        rng, batch = self._streams[base], self.batch
        if base.own is not None:
            return apply_own(base.own, base.name, batch.images, rng)
        schemes = PER_IMAGE_SCHEMES if base.randomness == "sample" else SCHEMES
        return schemes[base.name].draw(rng, len(batch), batch.image_size).apply(batch)
