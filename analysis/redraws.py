"""Means as other seeds might give them: the noise of cells, redrawn (`analysis.bootstrap` says what it is about)."""

from collections.abc import Sequence

import numpy as np

from analysis.blocks import Fit
from analysis.bootstrap import Bootstrap
from analysis.coefficients import Array
from analysis.points import Mean

Cells = tuple[Mean, ...]
"""Of one quantity, a cell per augmentation."""


def means_of(cells: Sequence[Mean]) -> Array:
    """[A]"""
    return np.array([cell.mean for cell in cells])


def redrawn(cells: Cells, fitted: Fit, bootstrap: Bootstrap) -> Array:
    """[num_samples, A] means; they stay as they are where nothing tells of their noise."""
    if not fitted.tells_of_noise:
        return np.broadcast_to(means_of(cells), (bootstrap.num_samples, len(cells)))
    drawn = []
    for i, cell in enumerate(cells):
        choices = fitted.choices(i)
        drawn.append(choices[bootstrap.of_cell(cell.n, len(choices), cell.address)])
    return means_of(cells) + np.concatenate(drawn, axis=1) @ fitted.weights.T
