"""One step's images, and what the frozen teacher says of them: made once, shown to all who ask.

A *view* is a set of images with the teacher's logits for them. The views of a step are the original batch,
one per scheme, and the CutMix runs of the pool. Each is shown to the teacher once, as its own batch, so its
logits are the same bits whoever else is in the group; a pick gathers from the runs' logits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainer.augmentations import POOL_RUNS, SCHEMES, Batch, entropy, pick
from trainer.catalog import PICKS, STUDENT_PICK

Score = Callable[[Tensor], Tensor]
"""Maps float images [N, 3, S, S] to logits [N, C]."""

RandomStream = Callable[[str], np.random.Generator]
"""The generator of a scheme's decisions in this step."""


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


class StepViews:
    """The views of one step, made when first asked for."""

    def __init__(self, batch: Batch, teacher: FrozenTeacher, stream: RandomStream) -> None:
        self.batch = batch
        self._teacher = teacher
        self._stream = stream
        self._made: dict[str, View] = {}
        self._runs: tuple[View, ...] = ()

    @property
    def original(self) -> View:
        return self.mixed("identity")

    def mixed(self, scheme: str, pick_size: int = 0, student: Score | None = None) -> View:
        """The view of a scheme. A pick keeps `pick_size` images; cutmixpick_s asks `student` to score.

        Raises:
            ValueError: cutmixpick_s without a student.
        """
        if scheme in PICKS:
            return self._picked(scheme, pick_size, student)
        if scheme == "cutmix":
            return self._cutmix_runs(1)[0]
        if scheme not in self._made:
            rng = self._stream(scheme)
            decision = SCHEMES[scheme].draw(rng, len(self.batch), self.batch.image_size)
            self._made[scheme] = self._show(decision.apply(self.batch))
        return self._made[scheme]

    @torch.no_grad()
    def _picked(self, scheme: str, pick_size: int, student: Score | None) -> View:
        pool = self._pool()
        logits = pool.logits
        if scheme == STUDENT_PICK:
            if student is None:
                raise ValueError(f"{STUDENT_PICK} needs a student to score the pool")
            logits = student(pool.images)
        kept = pick(entropy(logits), pick_size)
        return View(_channels_last(pool.images[kept]), pool.logits[kept])

    def _show(self, images: Tensor) -> View:
        images = _channels_last(images)
        return View(images, self._teacher(images))

    def _cutmix_runs(self, count: int) -> tuple[View, ...]:
        """The first `count` CutMix runs; cutmix and both picks draw them from one common stream."""
        if len(self._runs) < count:
            rng = self._stream("cutmix")
            decisions = [
                SCHEMES["cutmix"].draw(rng, len(self.batch), self.batch.image_size)
                for _ in range(count)
            ]
            missing = decisions[len(self._runs) :]
            self._runs += tuple(self._show(run.apply(self.batch)) for run in missing)
        return self._runs

    def _pool(self) -> View:
        runs = self._cutmix_runs(POOL_RUNS)
        return View(*(torch.cat(parts) for parts in zip(*runs, strict=True)))
