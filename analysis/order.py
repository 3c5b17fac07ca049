"""In which order panels, teachers and augmentations are shown: the sweep's where one is shown, else the paper's.

Data sets come first, then pairs; what an order does not know comes behind, as it stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from analysis.points import Panel
from analysis.teachers import Measured
from trainer.catalog import AUGMENTATIONS


@dataclass(frozen=True)
class Order:
    """Data sets, pairs (`vgg13/vgg8`) and augmentations, as a sweep or the paper lists them."""

    datasets: tuple[str, ...]
    pairs: tuple[str, ...]
    augmentations: tuple[str, ...] = AUGMENTATIONS

    def of_pair(self, dataset: str, pair: str) -> tuple[int, int]:
        """A key by which pairs are sorted."""
        return _place(dataset, self.datasets), _place(pair, self.pairs)

    def of_teacher(self, dataset: str, teacher: str) -> tuple[int, int]:
        """A key by which teachers are sorted: where their first pair is."""
        teachers = [pair.partition("/")[0] for pair in self.pairs]
        return _place(dataset, self.datasets), _place(teacher, teachers)


PAPER = Order(
    ("cifar100", "tinyimagenet"),
    (
        *("vgg13/vgg8", "vgg13/MobileNetV2", "resnet56/resnet20", "resnet56/ShuffleV2"),
        *("wrn_40_2/wrn_16_2", "wrn_40_2/vgg8", "resnet32x4/resnet8x4"),
        *("resnet32x4/ShuffleV2", "ResNet50/vgg8"),
    ),
)


class Named(Protocol):
    """What a sweep calls a data set by."""

    @property
    def name(self) -> str: ...


class Listing(Protocol):
    """A sweep, as far as it lists."""

    @property
    def dataset(self) -> Sequence[Named]: ...
    @property
    def pairs(self) -> Sequence[object]: ...
    @property
    def augmentations(self) -> Sequence[str]: ...


def order_of(sweep: Listing) -> Order:
    """A sweep's order: in which it lists data sets, pairs and augmentations."""
    return Order(
        tuple(dataset.name for dataset in sweep.dataset),
        tuple(str(pair) for pair in sweep.pairs),
        tuple(sweep.augmentations),
    )


def arranged(panels: Sequence[Panel], order: Order) -> list[Panel]:
    """Panels in an order; those that it puts at one place stay as they stood."""
    there = sorted(panels, key=lambda panel: order.of_pair(panel.dataset, panel.pair))
    return [replace(panel, order=order.augmentations) for panel in there]


def arranged_teachers(teachers: Sequence[Measured], order: Order) -> list[Measured]:
    """The same of teachers."""
    there = sorted(teachers, key=lambda one: order.of_teacher(one.dataset, one.teacher))
    return [replace(teacher, order=order.augmentations) for teacher in there]


def _place(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else len(names)
