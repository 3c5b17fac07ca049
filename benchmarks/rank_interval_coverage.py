"""How often 95% intervals over augmentations hold a panel's rank coefficient, and how wide they are.

The coefficient that is to be held is the one that n points of the distribution have on average. Shapes: bivariate
normal; heavy, a bivariate t distribution of 3 degrees of freedom; cluster, where a quarter of the points, as picks
of one family do, lie 2.5 standard deviations further out on both axes.
Beside the interval that is used (`analysis.rank_intervals`): BCa; Fisher's z with the variances of Bonett and
Wright (2000); with those of Fieller, Hartley and Pearson (1957), 1.06 / (n - 3), which for Kendall are the same; the
jackknife of z with Student's t. Where an interval is undefined, as z is for a coefficient of 1, it counts neither as
holding nor in the width: the share that is defined stands beside.
Pooled: ten panels of five teachers, whose points share half or nine tenths of their variance over panels.
Run: OMP_NUM_THREADS=1 python benchmarks/rank_interval_coverage.py
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from analysis.bootstrap import Bootstrap, Interval, bca_interval, hull_interval
from analysis.coefficients import NAMES, Array, coefficients, leave_one_out
from analysis.rank_intervals import RANKS, rank_interval

SIZES = (5, 9, 12, 20)
CORRELATIONS = (0.3, 0.6, 0.9, 0.97)
SHAPES = ("normal", "heavy", "cluster")
POOLED_CORRELATIONS = (0.6, 0.9, 0.97)
SHARED = (0.5, 0.9)
NUM_TEACHERS, PAIRS_EACH = 5, 2


def shaped(shape: str, x: Array, y: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """Normal points [..., n] with the tails or the cluster of a shape; alike in all panels [R, panels, n]."""
    size = (*x.shape[:-2], 1, x.shape[-1]) if x.ndim > 2 else x.shape
    if shape == "heavy":
        scale = np.sqrt(3 / generator.chisquare(3, size))
        return x * scale, y * scale
    if shape == "cluster":
        shift = 2.5 * (generator.random(size) < 0.25)
        return x + shift, y + shift
    return x, y


def panel_points(
    shape: str, rho: float, num: int, n: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Points x and y [num, n]."""
    x, noise = generator.standard_normal((2, num, n))
    return shaped(shape, x, rho * x + np.sqrt(1 - rho**2) * noise, generator)


