"""How often 95% intervals hold what they are said to hold, at n = 9 augmentations.

Over augmentations: percentile against BCa, and the true coefficient of the bivariate normal distribution that
the points were drawn from.
Over seeds: nine fixed points of such a distribution are seen through the noise of S seeds. Three things that
one might take the interval for are counted: the coefficient that studies with S seeds of their own have on
average, that of one such study, and that of the points without noise, which noise attenuates.
Run: python benchmarks/interval_coverage.py
"""

import argparse

import numpy as np

from analysis.bootstrap import Bootstrap, Interval, bca_interval, percentile_interval
from analysis.coefficients import NAMES, Array, coefficients, leave_one_out

OTHER_STUDIES = 400
SETTINGS_OF_SEEDS = ((0.5, 0.1, 3), (0.5, 0.3, 3), (0.9, 0.1, 3), (0.9, 0.3, 3), (0.9, 0.3, 10))
"""True Pearson of the distribution, noise of one seed in standard deviations over augmentations, seeds."""


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


def over_seeds(bootstrap: Bootstrap, n: int, repeats: int) -> None:
    for rho, noise, num_seeds in SETTINGS_OF_SEEDS:
        generator = np.random.default_rng(1)
        wanted = ("mean over studies", "one other study", "without noise")
        held = {name: np.zeros(len(NAMES)) for name in wanted}
        for repeat in range(repeats):
            points = normal_points(rho, (n,), generator)
            seen = points[..., None] + noise * generator.standard_normal((2, n, num_seeds))
            x, y = (
                [bootstrap.of_cell(seen[k, i], f"{repeat} {k} {i}") for i in range(n)]
                for k in range(2)
            )
            draws = coefficients(np.stack(x, axis=1), np.stack(y, axis=1))
            spread = noise / np.sqrt(num_seeds)
            others = points[:, None] + spread * generator.standard_normal((2, OTHER_STUDIES, n))
            studies = coefficients(*others)
            for k in range(len(NAMES)):
                interval = percentile_interval(draws[:, k])
                truths = (studies[:, k].mean(), studies[0, k], coefficients(*points)[k])
                for name, truth in zip(wanted, truths, strict=True):
                    held[name][k] += holds(interval, truth)
        _tell(f"over {num_seeds} seeds, rho {rho}, noise {noise}", held, repeats)


def _tell(setting: str, held: dict[str, Array], repeats: int) -> None:
    for name, count in held.items():
        shares = zip(NAMES, count / repeats, strict=True)
        print(f"{setting:36} {name:18}", *(f"{c} {share:.3f}" for c, share in shares), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--n", type=int, default=9)
    options = parser.parse_args()
    bootstrap = Bootstrap(options.samples)
    print(f"n = {options.n}, {options.repeats} repeats of {options.samples} bootstrap samples")
    over_augmentations(bootstrap, options.n, options.repeats)
    over_seeds(bootstrap, options.n, options.repeats)


if __name__ == "__main__":
    main()
