"""The coefficients of a store with everything that says how far to trust them.

    findings = weigh(panels(read_rows(store)), group_by=("dataset",))
    findings.evidence[0].estimates["spearman"].holm

Formulas and sources are in the modules that compute them: `analysis.permutation` (p-values),
`analysis.multiplicity` (Holm, Benjamini-Hochberg), `analysis.bootstrap` and `analysis.rank_intervals` (intervals),
`analysis.attenuation` (coefficients without seed noise), `analysis.pooling`, `analysis.power` (what the tests could
have found).
Influence is how far a coefficient moves when one augmentation, or one family (`analysis.families`), is left out: r
without it, minus r. What choosing by T. stddev, or another predictor in its place, loses is in `regret` (`analysis.regret`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.attenuation import (
    Reliability,
    WithoutNoise,
    beyond_one,
    correct,
    reliability,
    without_noise,
)
from analysis.blocks import fit
from analysis.bootstrap import (
    Bootstrap,
    Interval,
    bca_interval,
    hull_interval,
)
from analysis.coefficients import NAMES, Array, coefficients, leave_one_out
from analysis.families import Family, families_of, without_families
from analysis.multiplicity import benjamini_hochberg, holm
from analysis.naming import can_be_pooled
from analysis.permutation import permutation_test
from analysis.points import Panel
from analysis.pooling import Pooled, furthest, num_without_noise, panel_draws, pool
from analysis.power import smallest_found
from analysis.predictors import T_STDDEV, Predictor, lowest_first
from analysis.rank_intervals import RANKS, rank_interval
from analysis.regret import PanelRegret, panel_regret
from analysis.simex import simex
from trainer.problems import UserError, did_you_mean

GROUP_KEYS = ("dataset", "teacher", "student", "pair", "setting", "source")


@dataclass(frozen=True)
class Estimate:
    """One coefficient of one panel. p-values are two-sided, 0..1; nan where undefined."""

    value: float
    p: float
    holm: float
    bh: float
    p_printed: float
    """As scipy computes it and the paper prints it (`analysis.correlations`)."""
    over_seeds: Interval
    over_augmentations: Interval
    smallest_found: float
    """The smallest true coefficient that a test of this n and noise finds in 80% of studies (`analysis.power`); nan where
    that is not known, or there is none."""
    influence: tuple[float, ...]
    """By augmentation: the coefficient without it, minus the coefficient."""
    influence_of_families: tuple[float, ...]
    """By family: the same; nan where fewer than three points are left."""
    without_noise: WithoutNoise
    """What infinitely many seeds would show (`analysis.attenuation`)."""
    simex: float
    """The same by simulation and extrapolation, for ranks (`analysis.simex`); nan for Pearson."""


@dataclass(frozen=True)
class Evidence:
    """The three coefficients of one panel."""

    panel: Panel
    augmentations: tuple[str, ...]
    estimates: dict[str, Estimate]
    is_exact: bool
    num_without_noise: int
    """Cells of whose noise nothing tells: it is in no interval."""
    num_parts: int
    """Sets of augmentations that share seeds, at most: of several, differences hold what seeds shift."""
    families: tuple[Family, ...]
    regret: PanelRegret | None
    """None where there is no choice."""
    reliability: Reliability

    @property
    def n(self) -> int:
        return len(self.augmentations)

    @property
    def most_seeds(self) -> int:
        """Of any cell."""
        return max((c.n for _, x, y in self.panel.cells() for c in (x, y)), default=0)

    @property
    def tells_of_noise(self) -> bool:
        """Of either value: what tests could have found is known then."""
        return self.num_without_noise == 0

    def most_influential(self, name: str) -> tuple[str, float] | None:
        """The augmentation without which a coefficient moves most, and by how much; None if by nothing."""
        return furthest(self.augmentations, self.estimates[name].influence)

    def most_influential_family(self, name: str) -> tuple[str, float] | None:
        """The same of families."""
        names = [family.name for family in self.families]
        return furthest(names, self.estimates[name].influence_of_families)


@dataclass(frozen=True)
class Findings:
    """All coefficients of a table; Holm and Benjamini-Hochberg run over all of `evidence`."""

    evidence: tuple[Evidence, ...]
    pooled: tuple[Pooled, ...]
    num_tests: int
    bootstrap: Bootstrap

    @property
    def predictor(self) -> Predictor:
        """That of all panels."""
        return self.evidence[0].panel.predictor if self.evidence else T_STDDEV


def weigh(
    panels: Sequence[Panel],
    *,
    group_by: Sequence[str] = ("dataset",),
    bootstrap: Bootstrap | None = None,
) -> Findings:
    """All coefficients of the panels, and a pooled estimate per group and over everything."""
    bootstrap = bootstrap or Bootstrap()
    tested = [(panel, permutation_p(panel, bootstrap.seed)) for panel in panels]
    p = np.array([p for _, (p, _) in tested]).reshape(-1)
    by_holm, by_bh = holm(p).reshape(-1, len(NAMES)), benjamini_hochberg(p).reshape(-1, len(NAMES))
    evidence = tuple(
        _evidence(panel, exact, own_p, by_holm[i], by_bh[i], bootstrap)
        for i, (panel, (own_p, exact)) in enumerate(tested)
    )
    pooled = [pool(title, group, bootstrap) for title, group in pools(panels, group_by)]
    return Findings(
        evidence=evidence,
        pooled=tuple(one for one in pooled if one is not None),
        num_tests=int(np.isfinite(p).sum()),
        bootstrap=bootstrap,
    )


def permutation_p(panel: Panel, seed: int) -> tuple[Array, bool]:
    """p-values [3] of one panel, and whether they are exact; nan below three points."""
    x, y = panel.coordinates()
    if len(x) < 3:
        return np.full(len(NAMES), np.nan), True
    test = permutation_test([(x, y)], seed=seed)
    return test.p, test.is_exact


def check_group_keys(keys: Sequence[str]) -> None:
    """Raises UserError if a key is none that panels can be grouped by."""
    for key in keys:
        if key not in GROUP_KEYS:
            raise UserError(f"--group-by {key}: unknown key{did_you_mean(key, GROUP_KEYS)}")


def grouped(panels: Sequence[Panel], keys: Sequence[str]) -> dict[str, list[Panel]]:
    """Panels by the values of some keys, in the panels' order; titled by those values.

    Raises:
        UserError: a key is unknown.
    """
    check_group_keys(keys)
    groups: dict[str, list[Panel]] = {}
    for panel in panels:
        title = " ".join(filter(None, (str(getattr(panel, key)) for key in keys))) or "all alike"
        groups.setdefault(title, []).append(panel)
    return groups


def pools(panels: Sequence[Panel], keys: Sequence[str]) -> list[tuple[str, list[Panel]]]:
    """The groups, then everything; own and imported panels apart, and each setting for itself.

    They may be of one and the same teacher: two settings of a pair are no two pairs. Groups of one panel say
    nothing new.
    """
    pools: list[tuple[str, list[Panel]]] = []
    num_sources = len({panel.source for panel in panels})
    for alike in _alike(panels):
        labels = list(dict.fromkeys(filter(None, (panel.setting for panel in alike))))
        told = (*labels[:1], alike[0].source if num_sources > 1 else "")
        groups = list(grouped(alike, keys).items())
        if len(groups) > 1:
            groups.append(("all", alike))
        pools += [(_with_words(title, told), group) for title, group in groups if len(group) > 1]
    return pools


def _with_words(title: str, told: Sequence[str]) -> str:
    """`cifar100 (temperature=8, imported)`: what the title does not say itself."""
    words = [word for word in told if word and word not in title]
    return f"{title} ({', '.join(words)})" if words else title


def _alike(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Panels of one source whose settings agree wherever two of them have both."""
    sets: list[list[Panel]] = []
    for panel in panels:
        for others in sets:
            if others[0].source == panel.source and all(
                can_be_pooled(
                    panel.hyperparameters,
                    other.hyperparameters,
                    same_data=panel.dataset == other.dataset,
                )
                for other in others
            ):
                others.append(panel)
                break
        else:
            sets.append([panel])
    return sets


