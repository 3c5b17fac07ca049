"""The pooled estimate: no panel counts twice, and each number against its definition."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.bootstrap import Bootstrap, bca_interval, hull_interval
from analysis.coefficients import coefficients, leave_one_out
from analysis.correlation_tables import correlation_grids
from analysis.evidence import Findings, grouped, weigh
from analysis.points import Panel, panels
from analysis.pooling import pool, t_interval, teacher_weights
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from trainer.problems import UserError

FEW = Bootstrap(300)
PAIRS = ("vgg13/vgg8", "vgg13/MobileNetV2", "resnet56/resnet20", "wrn_40_2/wrn_16_2")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Panel]:
    store = Store(tmp_path_factory.mktemp("store"))
    return panels(read_rows(fill(store, paper_trials(PAIRS, ["cifar100"]))))


def values(panel: Panel) -> np.ndarray:
    return coefficients(*panel.coordinates())


def test_it_is_the_mean_over_teachers_of_the_mean_over_pairs(found: list[Panel]) -> None:
    pooled = pool("all", found, FEW)
    assert pooled is not None
    by_teacher: dict[str, list[np.ndarray]] = {}
    for panel in found:
        by_teacher.setdefault(panel.teacher, []).append(values(panel))
    means = np.array([np.mean(v, axis=0) for v in by_teacher.values()])
    assert len(pooled.teachers) == 3
    for k, name in enumerate(("pearson", "spearman", "kendall")):
        estimate = pooled.estimates[name]
        assert estimate.value == pytest.approx(means[:, k].mean())
        expected = stats.t.interval(0.95, 2, means[:, k].mean(), stats.sem(means[:, k]))
        assert estimate.over_teachers.low == pytest.approx(max(expected[0], -1))
        assert estimate.over_teachers.high == pytest.approx(min(expected[1], 1))


def test_over_augmentations_spearmans_is_the_hull_and_the_others_are_bca(
    found: list[Panel],
) -> None:
    """BCa is too narrow for Spearman's; a hull is not what Kendall's and Pearson's need."""
    pooled = pool("all", found, FEW)
    assert pooled is not None
    by_panel = [values(panel) for panel in found]
    weights = teacher_weights([panel.teacher for panel in found])
    chosen = FEW.of_points(9)
    drawn, left_out = (
        np.tensordot(weights, np.stack([of(*panel.coordinates()) for panel in found]), axes=1)
        for of in (lambda x, y: coefficients(x[chosen], y[chosen]), leave_one_out)
    )
    value = np.tensordot(weights, np.stack(by_panel), axes=1)
    for k, name in enumerate(("pearson", "spearman", "kendall")):
        hull = hull_interval(drawn[:, k], float(value[k]))
        bca = bca_interval(drawn[:, k], float(value[k]), left_out[:, k])
        expected = hull if name == "spearman" else bca
        interval = pooled.estimates[name].over_augmentations
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_a_sister_of_the_same_teacher_that_behaves_alike_changes_nothing(
    found: list[Panel],
) -> None:
    """What pseudo-replication would turn into a narrower interval and a smaller p-value."""
    alone = [panel for panel in found if panel.pair != "vgg13/MobileNetV2"]
    (vgg,) = [panel for panel in alone if panel.teacher == "vgg13"]
    with_copies = [*alone, *(replace(vgg, student=f"copy{i}") for i in range(5))]
    one, many = pool("x", alone, FEW), pool("x", with_copies, FEW)
    assert one is not None
    assert many is not None
    assert many.num_panels == one.num_panels + 5
    for name, expected in one.estimates.items():
        estimate = many.estimates[name]
        assert estimate.value == pytest.approx(expected.value)
        assert estimate.p == expected.p
        for interval in ("over_seeds", "over_augmentations", "over_teachers"):
            there, here = getattr(expected, interval), getattr(estimate, interval)
            assert (here.low, here.high) == pytest.approx((there.low, there.high))


def test_a_shared_cell_is_redrawn_once_for_all_its_panels(found: list[Panel]) -> None:
    """Were T. stddev redrawn for each pair, its noise would average out over a teacher's pairs."""
    first, second = [panel for panel in found if panel.teacher == "vgg13"]
    shared = zip(first.cells(), second.cells(), strict=True)
    same = [x.address == other.address for (_, x, _), (_, other, _) in shared]
    assert same.count(True) == 8
    bootstrap = Bootstrap(20)
    for (name, x, _), (_, other, _) in zip(first.cells(), second.cells(), strict=True):
        draws = [bootstrap.of_cell(cell.n, cell.n, cell.address) for cell in (x, other)]
        assert np.array_equal(*draws) == (name != "cutmixpick_s")


def test_weights_are_equal_for_teachers() -> None:
    assert teacher_weights(["a", "a", "b", "c"]) == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3])


def test_one_teacher_says_nothing_about_others(found: list[Panel]) -> None:
    pooled = pool("vgg13", [panel for panel in found if panel.teacher == "vgg13"], FEW)
    assert pooled is not None
    assert math.isnan(pooled.estimates["kendall"].over_teachers.low)
    assert math.isfinite(pooled.estimates["kendall"].p)
    assert math.isnan(t_interval(np.array([0.5])).high)


