"""What a coefficient is without a family, and who is in which."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.bootstrap import Bootstrap
from analysis.correlation_tables import correlation_grids
from analysis.evidence import weigh
from analysis.families import Family, families_of, without_families
from analysis.points import Panel
from tests.analysis.published import published_panels
from trainer.catalog import AUGMENTATIONS

FEW = Bootstrap(100)
CUTMIX = Family("cutmix", ("cutmix", "cutmixpick_s", "cutmixpick_t"))
PICKS = {"picks": ("cutmixpick_s", "cutmixpick_t")}


def test_unless_told_otherwise_cutmix_and_its_picks_are_the_one_family() -> None:
    assert families_of(AUGMENTATIONS, []) == (CUTMIX,)
    assert families_of(AUGMENTATIONS, [{}]) == (CUTMIX,)
    assert families_of(["identity", "mixup", "mixuppick3_k"], []) == (
        Family("mixup", ("mixup", "mixuppick3_k")),
    )


def test_picks_go_with_their_scheme_unless_they_are_named() -> None:
    (mix,) = families_of(AUGMENTATIONS, [{"mix": ["mixup", "cutmix"]}])
    assert mix == Family("mix", ("mixup", *CUTMIX.members))
    assert families_of(AUGMENTATIONS, [PICKS]) == (Family("picks", PICKS["picks"]),)


def test_of_several_sweeps_each_set_of_members_is_one_family() -> None:
    found = families_of(AUGMENTATIONS, [{}, PICKS, {"k": ["cutmix"]}])
    assert found == (CUTMIX, Family("picks", PICKS["picks"]))


def test_augmentations_that_a_panel_lacks_are_in_none() -> None:
    assert families_of(["identity", "flip", "cutmix"], [PICKS]) == ()


@pytest.mark.parametrize(
    ("namings", "taus"),
    [((PICKS,), (0.81, 0.71, 0.98, 1.0)), ((), (0.733, 0.6, 0.966, 1.0))],
)
def test_the_published_figures_without_the_picks_and_without_cutmix(
    namings: tuple[dict[str, tuple[str, ...]], ...], taus: tuple[float, ...]
) -> None:
    panels = [replace(panel, namings=namings) for panel in published_panels()]
    for evidence, tau in zip(weigh(panels, bootstrap=FEW).evidence, taus, strict=True):
        kendall = evidence.estimates["kendall"]
        (move,) = kendall.influence_of_families
        assert kendall.value + move == pytest.approx(tau, abs=0.005)
        if tau < 1:
            assert evidence.most_influential_family("kendall") == (evidence.families[0].name, move)


def test_each_coefficient_is_that_of_the_points_that_are_left() -> None:
    (panel, *_) = published_panels()
    x, y = panel.coordinates()
    geometric = Family("geometric", ("flip", "crop+flip"))
    found = without_families(x, y, AUGMENTATIONS, [CUTMIX, geometric])
    for row, left_out in zip(found, ([6, 7, 8], [1, 2]), strict=True):
        kept = np.delete(np.arange(9), left_out)
        expected = [
            test(x[kept], y[kept]).statistic
            for test in (stats.pearsonr, stats.spearmanr, stats.kendalltau)
        ]
        assert row == pytest.approx(expected)


def test_below_three_points_nothing_is_left_to_weigh() -> None:
    (panel, *_) = published_panels()
    short = replace(panel, points=panel.points[-5:])
    (evidence,) = weigh([short], bootstrap=FEW).evidence
    assert evidence.families == (CUTMIX,)
    assert math.isnan(evidence.estimates["pearson"].influence_of_families[0])
    assert evidence.most_influential_family("pearson") is None


def of_one_data_set() -> list[Panel]:
    return [panel for panel in published_panels() if panel.dataset == "cifar100"]


def test_pooled_it_is_the_mean_of_the_panels_without_it() -> None:
    findings = weigh(of_one_data_set(), bootstrap=FEW)
    (pooled,) = findings.pooled
    assert pooled.families == (CUTMIX,)
    for name, estimate in pooled.estimates.items():
        of_panels = [e.estimates[name].influence_of_families[0] for e in findings.evidence]
        assert estimate.influence_of_families == pytest.approx([np.mean(of_panels)])
        singly = [e.estimates[name].influence for e in findings.evidence]
        assert estimate.influence == pytest.approx(np.mean(singly, axis=0))


def test_a_pool_has_the_families_of_all_its_panels() -> None:
    one, two = of_one_data_set()
    findings = weigh([replace(one, namings=(PICKS,)), two], bootstrap=FEW)
    assert set(findings.pooled[0].families) == {CUTMIX, Family("picks", PICKS["picks"])}


def test_the_tables_say_which_family_moves_most_and_who_is_in_it() -> None:
    panels, pooled = correlation_grids(weigh(of_one_data_set(), bootstrap=FEW))
    for grid in (panels, pooled):
        column = grid.headings.index("without family")
        assert (
            grid.rows[2]
            .entries[column]
            .text.startswith("cutmix (-0.1" if grid is panels else "cutmix (-0.")
        )
        assert any("cutmix (cutmix, cutmixpick_s, cutmixpick_t)" in note for note in grid.notes)
        assert grid.records[2]["moves_most_without_family"] == "cutmix"
