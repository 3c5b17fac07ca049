"""What a planned study would show: power for its numbers of augmentations and seeds, and for others beside them.

    assumed = assumptions_of(panels)            # or stated: Assumptions(0.8, Noise(0.3, 0.3), "as stated")
    planned_power(assumed, n=9, num_seeds=3, num_tests=27)

The model, the test and what they take for granted are in `analysis.power`. From results, rho is Pearson's coefficient
without seed noise, r / sqrt(R_x R_y) (Spearman 1904), at most 1, and all three numbers are medians over panels. A
coefficient that was seen is a guess at the true one, and a high one where it is why the study goes on: state the
smallest that would matter, where there is one.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.attenuation import share_without_noise
from analysis.coefficients import NAMES, coefficients
from analysis.points import Panel
from analysis.power import LEVEL, MOST_AUGMENTATIONS, Noise, noise_of, power

SIZES = (9, 12, 20)
SEEDS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Assumptions:
    """What power rests on, and where it comes from."""

    rho: float
    """Pearson's correlation of T. stddev and S. test loss over augmentations, without seed noise."""
    noise: Noise
    source: str


@dataclass(frozen=True)
class Size:
    """Power of one size of study, by coefficient; above `MOST_AUGMENTATIONS` that of so many, which is less."""

    n: int
    num_seeds: int
    alone: dict[str, float]
    """The share of studies in which p is at most 5%."""
    after_holm: dict[str, float]
    """The same after Holm's procedure over all tests of the study: at least so much."""


@dataclass(frozen=True)
class PlannedPower:
    """A study's own size, and others beside it, by augmentations and seeds."""

    assumptions: Assumptions
    num_tests: int
    own: Size
    sizes: tuple[Size, ...]
    """The own one among them."""


def assumptions_of(panels: Sequence[Panel], source: str) -> Assumptions | None:
    """Medians over the panels that tell of noise; None where none does."""
    found: list[tuple[float, Noise]] = []
    for panel in panels:
        cells = panel.cells()
        columns = [x for _, x, _ in cells], [y for _, _, y in cells]
        shares = [share_without_noise(column) for column in columns]
        if len(cells) >= 3 and all(share > 0 for share in shares):
            r = abs(float(coefficients(*panel.coordinates())[0]))
            found.append((min(r / math.sqrt(math.prod(shares)), 1.0), noise_of(*columns)))
    if not found:
        return None
    return Assumptions(
        rho=statistics.median(rho for rho, _ in found),
        noise=Noise(
            statistics.median(noise.t_stddev for _, noise in found),
            statistics.median(noise.s_test_loss for _, noise in found),
        ),
        source=f"median of {len(found)} panels of {source}"
        if len(found) > 1
        else f"a panel of {source}",
    )


def planned_power(assumed: Assumptions, *, n: int, num_seeds: int, num_tests: int) -> PlannedPower:
    """Power of a study of n augmentations, some seeds and so many tests, and of other sizes with as many tests."""
    levels = (LEVEL, LEVEL / num_tests)
    all_seeds = sorted({*SEEDS, num_seeds})
    sizes = []
    seen = tuple(assumed.noise.seen(assumed.rho, seeds) for seeds in all_seeds)
    for size in sorted({*SIZES, n}):
        shares_found = power(min(size, MOST_AUGMENTATIONS), seen, levels)
        for seeds, (alone, after_holm) in zip(all_seeds, shares_found, strict=True):
            by_name = [
                {name: float(share) for name, share in zip(NAMES, shares, strict=True)}
                for shares in (alone, after_holm)
            ]
            sizes.append(Size(size, seeds, *by_name))
    own = next(s for s in sizes if (s.n, s.num_seeds) == (n, num_seeds))
    return PlannedPower(assumed, num_tests, own, tuple(sizes))