def test_panels_with_fewer_points_are_left_out_and_counted(found: list[Panel]) -> None:
    short = replace(found[0], points=found[0].points[:4])
    pooled = pool("all", [short, *found[1:]], FEW)
    assert pooled is not None
    assert (pooled.num_panels, pooled.num_left_out, pooled.n) == (3, 1, 9)


def test_too_few_shared_augmentations_cannot_be_pooled(found: list[Panel]) -> None:
    one, two = (replace(p, points=p.points[i : i + 4]) for i, p in zip((0, 3), found, strict=False))
    assert pool("x", [one, two], FEW) is None
    assert pool("x", [], FEW) is None


def test_groups(found: list[Panel]) -> None:
    findings = weigh(found, group_by=["teacher"], bootstrap=FEW)
    assert [pooled.group for pooled in findings.pooled] == ["vgg13", "all"]
    with pytest.raises(UserError, match="techer: unknown key; did you mean 'teacher'"):
        grouped(found, ["techer"])


def test_own_and_imported_panels_are_never_pooled(found: list[Panel]) -> None:
    foreign = [replace(panel, source="imported") for panel in found]
    findings = weigh([*found, *foreign], bootstrap=FEW)
    assert {pooled.num_panels for pooled in findings.pooled} == {4}
    assert [pooled.group for pooled in findings.pooled] == ["cifar100 (own)", "cifar100 (imported)"]


def test_holm_and_benjamini_hochberg_run_over_the_whole_table(found: list[Panel]) -> None:
    findings = weigh(found, bootstrap=FEW)
    p = [e.p for evidence in findings.evidence for e in evidence.estimates.values()]
    bh = [e.bh for evidence in findings.evidence for e in evidence.estimates.values()]
    assert findings.num_tests == len(p) == 12
    assert bh == pytest.approx(stats.false_discovery_control(p))
    smallest = min(
        (e for evidence in findings.evidence for e in evidence.estimates.values()),
        key=lambda e: e.p,
    )
    assert smallest.holm == pytest.approx(12 * smallest.p)


def test_influence_is_what_leaving_one_out_does(found: list[Panel]) -> None:
    (evidence, *_) = weigh(found, bootstrap=FEW).evidence
    x, y = evidence.panel.coordinates()
    for i, name in enumerate(evidence.augmentations):
        kept = np.arange(len(x)) != i
        moved = stats.pearsonr(x[kept], y[kept]).statistic - stats.pearsonr(x, y).statistic
        place = evidence.augmentations.index(name)
        assert evidence.estimates["pearson"].influence[place] == pytest.approx(moved)
    name_and_move = evidence.most_influential("pearson")
    assert name_and_move is not None
    assert abs(name_and_move[1]) == max(map(abs, evidence.estimates["pearson"].influence))


def test_an_interval_does_not_depend_on_the_rest_of_the_table(found: list[Panel]) -> None:
    together = weigh(found, bootstrap=FEW).evidence[1]
    alone = weigh(found[1:2], bootstrap=FEW).evidence[0]
    for name, estimate in together.estimates.items():
        assert estimate.over_seeds == alone.estimates[name].over_seeds
        assert estimate.over_augmentations == alone.estimates[name].over_augmentations


def test_single_seeds_are_counted_and_have_no_interval(tmp_path: Path) -> None:
    store = fill(Store(tmp_path), paper_trials(PAIRS[:1], ["cifar100"], seeds=[0]))
    (evidence,) = weigh(panels(read_rows(store)), bootstrap=FEW).evidence
    assert evidence.num_without_noise == 18
    assert math.isnan(evidence.estimates["pearson"].over_seeds.low)
    assert math.isfinite(evidence.estimates["pearson"].over_augmentations.low)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_below_three_points_everything_is_undefined(found: list[Panel], keep: int) -> None:
    short = replace(found[0], points=found[0].points[:keep])
    findings: Findings = weigh([short], bootstrap=FEW)
    assert findings.num_tests == 0
    estimate = findings.evidence[0].estimates["spearman"]
    finite: Callable[[float], bool] = math.isfinite
    assert not any(map(finite, (estimate.value, estimate.p, estimate.holm, estimate.bh)))
    assert findings.evidence[0].most_influential("spearman") is None


def test_a_pool_over_fewer_augmentations_than_its_panels_have_says_so(found: list[Panel]) -> None:
    one = replace(found[0], points=found[0].points[:8])
    two = replace(found[2], points=found[2].points[1:])
    findings = weigh([one, two], bootstrap=FEW)
    (pooled,) = findings.pooled
    assert (pooled.n, pooled.most_augmentations, pooled.num_left_out) == (7, 8, 0)
    grid = list(correlation_grids(findings))[-1]
    assert (
        f"partial: {pooled.group}: over the 7 augmentations that its panels share; they have up to 8"
        in grid.notes
    )
    whole = list(correlation_grids(weigh(found, bootstrap=FEW)))[-1]
    assert not any("partial" in note for note in whole.notes)
