"""Families: augmentations that are variants of one idea, and what a coefficient is without them.

Three of the paper's nine are CutMix: itself, and two picks of its images. A coefficient that hangs on CutMix
hangs on three points, which leaving out one at a time does not show.

A sweep may name its families (`families: {mix: [mixup, cutmix]}`). A pick goes with the scheme whose images it
picks, unless it is named itself; what is in no named family is in that of its own scheme. So, unless told
otherwise, `cutmix`, `cutmixpick_s` and `cutmixpick_t` are the family `cutmix`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.coefficients import NAMES, Array, coefficients
from trainer.catalog import base_of

Naming = Mapping[str, Sequence[str]]
"""What one sweep calls families: their members by name."""

LEAST_POINTS = 3
"""A coefficient without a family is over so many points or more."""


@dataclass(frozen=True)
class Family:
    """Some augmentations that a coefficient is over, under a name."""

    name: str
    members: tuple[str, ...]


def families_of(augmentations: Sequence[str], namings: Iterable[Naming]) -> tuple[Family, ...]:
    """The families of two or more of some augmentations, in order; each set of members once.

    Args:
        augmentations: that a coefficient is over.
        namings: of each sweep that planned them; none where that is not known.
    """
    found: dict[tuple[str, ...], Family] = {}
    for naming in list(namings) or [{}]:
        named = {member: name for name, members in naming.items() for member in members}
        groups: dict[str, list[str]] = {}
        for augmentation in augmentations:
            base = base_of(augmentation)
            groups.setdefault(named.get(augmentation, named.get(base, base)), []).append(
                augmentation
            )
        for name, members in groups.items():
            if len(members) > 1:
                found.setdefault(tuple(members), Family(name, tuple(members)))
    return tuple(found.values())


def without_families(
    x: Array, y: Array, augmentations: Sequence[str], families: Sequence[Family]
) -> Array:
    """[F, 3] coefficients of x, y: [n] without each family; nan where fewer than three points are left."""
    without = np.full((len(families), len(NAMES)), np.nan)
    for i, family in enumerate(families):
        kept = [j for j, name in enumerate(augmentations) if name not in family.members]
        if len(kept) >= LEAST_POINTS:
            without[i] = coefficients(x[kept], y[kept])
    return without
