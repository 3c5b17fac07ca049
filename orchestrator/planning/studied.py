"""What a sweep studies: over how many augmentations and seeds, in how many panels, its correlations are."""

from dataclasses import dataclass

from orchestrator.language.sweep import Sweep
from orchestrator.language.variations import Point
from trainer.problems import UserError

LEAST_AUGMENTATIONS = 3


@dataclass(frozen=True)
class Study:
    """The largest panel's augmentations and seeds, and how many panels have a correlation."""

    num_augmentations: int
    num_seeds: int
    num_panels: int


def study_of(sweep: Sweep) -> Study:
    """A panel per data set, pair and combination of the values of grid and search.

    Raises:
        UserError: there is no correlation to find.
    """
    if len(sweep.measure) < 2:
        raise UserError(
            f"{sweep.name}: measures {sweep.measure[0]} alone, so there is no correlation to find"
        )
    sizes = []
    for choice in sweep.dataset:
        for pair in sweep.pairs:
            wanted = [
                (augmentation, seed)
                for augmentation in sweep.augmentations
                for seed in sweep.seeds
                if sweep.wants(Point(choice.name, pair, augmentation, seed))
            ]
            sizes.append((len({a for a, _ in wanted}), len({seed for _, seed in wanted})))
    studied = [size for size in sizes if size[0] >= LEAST_AUGMENTATIONS]
    if not studied:
        raise UserError(
            f"{sweep.name}: a correlation needs {LEAST_AUGMENTATIONS} augmentations, and no pair has as many"
        )
    return Study(*max(studied), num_panels=len(studied) * sweep.num_variations)
