"""Simulation and extrapolation (SIMEX): rank coefficients without seed noise, with no assumption on their shape.

Noise of variance lambda times that of the cell means is added to the means, many times, and the mean of the
coefficients told for several lambda; lambda = 0 is what was seen, and -1 would be no noise (Cook, Stefanski, J. Am.
Stat. Assoc. 89, 1994, p. 1314). The extrapolation is linear, over lambda = 0, 1/2, 1: of ranks it has less error
than the quadratic and the rational one at every noise tried, though some more bias where there is much noise
(`benchmarks/noise_free_coverage.py`). Rank coefficients move in steps, and what is bent follows the steps.

It scatters more than `analysis.attenuation`, whose estimate is the one that is told with an interval; this one stands
beside it, for who doubts the normal shape that the other takes for granted.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from analysis.blocks import fit
from analysis.coefficients import NAMES, Array, coefficients
from analysis.points import Mean

LEVELS = (0.0, 0.5, 1.0)
NUM_SAMPLES = 1_000
"""At each level, half of them the others' mirrored."""


def simex(t_stddev: Sequence[Mean], s_test_loss: Sequence[Mean], seed: int) -> Array:
    """[3] coefficients of one panel without noise, cut to -1..1; nan where nothing tells of the noise of either."""
    columns = (tuple(t_stddev), tuple(s_test_loss))
    if not all(fit(column).tells_of_noise for column in columns):
        return np.full(len(NAMES), np.nan)
    means = [np.array([cell.mean for cell in column]) for column in columns]
    noises = [_noise(column, seed) for column in columns]
    at_levels = [
        coefficients(*(m + math.sqrt(level) * e for m, e in zip(means, noises, strict=True))).mean(
            0
        )
        for level in LEVELS
    ]
    return np.asarray(np.clip(extrapolated(np.stack(at_levels)), -1.0, 1.0))


def extrapolated(at_levels: Array) -> Array:
    """[...] values at lambda = -1 of the line through values [L, ...] at `LEVELS`, by least squares."""
    levels = np.array(LEVELS)
    centred = levels - levels.mean()
    weights = 1 / len(levels) + (-1 - levels.mean()) * centred / (centred**2).sum()
    return np.asarray(np.tensordot(weights, at_levels, axes=1))


def _noise(cells: tuple[Mean, ...], seed: int) -> Array:
    """[NUM_SAMPLES, A] noise of the cells' means; the same wherever the cells stand."""
    fitted = fit(cells)
    address = hashlib.sha256(" ".join(cell.address for cell in cells).encode()).digest()[:16]
    generator = np.random.default_rng([seed, int.from_bytes(address, "big")])
    half = generator.standard_normal((NUM_SAMPLES // 2, fitted.weights.shape[1]))
    noise = fitted.noise * half @ fitted.weights.T
    return np.concatenate([noise, -noise])
