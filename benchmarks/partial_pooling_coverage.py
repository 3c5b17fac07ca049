"""How often intervals of partial pooling hold what they are to hold: the mean over teachers, and a new teacher.

Teachers of two pairs each are drawn with nine points of a bivariate normal distribution. Their points share a part of
their variance, since the augmentations are the same; it is drawn anew in each repeat and is then the same for all
teachers, new ones too. All is seen through the noise of three seeds; T. stddev is a teacher's own. A teacher's true
coefficient is its mean over studies with as many seeds. Beside the mean of `analysis.partial_pooling` stands Student's
t on the coefficients themselves (`over teachers`, `analysis.pooling`); below, the two intervals of the slope within
teachers (`analysis.within_teachers`): whether augmentations are fixed or redrawn with all teachers.
Run: OMP_NUM_THREADS=1 python benchmarks/partial_pooling_coverage.py
"""

import argparse

import numpy as np

from analysis.bootstrap import Bootstrap, Interval
from analysis.coefficients import NAMES, Array, coefficients
from analysis.partial_pooling import hierarchy
from analysis.pooling import t_interval
from analysis.within_teachers import repeated_measures, within_teachers

N, NUM_SEEDS, PAIRS = 9, 3, 2
SIZES = (3, 5, 10)
SETTINGS = ((0.0, 0.9, 0.15), (0.7, 0.9, 0.3), (0.7, 0.97, 0.15), (0.7, 0.6, 0.15))
"""Share of the variance that teachers have in common, true Pearson, noise of one seed."""

NEW_TEACHERS, STUDIES, DRAWS = 60, 25, 200


def teachers(
    num: int, shared: float, rho: float, common: Array, generator: np.random.Generator
) -> tuple[Array, Array]:
    """T. stddev and loss [num, PAIRS, N], given what is common [2, N]."""
    own_x = generator.standard_normal((num, 1, N))
    own_e = generator.standard_normal((num, PAIRS, N))
    x, e = (
        np.sqrt(shared) * c + np.sqrt(1 - shared) * own
        for c, own in zip(common, (own_x, own_e), strict=True)
    )
    x = np.broadcast_to(x, e.shape)
    return x, rho * x + np.sqrt(1 - rho**2) * e


def seen(
    x: Array, y: Array, noise: float, num: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """The same [num, T, PAIRS, N] with noise, of T. stddev alike for a teacher's pairs."""
    of_x = generator.standard_normal((num, len(x), 1, N))
    return x + noise * of_x, y + noise * generator.standard_normal((num, *y.shape))


def of_teachers(x: Array, y: Array) -> Array:
    """[..., T, 3] coefficients."""
    return np.asarray(coefficients(x, y).mean(-2))


def study(
    size: int, setting: tuple[float, float, float], generator: np.random.Generator
) -> dict[str, tuple[list[float], list[float]]]:
    """By what is told: how often it holds, and how wide it is, for each coefficient."""
    shared, rho, of_seed = setting
    noise = of_seed / np.sqrt(NUM_SEEDS)
    common = generator.standard_normal((2, N))
    new = teachers(NEW_TEACHERS, shared, rho, common, generator)
    true = of_teachers(*seen(*new, noise, STUDIES, generator)).mean(0)
    x, y = (
        a[0] for a in seen(*teachers(size, shared, rho, common, generator), noise, 1, generator)
    )
    value = of_teachers(x, y)
    draws = of_teachers(*seen(x, y, noise, DRAWS, generator))
    told: dict[str, tuple[list[float], list[float]]] = {}
    for k, name in enumerate(NAMES):
        found = hierarchy(name, value[:, k], draws[..., k])
        for what, interval, targets in (
            ("mean", found.over_units, true[:, k].mean(keepdims=True)),
            ("mean, over teachers", t_interval(value[:, k]), true[:, k].mean(keepdims=True)),
            ("next teacher", found.next_unit, true[:, k]),
        ):
            held, widths = told.setdefault(what, ([], []))
            held.append(share_held(interval, targets))
            widths.append(interval.high - interval.low)
    return told


def share_held(interval: Interval, targets: Array) -> float:
    return float(((targets >= interval.low - 1e-9) & (targets <= interval.high + 1e-9)).mean())


def study_of_slopes(
    size: int, setting: tuple[float, float, float], generator: np.random.Generator
) -> dict[str, tuple[list[float], list[float]]]:
    shared, rho, of_seed = setting
    noise = of_seed / np.sqrt(NUM_SEEDS)
    common = generator.standard_normal((2, N))
    others = [
        [a.mean(-2) for a in seen(*teachers(200, shared, rho, c, generator), noise, 1, generator)]
        for c in (common, *generator.standard_normal((100, 2, N)))
    ]
    these, *redrawn = (float(repeated_measures(x[0], y[0])) for x, y in others)
    x, y = (
        a[0].mean(1)
        for a in seen(*teachers(size, shared, rho, common, generator), noise, 1, generator)
    )
    found = within_teachers(x, y, Bootstrap(1000))
    targets = {"augmentations fixed": these, "augmentations redrawn": float(np.mean(redrawn))}
    intervals = {"by freedom": found.by_freedom, "over augmentations": found.over_augmentations}
    return {
        f"slope {how}, {what}": ([share_held(i, np.array([target]))], [i.high - i.low])
        for how, i in intervals.items()
        for what, target in targets.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    for setting in SETTINGS:
        for size in SIZES:
            shared, rho, noise = setting
            print(
                f"{size} teachers, shared {shared}, rho {rho}, noise {noise} (Pearson / Spearman / Kendall)"
            )
            for one in (study, study_of_slopes):
                generator = np.random.default_rng(1)
                results = [one(size, setting, generator) for _ in range(options.repeats)]
                for what in results[0]:
                    held, widths = np.mean([result[what] for result in results], axis=0)
                    print(
                        f"  {what:48}",
                        " / ".join(f"{h:.0%}" for h in held),
                        " width",
                        " / ".join(f"{w:.2f}" for w in widths),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
