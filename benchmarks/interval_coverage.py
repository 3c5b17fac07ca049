"""How often 95% intervals hold what they are said to hold, at n = 9 augmentations.

Over augmentations: percentile against BCa, of which Pearson's is used (for ranks: `rank_interval_coverage.py`), and the true coefficient of the bivariate normal distribution that
the points were drawn from.
Over seeds: panels of nine fixed points of such a distribution are seen through the noise of three seeds, which
shift all points of a panel besides, and pooled. Three things that one might take the interval for are counted:
the coefficient that studies with three seeds of their own have on average, that of one such study, and that of
the points without noise, which noise attenuates. Percentiles alone stand beside, to show what they miss.
Run: python benchmarks/interval_coverage.py
"""

import argparse

import numpy as np

from analysis.bootstrap import Bootstrap, Interval, bca_interval, hull_interval
from analysis.coefficients import NAMES, Array, coefficients, leave_one_out
from analysis.points import Mean
from analysis.pooling import panel_draws

OTHER_STUDIES = 400
NUM_SEEDS = 3
SHIFT = 0.3
"""Of a seed for all augmentations, in standard deviations over augmentations."""

SETTINGS_OF_SEEDS = tuple(
    (panels, 0.9, noise) for panels in (1, 10, 20) for noise in (0.05, 0.15, 0.3)
)
"""Panels pooled, true Pearson of each, noise of one seed in standard deviations over augmentations."""


def normal_points(rho: float, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """[2, *shape] x and y of correlation rho."""
    x, noise = generator.standard_normal((2, *shape))
    return np.stack([x, rho * x + np.sqrt(1 - rho**2) * noise])


def holds(interval: Interval, value: float) -> bool:
    """An undefined interval excludes nothing; an end holds itself, but for rounding."""
    return not (value < interval.low - 1e-12 or value > interval.high + 1e-12)


def over_augmentations(bootstrap: Bootstrap, n: int, repeats: int) -> None:
    chosen = bootstrap.of_points(n)
    for rho in (0.0, 0.5, 0.9, 0.97):
        generator = np.random.default_rng(1)
        true = coefficients(*normal_points(rho, (50_000, n), generator)).mean(0)
        true[0] = rho
        held = {"percentile": np.zeros(len(NAMES)), "BCa": np.zeros(len(NAMES))}
        for _ in range(repeats):
            x, y = normal_points(rho, (n,), generator)
            value, left_out = coefficients(x, y), leave_one_out(x, y)
            draws = coefficients(x[chosen], y[chosen])
            for k in range(len(NAMES)):
                intervals = {
                    "percentile": percentile_interval(draws[:, k]),
                    "BCa": bca_interval(draws[:, k], float(value[k]), left_out[:, k]),
                }
                for name, interval in intervals.items():
                    held[name][k] += holds(interval, true[k])
        _tell(f"over augmentations, rho {rho}", held, repeats)


def percentile_interval(draws: Array) -> Interval:
    """The middle 95%."""
    return Interval(*map(float, np.quantile(draws[np.isfinite(draws)], (0.025, 0.975))))


def _cells(values: Array, address: str) -> tuple[Mean, ...]:
    """Cells of values [n, seeds]."""
    return tuple(
        Mean(
            mean=float(of_cell.mean()),
            std=float(of_cell.std(ddof=1)),
            seeds=tuple(range(len(of_cell))),
            values=tuple(map(float, of_cell)),
            fingerprints=(f"{address} {i}",),
        )
        for i, of_cell in enumerate(values)
    )


def over_seeds(bootstrap: Bootstrap, n: int, repeats: int) -> None:
    spread = np.sqrt(1 / NUM_SEEDS)
    for num_panels, rho, noise in SETTINGS_OF_SEEDS:
        generator = np.random.default_rng(1)
        wanted = ("mean over studies", "the same, percentiles", "one other study", "without noise")
        held = {name: np.zeros(len(NAMES)) for name in wanted}
        for repeat in range(repeats):
            draws = np.zeros((bootstrap.num_samples, len(NAMES)))
            estimate, others, true = np.zeros((3, OTHER_STUDIES, len(NAMES)))
            for panel in range(num_panels):
                points = normal_points(rho, (n,), generator)
                shape = (2, n, NUM_SEEDS)
                seen = points[..., None] + noise * generator.standard_normal(shape)
                seen += SHIFT * generator.standard_normal((2, 1, NUM_SEEDS))
                x, y = (_cells(seen[k], f"{repeat} {panel} {k}") for k in range(2))
                of_seeds, _ = panel_draws(x, y, bootstrap)
                studies = noise * spread * generator.standard_normal((2, OTHER_STUDIES, n))
                draws += of_seeds / num_panels
                estimate += coefficients(*seen.mean(axis=-1)) / num_panels
                others += coefficients(*(points[:, None] + studies)) / num_panels
                true += coefficients(*points) / num_panels
            for k in range(len(NAMES)):
                interval = hull_interval(draws[:, k], float(estimate[0, k]))
                told = (others[:, k].mean(), others[0, k], true[0, k])
                held["mean over studies"][k] += holds(interval, told[0])
                held["the same, percentiles"][k] += holds(percentile_interval(draws[:, k]), told[0])
                held["one other study"][k] += holds(interval, told[1])
                held["without noise"][k] += holds(interval, told[2])
        _tell(f"over seeds, {num_panels} panels, rho {rho}, noise {noise}", held, repeats)


def _tell(setting: str, held: dict[str, Array], repeats: int) -> None:
    for name, count in held.items():
        shares = zip(NAMES, count / repeats, strict=True)
        print(f"{setting:42} {name:22}", *(f"{c} {share:.3f}" for c, share in shares), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--n", type=int, default=9)
    options = parser.parse_args()
    bootstrap = Bootstrap(options.samples)
    print(f"n = {options.n}, {options.repeats} repeats of {options.samples} bootstrap samples")
    over_augmentations(bootstrap, options.n, options.repeats)
    over_seeds(bootstrap, options.n, options.repeats // 4)


if __name__ == "__main__":
    main()
