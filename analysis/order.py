"""In which order panels and teachers are shown: the sweep's where one is shown, else the paper's.

Data sets come first, then pairs; what an order does not know comes behind, as it stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.points import Panel


@dataclass(frozen=True)
class Order:
    """Data sets and pairs (`vgg13/vgg8`), as a sweep or the paper lists them."""

    datasets: tuple[str, ...]
    pairs: tuple[str, ...]

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


def arranged(panels: Sequence[Panel], order: Order) -> list[Panel]:
    """Panels in an order; those that it puts at one place stay as they stood."""
    return sorted(panels, key=lambda panel: order.of_pair(panel.dataset, panel.pair))


def _place(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else len(names)