def pool_points(
    shape: str, rho: float, shared: float, num: int, n: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Points x and y [num, panels, n]; a teacher's panels have the same x."""
    common_x, common_noise = generator.standard_normal((2, num, 1, n))
    of_teachers = generator.standard_normal((num, NUM_TEACHERS, n)).repeat(PAIRS_EACH, axis=1)
    of_panels = generator.standard_normal((num, NUM_TEACHERS * PAIRS_EACH, n))
    x = np.sqrt(shared) * common_x + np.sqrt(1 - shared) * of_teachers
    noise = np.sqrt(shared) * common_noise + np.sqrt(1 - shared) * of_panels
    return shaped(shape, x, rho * x + np.sqrt(1 - rho**2) * noise, generator)


def fishers_z(value: float, variance: float) -> Interval:
    z, reach = np.arctanh(value), 1.96 * np.sqrt(variance)
    return Interval(float(np.tanh(z - reach)), float(np.tanh(z + reach)))


def jackknife(value: float, left_out: Array) -> Interval:
    n = len(left_out)
    pseudo = n * np.arctanh(value) - (n - 1) * np.arctanh(left_out)
    reach = stdtrit(n - 1, 0.975) * pseudo.std(ddof=1) / np.sqrt(n)
    return Interval(*(float(end) for end in np.tanh(np.arctanh(value) + np.array([-reach, reach]))))


def of_panel(
    name: str, value: float, left_out: Array, draws: Array
) -> Iterator[tuple[str, Interval]]:
    n, is_spearman = len(left_out), name == "spearman"
    yield "used", rank_interval(name, value, n)
    yield "BCa", bca_interval(draws, value, left_out)
    yield (
        "Bonett & Wright",
        fishers_z(value, (1 + value**2 / 2) / (n - 3) if is_spearman else 0.437 / (n - 4)),
    )
    if is_spearman:
        yield "Fieller et al.", fishers_z(value, 1.06 / (n - 3))
    yield "jackknife", jackknife(value, left_out)


def of_pool(value: float, left_out: Array, draws: Array) -> Iterator[tuple[str, Interval]]:
    yield "hull (Spearman)", hull_interval(draws, value)
    yield "BCa (the others)", bca_interval(draws, value, left_out)
    yield "jackknife", jackknife(value, left_out)


Seen = Mapping[tuple[str, str], Sequence[Interval]]
"""Intervals by coefficient and method."""


def tell(setting: str, seen: Seen, true: Array) -> None:
    for (name, method), intervals in seen.items():
        value = true[NAMES.index(name)]
        ends = np.array([(i.low, i.high) for i in intervals])
        ends = ends[np.isfinite(ends).all(1) & (ends[:, 1] > ends[:, 0])]
        held = ((ends[:, 0] <= value + 1e-9) & (ends[:, 1] >= value - 1e-9)).mean()
        width, defined = (ends[:, 1] - ends[:, 0]).mean(), len(ends) / len(intervals)
        print(
            f"{setting:38} {name:9} {method:23} {held:4.0%}  width {width:.2f}  defined {defined:.0%}",
            flush=True,
        )


def panels(sizes: Sequence[int], repeats: int, bootstrap: Bootstrap) -> None:
    for n in sizes:
        chosen = bootstrap.of_points(n)
        for shape in SHAPES:
            for rho in CORRELATIONS:
                generator = np.random.default_rng(1)
                true = coefficients(*panel_points(shape, rho, 50_000, n, generator)).mean(0)
                seen: dict[tuple[str, str], list[Interval]] = {}
                for x, y in zip(*panel_points(shape, rho, repeats, n, generator), strict=True):
                    value, left_out = coefficients(x, y), leave_one_out(x, y)
                    draws = coefficients(x[chosen], y[chosen])
                    for name in RANKS:
                        k = NAMES.index(name)
                        for method, interval in of_panel(
                            name, float(value[k]), left_out[:, k], draws[:, k]
                        ):
                            seen.setdefault((name, method), []).append(interval)
                tell(f"n = {n}, {shape}, rho {rho}", seen, true)


def pools(n: int, repeats: int, bootstrap: Bootstrap) -> None:
    chosen = bootstrap.of_points(n)
    for shape in SHAPES:
        for shared in SHARED:
            for rho in POOLED_CORRELATIONS:
                generator = np.random.default_rng(1)
                true = coefficients(*pool_points(shape, rho, shared, 4_000, n, generator)).mean(
                    (0, 1)
                )
                seen: dict[tuple[str, str], list[Interval]] = {}
                points = pool_points(shape, rho, shared, repeats, n, generator)
                for x, y in zip(*points, strict=True):
                    value = coefficients(x, y).mean(0)
                    left_out = np.mean(
                        [leave_one_out(a, b) for a, b in zip(x, y, strict=True)], axis=0
                    )
                    draws = coefficients(x[:, chosen], y[:, chosen]).mean(0)
                    for k, name in enumerate(NAMES):
                        for method, interval in of_pool(
                            float(value[k]), left_out[:, k], draws[:, k]
                        ):
                            seen.setdefault((name, method), []).append(interval)
                tell(f"pooled, n = {n}, {shape}, rho {rho}, shared {shared}", seen, true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    bootstrap = Bootstrap(options.samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        panels(SIZES, options.repeats, bootstrap)
        pools(9, options.repeats // 5, bootstrap)


if __name__ == "__main__":
    main()
