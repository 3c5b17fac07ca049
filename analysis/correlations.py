"""The three correlation coefficients of the paper, with their p-values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Correlation:
    """Coefficients over `n` points, and two-sided p-values (0..1) of no correlation.

    nan where a coefficient is undefined: fewer than three points, or a constant sequence.
    """

    pearson: float
    pearson_p: float
    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float
    n: int


def correlate(x: ArrayLike | Sequence[float], y: ArrayLike | Sequence[float]) -> Correlation:
    """Pearson, Spearman and Kendall (tau-b) coefficients, as scipy computes them and the paper prints.

    Pearson's p-value is that of the exact distribution under normality, Spearman's of the t-approximation,
    Kendall's exact without ties and of the normal approximation with ties.

    Args:
        x, y: [n] finite numbers.

    Raises:
        ValueError: the lengths differ, or a value is not finite: leave incomplete points out first.
    """
    from scipy import stats

    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.shape != ys.shape or xs.ndim != 1:
        raise ValueError(f"two sequences of one length are needed, not {xs.shape} and {ys.shape}")
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError("every point needs two finite values")
    n = len(xs)
    if n < 3 or np.ptp(xs) == 0 or np.ptp(ys) == 0:
        return Correlation(*(math.nan,) * 6, n)
    pearson = stats.pearsonr(xs, ys)
    spearman = stats.spearmanr(xs, ys)
    kendall = stats.kendalltau(xs, ys)
    return Correlation(
        pearson=float(pearson.statistic),
        pearson_p=float(pearson.pvalue),
        spearman=float(spearman.statistic),
        spearman_p=float(spearman.pvalue),
        kendall=float(kendall.statistic),
        kendall_p=float(kendall.pvalue),
        n=n,
    )
