"""How near coefficients without seed noise come to the truth, and how often their intervals hold it.

Panels of nine points of a bivariate normal distribution, of one with a cluster of picks (two points 2 standard
deviations further out on both axes), or of one whose losses are bent (exp(0.8 y)), are seen through the noise of three seeds, which shift all points of a panel
besides, and pooled. The truth is the mean coefficient of the points themselves. Told of the estimates that are made:
bias and root of the mean squared error, without the pools in which a reliability is not above 0; of intervals: how often they hold the truth, and their width. Beside what is
used (`analysis.attenuation`): the coefficient as it is, with the interval over seeds; SIMEX with a linear
(`analysis.simex`), a quadratic and a rational extrapolation, of which the linear one has an interval: SIMEX of the
redraws, shifted to the estimate.
Run: OMP_NUM_THREADS=1 python benchmarks/noise_free_coverage.py
"""

import argparse
from collections.abc import Mapping

import numpy as np

from analysis.attenuation import correct, reliability, without_noise
from analysis.bootstrap import Bootstrap, Interval, hull_interval, shifted_interval
from analysis.coefficients import NAMES, Array, coefficients
from analysis.points import Mean
from analysis.pooling import panel_draws

N, NUM_SEEDS, SHIFT = 9, 3, 0.3
SETTINGS = (
    *((panels, "normal", 0.9, noise) for panels in (1, 10) for noise in (0.05, 0.15, 0.3, 0.6)),
    *((panels, "cluster", 0.6, 0.3) for panels in (1, 10)),
    *((panels, "bent", 0.95, 0.3) for panels in (1, 10)),
)
LEVELS = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
INNER = 10
"""Of SIMEX for each redraw, and as many mirrored."""


def made_up(shape: str, rho: float, generator: np.random.Generator) -> Array:
    """[2, N] points."""
    x, e = generator.standard_normal((2, N))
    points = np.stack([x, rho * x + np.sqrt(1 - rho**2) * e])
    if shape == "cluster":
        return points + 2.0 * (np.arange(N) >= N - 2)
    return np.stack([points[0], np.exp(0.8 * points[1])]) if shape == "bent" else points


def as_cells(values: Array, address: str) -> tuple[Mean, ...]:
    seeds = tuple(range(values.shape[1]))
    return tuple(
        Mean(
            float(v.mean()), float(v.std(ddof=1)), seeds, tuple(map(float, v)), (f"{address} {i}",)
        )
        for i, v in enumerate(values)
    )


def at_levels(means: Array, spread: Array, generator: np.random.Generator) -> Array:
    """[L, 3] mean coefficients with more noise."""
    half = spread[:, None, None] * generator.standard_normal((2, 200, N))
    noise = np.concatenate([half, -half], axis=1)
    return np.stack(
        [coefficients(*(means[:, None] + np.sqrt(level) * noise)).mean(0) for level in LEVELS]
    )


def linear_of_redraws(
    means: Array, spread: Array, num: int, generator: np.random.Generator
) -> Array:
    """[num, 3] of redrawn means, each with 2 r - (mean of r with as much noise again)."""
    redrawn = means[:, None] + spread[:, None, None] * generator.standard_normal((2, num, N))
    half = spread[:, None, None, None] * generator.standard_normal((2, num, INNER, N))
    noise = np.concatenate([half, -half], axis=2)
    return 2 * coefficients(*redrawn) - coefficients(*(redrawn[:, :, None] + noise)).mean(1)


def extrapolations(seen: Array) -> Mapping[str, Array]:
    """By name, [3] values at -1 of curves through [L, 3]."""
    (a, b), (p, q, r) = np.polyfit(LEVELS[:3], seen[:3], 1), np.polyfit(LEVELS, seen, 2)
    quadratic = p - q + r
    first, second = seen[0] - seen[2], seen[2] - seen[4]
    with np.errstate(all="ignore"):
        # a + b / (c + level) through 0, 1 and 2; where that has a pole near -1, the quadratic.
        c = 2 * second / (first - second)
        rational = seen[0] - first * (c + 1) + first * c * (c + 1) / (c - 1)
    return {
        "SIMEX linear": b - a,
        "SIMEX quadratic": quadratic,
        "SIMEX rational": np.where(np.isfinite(rational) & (c > 1.3), rational, quadratic),
    }