def _evidence(
    panel: Panel, is_exact: bool, p: Array, by_holm: Array, by_bh: Array, bootstrap: Bootstrap
) -> Evidence:
    cells = panel.cells()
    columns = tuple(c for _, c, _ in cells), tuple(c for _, _, c in cells)
    x, y = panel.coordinates()
    names = tuple(a for a, _, _ in cells)
    families = families_of(names, panel.namings)
    printed = panel.correlation
    moves = np.full((len(cells), len(NAMES)), np.nan)
    family_moves = np.full((len(families), len(NAMES)), np.nan)
    value, extrapolated = np.full((2, len(NAMES)), np.nan)
    of_seeds = of_points = left_out = np.full((1, len(NAMES)), np.nan)
    shares = Reliability(math.nan, math.nan)
    if len(cells) >= 3:
        value = coefficients(x, y)
        left_out = leave_one_out(x, y)
        moves = left_out - value
        family_moves = without_families(x, y, names, families) - value
        of_seeds, of_points = panel_draws(*columns, bootstrap)
        shares = reliability(*columns)
        extrapolated = simex(*columns, bootstrap.seed)
    found = smallest_found(*columns)
    over_seeds = [hull_interval(of_seeds[:, k], float(value[k])) for k in range(len(NAMES))]
    free = without_noise(
        correct(value, shares.factor),
        correct(of_seeds, shares.factor),
        is_clipped=beyond_one(value, shares.factor),
        over_seeds=over_seeds,
    )
    estimates = {
        name: Estimate(
            value=float(value[k]),
            p=float(p[k]),
            holm=float(by_holm[k]),
            bh=float(by_bh[k]),
            p_printed=float(getattr(printed, f"{name}_p")),
            over_seeds=over_seeds[k],
            over_augmentations=rank_interval(name, float(value[k]), len(cells))
            if name in RANKS
            else bca_interval(of_points[:, k], float(value[k]), left_out[:, k]),
            smallest_found=float(found[k]),
            influence=tuple(map(float, moves[:, k])),
            influence_of_families=tuple(map(float, family_moves[:, k])),
            without_noise=free[name],
            simex=float(extrapolated[k]) if name in RANKS else math.nan,
        )
        for k, name in enumerate(NAMES)
    }
    return Evidence(
        panel=panel,
        augmentations=names,
        estimates=estimates,
        is_exact=is_exact,
        num_without_noise=num_without_noise(*columns),
        num_parts=max(fit(column).num_parts for column in columns),
        families=families,
        regret=panel_regret(
            names, lowest_first(columns[0], panel.predictor), columns[1], bootstrap
        ),
        reliability=shares,
    )
