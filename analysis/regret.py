"""Regret: who chooses an augmentation by T. stddev, how much S. test loss do they lose against the best?

    regret = L(c) - min_a L(a),        c = argmin_a T. stddev(a)

(simple regret: Bubeck, Munos & Stoltz, Algorithmic Learning Theory 2009, p. 23), in nats. Beside it stand what two
other ways to choose lose: at random (the mean of L instead of L(c)) and always identity; and the `share` that the
choice loses of what chance does, which has no unit. `top_1` is the probability that the choice is the best
(of correct selection: Bechhofer, Ann. Math. Stat. 25, 1954, p. 16), `top_3` how many of the three of lowest loss
are among the three of lowest T. stddev, as a share.

Who may be chosen. T. stddev of a pick by a student needs that student trained, so nobody can choose it by T. stddev
(`analysis.ranking` has it aside, too). It can be trained with, so it counts among the best and in the mean of
chance; in `top_3`, which is about order, it has no place. Where equal values tie, each is as likely.

What it estimates. The best of noisy means looks better than it is (E min <= min E), so every regret is estimated
rather too high, of all ways to choose by as much; differences between ways are not biased.

Intervals are over seeds, of the loss and of T. stddev jointly, so that in a redraw another augmentation may be
chosen. With c the choice of a redraw, L* its losses and L the means,

    upper end: the 97.5% quantile of L*(c) - min_a L*(a)
    lower end: the 2.5% quantile of L(c) - min_a L(a) - max_a [(L*(c) - L*(a)) - (L(c) - L(a))], at least 0

Of one choice the upper end holds because a minimum is at most the value of the augmentation that is truly best, and
the lower end because the largest error of all differences bounds that of the one that happens to look best: the
bounds of multiple comparisons with the best (Edwards & Hsu, J. Am. Stat. Assoc. 78, 1983, p. 965), with redraws in
place of t. Sums over panels hold likewise. An interval of 0 to 0 is one: the choice was the best in all of them.
Shares are redrawn whole. How often they hold: `benchmarks/regret_coverage.py`.
`top_1` is the share of redraws in which the choice has the lowest loss; as a redraw adds seed noise to means that
have it already, it is rather too low where the truth is near 1.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.blocks import fit
from analysis.bootstrap import LEVEL, UNDEFINED, Bootstrap, Interval
from analysis.coefficients import Array
from analysis.redraws import Cells, means_of, redrawn
from trainer.catalog import pick_of

IDENTITY = "identity"
NUM_TOP = 3


@dataclass(frozen=True)
class Estimated:
    """A number, and its interval over seeds; nan where undefined."""

    value: float
    over_seeds: Interval


@dataclass(frozen=True)
class Regret:
    """What ways to choose lose in S. test loss: `choice` by T. stddev, `random`, and always `identity`."""

    choice: Estimated
    random: Estimated
    identity: Estimated
    """nan where identity is none of the augmentations."""
    share: Estimated
    """`choice` / `random`; nan where all losses are equal."""
    top_1: float
    """0..1; nan where nothing tells of the noise of S. test loss."""
    top_3: Estimated
    """0..1; nan where no more than three can be chosen."""


@dataclass(frozen=True)
class PanelRegret(Regret):
    """The same of one panel, with names."""

    chosen: tuple[str, ...]
    """Of lowest T. stddev, of those that can be chosen; several where equal."""
    best: tuple[str, ...]
    """Of lowest S. test loss."""
    aside: tuple[str, ...]
    """Picks by a student: they cannot be chosen."""


@dataclass(frozen=True)
class PooledRegret(Regret):
    """The same over panels, each teacher counted once; `top_1` and `top_3` are means, too."""

    num_best: int
    """In how many panels the choice has the lowest loss."""


_NOTHING = 1e-12
"""Of a loss: what rounding makes."""

_QUANTITIES = ("choice", "random", "identity", "share", "top_1", "top_3")


@dataclass(frozen=True)
class _Draws:
    """Of one panel: each quantity as it is [6], and what its interval's ends are quantiles of [num_samples, 6]."""

    value: Array
    lower: Array
    upper: Array


def panel_regret(
    augmentations: tuple[str, ...], x: Cells, y: Cells, bootstrap: Bootstrap
) -> PanelRegret | None:
    """Of cells of T. stddev and of S. test loss, one per augmentation; None where there is no choice."""
    if sum(_can_be_chosen(name) for name in augmentations) < 2:
        return None
    stddev, loss = _of_choosable(augmentations, means_of(x)), means_of(y)
    estimates, top_1 = _estimated([1.0], [_draws(augmentations, x, y, bootstrap)])
    return PanelRegret(
        **estimates,
        top_1=top_1,
        chosen=_where(augmentations, stddev == stddev.min()),
        best=_where(augmentations, loss == loss.min()),
        aside=tuple(name for name in augmentations if not _can_be_chosen(name)),
    )


def pooled_regret(
    weights: Sequence[float],
    augmentations: tuple[str, ...],
    panels: Sequence[tuple[Cells, Cells]],
    bootstrap: Bootstrap,
) -> PooledRegret | None:
    """The weighted mean over panels of the same augmentations; None where there is no choice."""
    if sum(_can_be_chosen(name) for name in augmentations) < 2:
        return None
    drawn = [_draws(augmentations, x, y, bootstrap) for x, y in panels]
    estimates, top_1 = _estimated(weights, drawn)
    return PooledRegret(
        **estimates, top_1=top_1, num_best=sum(float(d.value[0]) == 0 for d in drawn)
    )


