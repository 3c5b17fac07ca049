"""Learning curves: the test loss of students by epoch, a mean over seeds per augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.coefficients import Array
from analysis.points import Panel
from orchestrator.store.store import Store


@dataclass(frozen=True)
class Curve:
    """One augmentation: epochs [e], and mean, lowest and highest test loss over seeds, each [e]."""

    augmentation: str
    epochs: Array
    mean: Array
    low: Array
    high: Array
    n: int


def read_epochs(store: Store) -> pd.DataFrame:
    """The curves of own and imported students: fingerprint, epoch, test_loss, without undefined losses."""
    frames = [store.epochs().to_pandas(), store.imported_epochs().to_pandas()]
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    epochs = pd.concat(filled, ignore_index=True)[["fingerprint", "epoch", "test_loss"]]
    return pd.DataFrame(epochs.dropna())


def curves(panel: Panel, epochs: pd.DataFrame) -> Sequence[Curve]:
    """The curves of a panel's students, over the epochs that all seeds of an augmentation have."""
    drawn = []
    for point in panel.points:
        if point.test_loss is None or not point.test_loss.n:
            continue
        mine = epochs[epochs["fingerprint"].isin(set(point.test_loss.fingerprints))]
        table = mine.pivot(index="epoch", columns="fingerprint", values="test_loss").dropna()
        if len(table):
            losses = table.to_numpy(dtype=np.float64)
            drawn.append(
                Curve(
                    point.augmentation,
                    table.index.to_numpy(dtype=np.float64),
                    losses.mean(axis=1),
                    losses.min(axis=1),
                    losses.max(axis=1),
                    losses.shape[1],
                )
            )
    return drawn


def in_windows(curve: Curve, most: int) -> Curve:
    """The curve in at most so many points: each the mean of equally many epochs in a row, at their middle.

    The last window may be shorter. A curve of few epochs stays as it is.
    """
    size = -(-len(curve.epochs) // most)
    starts = np.arange(0, len(curve.epochs), max(size, 1))
    counts = np.diff([*starts, len(curve.epochs)])

    def averaged(values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, starts) / counts)

    return replace(
        curve,
        epochs=averaged(curve.epochs),
        mean=averaged(curve.mean),
        low=averaged(curve.low),
        high=averaged(curve.high),
    )
