"""How augmentations look, in every plot: a colour and a shape each, so that neither alone is needed."""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.points import in_order
from trainer.catalog import AUGMENTATIONS

COLOURS = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#B8A800"),
    *("#0072B2", "#D55E00", "#CC79A7", "#7A3E9D"),
)
"""Okabe & Ito's palette for the colour-blind (its yellow darkened), and one more."""

ON_DARK = {
    "#000000": "#F2F2F2",
    "#0072B2": "#5AB4F0",
    "#D55E00": "#FF7F2A",
    "#7A3E9D": "#BE8CE6",
    "#5F6B6D": "#A9B5B7",
    "#8C510A": "#C98A3E",
    "#B2182B": "#F0566A",
    "#762A83": "#B06FBF",
    "#2166AC": "#6FA8E8",
}
"""What takes the place of colours that a dark ground would swallow."""

MORE_COLOURS = ("#5F6B6D", "#8C510A", "#35978F", "#B2182B", "#4D9221", "#762A83", "#2166AC")
"""For augmentations beyond the nine."""

SHAPES = (
    *("circle", "square", "up", "down", "diamond", "plus", "cross", "star", "hexagon"),
    *("left", "right", "pentagon"),
)


@dataclass(frozen=True)
class Mark:
    colour: str
    shape: str

    @property
    def on_dark(self) -> str:
        return ON_DARK.get(self.colour, self.colour)


def marks(augmentations: Iterable[str]) -> dict[str, Mark]:
    """A mark for each augmentation, as they were given.

    The nine always look the same; others go on from there by name, in whatever order they are shown.
    """
    given = list(dict.fromkeys(augmentations))
    own = [name for name in in_order(given) if name not in AUGMENTATIONS]
    return {name: _of_own(own.index(name)) if name in own else _of_nine(name) for name in given}


def _of_nine(name: str) -> Mark:
    place = AUGMENTATIONS.index(name)
    return Mark(COLOURS[place], SHAPES[place])


def _of_own(place: int) -> Mark:
    # Nine on: unused shapes come first. Seven colours and twelve shapes have no common factor.
    shape = SHAPES[(len(AUGMENTATIONS) + place) % len(SHAPES)]
    return Mark(MORE_COLOURS[place % len(MORE_COLOURS)], shape)