def study(
    setting: tuple[int, str, float, float],
    address: str,
    bootstrap: Bootstrap,
    generator: np.random.Generator,
) -> tuple[Array, dict[str, Array], dict[str, list[Interval]]]:
    """The truth [3], estimates [3] and intervals of one pool of panels."""
    num_panels, shape, rho, noise = setting
    true, plain, corrected = np.zeros((3, len(NAMES)))
    seen = np.zeros((len(LEVELS), len(NAMES)))
    draws, corrected_draws, simex_draws = np.zeros((3, bootstrap.num_samples, len(NAMES)))
    for panel in range(num_panels):
        points = made_up(shape, rho, generator)
        values = points[..., None] + noise * generator.standard_normal((2, N, NUM_SEEDS))
        values += SHIFT * generator.standard_normal((2, 1, NUM_SEEDS))
        columns = [as_cells(v, f"{address} {panel} {k}") for k, v in enumerate(values)]
        shares, means = reliability(*columns), values.mean(-1)
        spread = np.sqrt(
            means.var(-1, ddof=1) * (1 - np.array([shares.t_stddev, shares.s_test_loss]))
        )
        of_seeds, _ = panel_draws(*columns, bootstrap)
        value = coefficients(*means)
        true += coefficients(*points) / num_panels
        plain += value / num_panels
        draws += of_seeds / num_panels
        corrected += correct(value, shares.factor) / num_panels
        corrected_draws += correct(of_seeds, shares.factor) / num_panels
        seen += at_levels(means, spread, generator) / num_panels
        simex_draws += (
            linear_of_redraws(means, spread, bootstrap.num_samples, generator) / num_panels
        )
    extrapolated = extrapolations(seen)
    linear = extrapolated["SIMEX linear"]
    over_seeds = [hull_interval(draws[:, k], float(plain[k])) for k in range(len(NAMES))]
    is_clipped = np.zeros(len(NAMES), bool)
    told = without_noise(
        corrected,
        corrected_draws,
        is_clipped=is_clipped,
        over_seeds=over_seeds if num_panels == 1 else None,
    )
    intervals = {
        "as it is": over_seeds,
        "used": [told[name].interval for name in NAMES],
        "SIMEX linear": [
            shifted_interval(simex_draws[:, k], float(linear[k])) for k in range(len(NAMES))
        ],
    }
    estimates = {"as it is": plain, "used": corrected, **extrapolated}
    return true, {name: np.clip(e, -1, 1) for name, e in estimates.items()}, intervals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400, help="of one panel; of pools a quarter")
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    bootstrap = Bootstrap(options.samples)
    for setting in SETTINGS:
        num_panels, shape, rho, noise = setting
        generator = np.random.default_rng(1)
        repeats = options.repeats if num_panels == 1 else options.repeats // 4
        missed: dict[str, list[Array]] = {}
        held: dict[str, list[Array]] = {}
        for repeat in range(repeats):
            true, estimates, intervals = study(setting, f"{repeat}", bootstrap, generator)
            for name, estimate in estimates.items():
                missed.setdefault(name, []).append(estimate - true)
            for name, of_names in intervals.items():
                # An undefined interval excludes nothing and has no width.
                told = [
                    (not (t < i.low - 1e-9 or t > i.high + 1e-9), i.high - i.low)
                    for i, t in zip(of_names, true, strict=True)
                ]
                held.setdefault(name, []).append(np.array(told))
        print(
            f"{num_panels} panels, {shape}, rho {rho}, noise {noise} (Pearson / Spearman / Kendall)"
        )
        for name, misses in missed.items():
            bias, error = np.nanmean(misses, axis=0), np.sqrt(np.nanmean(np.square(misses), axis=0))
            line = f"  {name:16} bias {joined(bias, '+.3f')}  error {joined(error, '.3f')}"
            if name in held:
                holds, widths = np.nanmean(held[name], axis=0).T
                line += f"  held {joined(holds, '.0%')}  width {joined(widths, '.2f')}"
            print(line, flush=True)


def joined(values: Array, form: str) -> str:
    return " / ".join(f"{value:{form}}" for value in values)


if __name__ == "__main__":
    main()