def _can_be_chosen(augmentation: str) -> bool:
    pick = pick_of(augmentation)
    return pick is None or not pick.needs_student


def _where(names: Sequence[str], holds: Array) -> tuple[str, ...]:
    return tuple(name for name, is_one in zip(names, holds, strict=True) if is_one)


def _of_choosable(augmentations: Sequence[str], stddev: Array) -> Array:
    """T. stddev [..., A], infinite where an augmentation cannot be chosen by it."""
    return np.where([_can_be_chosen(name) for name in augmentations], stddev, np.inf)


def _estimated(
    weights: Sequence[float], drawn: Sequence[_Draws]
) -> tuple[dict[str, Estimated], float]:
    """The weighted mean of panels' quantities with intervals, by name; and top_1, which has none."""
    value = _mean(weights, [draws.value for draws in drawn])
    lower = _mean(weights, [draws.lower for draws in drawn])
    upper = _mean(weights, [draws.upper for draws in drawn])
    estimates = {
        name: Estimated(float(value[k]), _interval(float(value[k]), lower[:, k], upper[:, k]))
        for k, name in enumerate(_QUANTITIES)
    }
    return estimates, estimates.pop("top_1").value


def _mean(weights: Sequence[float], values: Sequence[Array]) -> Array:
    return np.asarray(np.tensordot(np.asarray(weights), np.stack(values), axes=1))


def _interval(value: float, lower: Array, upper: Array) -> Interval:
    """None where any draw is undefined; it has the value in it."""
    if not (math.isfinite(value) and np.isfinite(lower).all() and np.isfinite(upper).all()):
        return UNDEFINED
    low = np.quantile(lower, (1 - LEVEL) / 2)
    high = np.quantile(upper, (1 + LEVEL) / 2)
    return Interval(max(min(float(low), value), 0.0), max(float(high), value))


@functools.lru_cache(maxsize=128)
def _draws(augmentations: tuple[str, ...], x: Cells, y: Cells, bootstrap: Bootstrap) -> _Draws:
    of_x, of_y = fit(x), fit(y)
    stddev, loss = means_of(x), means_of(y)
    stddevs, losses = redrawn(x, of_x, bootstrap), redrawn(y, of_y, bootstrap)
    ways, redrawn_ways = _ways(augmentations, stddev), _ways(augmentations, stddevs)
    lost, upper = _lost(ways, loss), _lost(redrawn_ways, losses)
    # The error of the way's own loss, and the largest error of any that it might have to be compared with.
    error = (redrawn_ways * (losses - loss)).sum(-1) + (loss - losses).max(-1)
    lower = _lost(redrawn_ways, loss) - error
    hits = (redrawn_ways[0] * (losses == losses.min(-1, keepdims=True))).sum(-1)
    overlap, overlaps = (
        _overlap(augmentations, stddev, loss),
        _overlap(augmentations, stddevs, losses),
    )
    value = np.array([*lost, _share(lost[0], lost[1]), hits.mean(), overlap])
    uppers = np.stack([*upper, _share(upper[0], upper[1]), hits, overlaps], axis=-1)
    lowers = np.stack([*lower, _share(lower[0], upper[1]), hits, overlaps], axis=-1)
    if not of_y.tells_of_noise:
        value[_QUANTITIES.index("top_1")] = np.nan
        lowers[:] = uppers[:] = np.nan
    return _Draws(value, lowers, uppers)


def _ways(augmentations: Sequence[str], stddev: Array) -> Array:
    """[3, ..., A] the probability of each augmentation where T. stddev [..., A], chance or identity chooses.

    nan where identity is not among them.
    """
    chance = np.full(len(augmentations), 1 / len(augmentations))
    identity = np.array([name == IDENTITY for name in augmentations], dtype=np.float64)
    ways = (
        among_lowest(_of_choosable(augmentations, stddev), 1),
        chance,
        identity if identity.any() else np.full(len(augmentations), np.nan),
    )
    return np.stack(np.broadcast_arrays(*ways))


def _lost(ways: Array, losses: Array) -> Array:
    """[...] what ways [..., A] lose against the best of losses [..., A]."""
    least = losses.min(-1)
    lost = (ways * losses).sum(-1) - least
    # Of equal losses nothing is lost, whatever rounding makes of their mean.
    return np.where(np.abs(lost) <= _NOTHING * np.abs(least), 0.0, lost)


def _share(lost: Array, chance: Array) -> Array:
    """[...] nan where chance loses nothing."""
    return np.divide(lost, chance, out=np.full_like(chance, np.nan), where=chance > 0)


def among_lowest(values: Array, k: int) -> Array:
    """[..., A] the probability of each to be among the k lowest of values [..., A], ties broken at random."""
    border = np.partition(values, k - 1, axis=-1)[..., k - 1 : k]
    below, at = values < border, values == border
    left = k - below.sum(-1, keepdims=True)
    return np.asarray(below + at * (left / at.sum(-1, keepdims=True)))


def _overlap(augmentations: Sequence[str], stddevs: Array, losses: Array) -> Array:
    """[...] which share of the three of lowest loss [..., A] have the lowest T. stddev [..., A]."""
    kept = [i for i, name in enumerate(augmentations) if _can_be_chosen(name)]
    if len(kept) <= NUM_TOP:
        return np.full(losses.shape[:-1], np.nan)
    by_stddev = among_lowest(stddevs[..., kept], NUM_TOP)
    by_loss = among_lowest(losses[..., kept], NUM_TOP)
    return np.asarray((by_stddev * by_loss).sum(-1) / NUM_TOP)
