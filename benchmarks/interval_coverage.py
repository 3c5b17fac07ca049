"""How often 95% intervals over augmentations hold the true coefficient at n = 9: percentile against BCa.

Points are drawn from a bivariate normal distribution. Run: python benchmarks/interval_coverage.py
"""

import argparse

import numpy as np

from analysis.bootstrap import Bootstrap, bca_interval, percentile_interval
from analysis.coefficients import NAMES, Array, coefficients, leave_one_out


def normal_points(rho: float, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """[2, *shape] x and y of correlation rho."""
    x, noise = generator.standard_normal((2, *shape))
    return np.stack([x, rho * x + np.sqrt(1 - rho**2) * noise])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--n", type=int, default=9)
    options = parser.parse_args()
    bootstrap = Bootstrap(options.samples)
    chosen = bootstrap.of_points(options.n)
    print(f"n = {options.n}, {options.repeats} repeats of {options.samples} bootstrap samples")
    for rho in (0.0, 0.5, 0.9, 0.97):
        generator = np.random.default_rng(1)
        true = coefficients(*normal_points(rho, (50_000, options.n), generator)).mean(0)
        true[0] = rho
        held = {"percentile": np.zeros(len(NAMES)), "BCa": np.zeros(len(NAMES))}
        for _ in range(options.repeats):
            x, y = normal_points(rho, (options.n,), generator)
            value, left_out = coefficients(x, y), leave_one_out(x, y)
            draws = coefficients(x[chosen], y[chosen])
            for k in range(len(NAMES)):
                intervals = {
                    "percentile": percentile_interval(draws[:, k]),
                    "BCa": bca_interval(draws[:, k], float(value[k]), left_out[:, k]),
                }
                for name, interval in intervals.items():
                    # An undefined interval excludes nothing.
                    held[name][k] += not (true[k] < interval.low or true[k] > interval.high)
        for name, count in held.items():
            shares = zip(NAMES, count / options.repeats, strict=True)
            print(f"rho {rho:4} {name:10}", *(f"{c} {share:.3f}" for c, share in shares))


if __name__ == "__main__":
    main()
