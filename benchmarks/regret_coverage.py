"""How often the 95% intervals of regret hold what they are said to hold, and how far off the estimates are.

Studies of nine augmentations are seen through the noise of three seeds, which shift all points of a panel besides,
and pooled. The true regret of the choice that a study makes is known; so is the mean of it over other studies.
What the loss of the choice is, and how the best losses lie, differs by shape:

    clear: T. stddev orders as loss does; the losses are evenly spaced over two units
    blind: T. stddev has nothing to do with loss
    ties: the choice loses 0.5 against four that are equally good
    all alike: all losses are equal, so that every choice is the best

Run: python benchmarks/regret_coverage.py
"""

import argparse

import numpy as np

from analysis.bootstrap import Bootstrap
from analysis.coefficients import Array
from analysis.points import Mean
from analysis.redraws import Cells
from analysis.regret import Estimated, pooled_regret

NAMES = ("identity", *(f"a{i}" for i in range(8)))
NUM_SEEDS = 3
SHIFT = 0.3
"""Of a seed for all augmentations, as the noise is: in units of which the losses span about two."""


def points(shape: str, generator: np.random.Generator) -> tuple[Array, Array]:
    """[2, 9] T. stddev and S. test loss without noise."""
    x = np.linspace(1, -1, len(NAMES))
    if shape == "clear":
        return x, x.copy()
    if shape == "blind":
        return x, generator.permutation(x)
    if shape == "ties":
        return x, np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5])
    return x, np.zeros(len(NAMES))


def cells(values: Array, address: str) -> Cells:
    """Cells of values [9, seeds]."""
    seeds = tuple(range(NUM_SEEDS))
    return tuple(
        Mean(
            float(v.mean()), float(v.std(ddof=1)), seeds, tuple(map(float, v)), (f"{address} {i}",)
        )
        for i, v in enumerate(values)
    )


def coverage(shape: str, num_panels: int, noise: float, repeats: int, bootstrap: Bootstrap) -> None:
    generator = np.random.default_rng(1)
    weights = [1 / num_panels] * num_panels
    told: dict[str, list[tuple[float, Estimated]]] = {"choice": [], "random": [], "share": []}
    for repeat in range(repeats):
        seen, true = [], []
        for panel in range(num_panels):
            x, y = points(shape, generator)
            values = np.stack([x, y])[..., None] + noise * generator.standard_normal(
                (2, len(NAMES), NUM_SEEDS)
            )
            values += SHIFT * generator.standard_normal((2, 1, NUM_SEEDS))
            seen.append(
                (cells(values[0], f"{repeat} {panel} x"), cells(values[1], f"{repeat} {panel} y"))
            )
            chosen = values[0].mean(-1).argmin()
            true.append((y[chosen] - y.min(), y.mean() - y.min()))
        found = pooled_regret(weights, NAMES, seen, bootstrap)
        assert found is not None
        lost, chance = np.array(true).T
        told["choice"].append((float(lost.mean()), found.choice))
        told["random"].append((float(chance.mean()), found.random))
        if chance.all():
            told["share"].append((float((lost / chance).mean()), found.share))
    for name, pairs in told.items():
        if pairs:
            _tell(f"{shape}, {num_panels} panels, noise {noise}: {name}", pairs)


def _tell(setting: str, pairs: list[tuple[float, Estimated]]) -> None:
    true = np.array([truth for truth, _ in pairs])
    value = np.array([e.value for _, e in pairs])
    low = np.array([e.over_seeds.low for _, e in pairs])
    high = np.array([e.over_seeds.high for _, e in pairs])
    held = ((low <= true + 1e-12) & (true - 1e-12 <= high)).mean()
    print(
        f"{setting:45} holds {held:6.1%}, above {(true < low - 1e-12).mean():5.1%}, "
        f"below {(true > high + 1e-12).mean():5.1%}; "
        f"truth {true.mean():.3f}, estimate {value.mean():.3f}, {low.mean():.3f} to {high.mean():.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    for shape in ("clear", "blind", "ties", "all alike"):
        for num_panels in (1, 10):
            for noise in (0.05, 0.15, 0.3):
                repeats = options.repeats if num_panels == 1 else options.repeats // 2
                coverage(shape, num_panels, noise, repeats, Bootstrap(options.samples))


if __name__ == "__main__":
    main()
