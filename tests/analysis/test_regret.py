"""Regret: known answers, laws, and intervals that hold what they say."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.bootstrap import Bootstrap
from analysis.evidence import weigh
from analysis.grid import DASH
from analysis.metrics import REGRET
from analysis.points import Mean, panels
from analysis.redraws import Cells
from analysis.regret import among_lowest, panel_regret, pooled_regret
from analysis.regret_tables import loss_lost, regret_grids, share_lost, top_words
from analysis.rows import read_rows
from analysis.tables import as_json, table_grids
from orchestrator.store.store import Store
from tests.analysis.published import published_panels
from tests.analysis.stores import fill, paper_trials

FEW = Bootstrap(200)
NAMES = ("identity", "flip", "cutout", "mixup", "cutmix")


def cells(values: np.ndarray, address: str) -> Cells:
    """Cells of values [A, seeds]."""
    return tuple(
        Mean(
            float(v.mean()),
            float(v.std(ddof=1)) if len(v) > 1 else math.nan,
            tuple(range(len(v))),
            tuple(map(float, v)),
            (f"{address} {i}",),
        )
        for i, v in enumerate(values)
    )


def single(*values: float) -> Cells:
    return cells(np.array(values)[:, None], f"{values}")


def test_on_the_published_figures_nothing_is_lost_where_a_random_choice_loses_much() -> None:
    found = [evidence.regret for evidence in weigh(published_panels(), bootstrap=FEW).evidence]
    lost = []
    for regret in found:
        assert regret is not None
        assert regret.chosen == regret.best == ("cutmixpick_t",)
        assert regret.aside == ("cutmixpick_s",)
        assert (regret.choice.value, regret.share.value) == (0, 0)
        assert math.isnan(regret.choice.over_seeds.low)
        assert math.isnan(regret.top_1)
        lost.append((regret.random.value, regret.identity.value))
    assert np.array(lost) == pytest.approx(
        np.array([(0.0700, 0.1230), (0.0591, 0.0859), (0.1336, 0.2140), (0.1726, 0.3043)]), abs=1e-4
    )


def test_it_is_what_the_choice_loses_against_the_best() -> None:
    found = panel_regret(NAMES, single(5, 4, 3, 1, 2), single(9.0, 8.0, 6.0, 6.5, 6.1), FEW)
    assert found is not None
    assert (found.chosen, found.best) == (("mixup",), ("cutout",))
    assert found.choice.value == pytest.approx(0.5)
    assert found.random.value == pytest.approx(7.12 - 6)
    assert found.identity.value == pytest.approx(3)
    assert found.share.value == pytest.approx(0.5 / 1.12)
    assert found.top_3.value == 1


def test_top_3_counts_those_of_lowest_loss_among_those_of_lowest_t_stddev() -> None:
    found = panel_regret(NAMES, single(1, 2, 3, 4, 5), single(5, 4, 3, 2, 1), FEW)
    assert found is not None
    assert found.top_3.value == pytest.approx(1 / 3)
    three = panel_regret(NAMES[:3], single(1, 2, 3), single(5, 4, 3), FEW)
    assert three is not None
    assert math.isnan(three.top_3.value)


def test_nobody_can_choose_what_a_student_picks_but_it_may_be_the_best() -> None:
    names = ("identity", "cutmix", "cutmixpick_s", "cutmixpick_t", "mixuppick_k")
    found = panel_regret(names, single(5, 4, 1, 3, 2), single(2, 1.5, 1.0, 1.2, 1.9), FEW)
    assert found is not None
    assert found.aside == ("cutmixpick_s", "mixuppick_k")
    assert (found.chosen, found.best) == (("cutmixpick_t",), ("cutmixpick_s",))
    assert found.choice.value == pytest.approx(0.2)
    assert found.random.value == pytest.approx(1.52 - 1)


def test_equal_values_of_t_stddev_are_chosen_as_often() -> None:
    found = panel_regret(NAMES[:3], single(1, 1, 2), single(3.0, 1.0, 2.0), FEW)
    assert found is not None
    assert found.chosen == ("identity", "flip")
    assert found.choice.value == pytest.approx(1)


def test_where_all_losses_are_equal_every_choice_is_the_best() -> None:
    found = panel_regret(NAMES, single(5, 4, 3, 2, 1), single(1, 1, 1, 1, 1), FEW)
    assert found is not None
    assert found.best == NAMES
    assert found.choice.value == found.random.value == 0
    assert math.isnan(found.share.value)


def test_without_identity_or_without_a_choice_that_is_undefined() -> None:
    found = panel_regret(NAMES[1:], single(4, 3, 2, 1), single(1, 2, 3, 4), FEW)
    assert found is not None
    assert math.isnan(found.identity.value)
    assert math.isfinite(found.choice.value)
    assert panel_regret(NAMES[:1], single(1), single(1), FEW) is None
    assert panel_regret(("flip", "cutmixpick_s"), single(1, 2), single(1, 2), FEW) is None
    assert panel_regret((), (), (), FEW) is None


ROUND = st.integers(-4, 4).map(float)


@given(arrays(np.float64, st.integers(1, 7), elements=ROUND), st.data())
def test_the_probability_to_be_among_the_lowest(values: np.ndarray, data: st.DataObject) -> None:
    """Against all ways to break ties."""
    k = data.draw(st.integers(1, len(values)))
    found = among_lowest(values, k)
    assert found.sum() == pytest.approx(k)
    generator = np.random.default_rng(0)
    counts = np.zeros(len(values))
    for _ in range(400):
        counts[np.lexsort((generator.random(len(values)), values))[:k]] += 1
    assert counts / 400 == pytest.approx(found, abs=0.15)


@settings(max_examples=50)
@given(
    arrays(np.float64, (2, 5, 3), elements=st.floats(-10, 10, width=32)),
    st.floats(0.5, 4),
    st.floats(-5, 5),
)
def test_it_scales_with_the_loss_and_does_not_see_a_shift(
    values: np.ndarray, scale: float, shift: float
) -> None:
    x, y = cells(values[0], "x"), cells(values[1], "y")
    one = panel_regret(NAMES, x, y, FEW)
    other = panel_regret(NAMES, x, cells(scale * values[1] + shift, "y"), FEW)
    assert one is not None
    assert other is not None
    for name in ("choice", "random", "identity"):
        here, there = getattr(one, name), getattr(other, name)
        assert there.value == pytest.approx(scale * here.value, abs=1e-6)
        if not math.isnan(here.over_seeds.low + there.over_seeds.low):
            assert 0 <= here.over_seeds.low <= here.value + 1e-12
            assert here.value <= here.over_seeds.high + 1e-12
            assert there.over_seeds.high == pytest.approx(scale * here.over_seeds.high, abs=1e-5)
            assert there.over_seeds.low == pytest.approx(scale * here.over_seeds.low, abs=1e-5)


def test_the_chance_to_be_best_of_two_is_that_of_a_normal_difference() -> None:
    """With many seeds: P(L_choice < L_other) where the difference of means has a known mean and error."""
    generator = np.random.default_rng(3)
    noise, num_seeds, gap = 0.1, 200, 0.008
    y = generator.standard_normal((2, num_seeds)) * noise
    y += (np.array([gap, 0.0]) - y.mean(1))[:, None]
    x = np.array([[2.0], [1.0]]) + np.zeros((2, num_seeds))
    found = panel_regret(NAMES[:2], cells(x, "x"), cells(y, "y"), Bootstrap(4000))
    assert found is not None
    error = math.sqrt(2 * (y - y.mean(1, keepdims=True)).var() / num_seeds)
    assert found.top_1 == pytest.approx(stats.norm.cdf(gap / error), abs=0.03)
    assert found.choice.over_seeds.high == pytest.approx(
        max(0.0, -gap + 1.96 * error), abs=0.15 * error
    )


def test_t_stddev_is_redrawn_with_the_loss_so_that_another_may_be_chosen() -> None:
    """Two whose T. stddev nobody can tell apart: each is chosen in half of all redraws."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((2, 20))
    noise -= noise.mean(1, keepdims=True)
    x, y = np.array([[1.0], [1.0 + 1e-9]]) + noise, np.array([[1.0], [2.0]]) + 1e-3 * noise[::-1]
    found = panel_regret(NAMES[:2], cells(x, "x"), cells(y, "y"), Bootstrap(2000))
    assert found is not None
    assert found.top_1 == pytest.approx(0.5, abs=0.05)
    assert found.choice.value == pytest.approx(0)
    assert found.choice.over_seeds.high == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("num_panels", "wanted"), [(1, 0.9), (8, 0.92)])
def test_intervals_hold_the_true_regret_although_the_best_of_noisy_means_looks_too_good(
    num_panels: int, wanted: float
) -> None:
    """Four are equally good: percentiles of redrawn regrets alone lie above the truth."""
    generator = np.random.default_rng(0)
    loss = np.array([0.0, 0.0, 0.0, 0.0, 0.5])
    held, estimates = [], []
    for repeat in range(120):
        drawn = []
        for panel in range(num_panels):
            shared = generator.standard_normal((2, 1, 3))
            values = 0.3 * generator.standard_normal((2, 5, 3)) + shared
            values[0] -= 9.0 * np.arange(5)[:, None]
            values[1] += loss[:, None]
            address = f"{num_panels} {repeat} {panel}"
            drawn.append((cells(values[0], f"{address} x"), cells(values[1], f"{address} y")))
        found = pooled_regret([1 / num_panels] * num_panels, NAMES, drawn, Bootstrap(300))
        assert found is not None
        interval = found.choice.over_seeds
        estimates.append(found.choice.value)
        held.append(interval.low <= 0.5 <= interval.high)
    assert np.mean(estimates) > 0.55
    assert np.mean(held) >= wanted


def test_where_the_choice_is_best_beyond_noise_the_interval_is_nothing() -> None:
    generator = np.random.default_rng(0)
    values = np.arange(5, 0, -1)[:, None] + 0.01 * generator.standard_normal((2, 5, 3))
    found = panel_regret(NAMES, cells(values[0], "x"), cells(values[1], "y"), FEW)
    assert found is not None
    assert (found.choice.over_seeds.low, found.choice.over_seeds.high) == (0, 0)
    assert found.top_1 == 1
    assert loss_lost(found.choice) == "0.0000 (0.0000 to 0.0000)"
    assert share_lost(found.share) == "0% (0% to 0%)"
    assert top_words(found.top_3) == "3 of 3 (3 to 3)"


PAIRS = ("vgg13/vgg8", "vgg13/MobileNetV2", "wrn_40_2/wrn_16_2")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(Store(tmp_path_factory.mktemp("store")), paper_trials(PAIRS, ["cifar100"]))


def test_pooled_it_is_a_mean_over_teachers_of_means_over_pairs(store: Store) -> None:
    findings = weigh(panels(read_rows(store)), bootstrap=FEW)
    by_teacher: dict[str, list[list[float]]] = {}
    for evidence in findings.evidence:
        regret = evidence.regret
        assert regret is not None
        numbers = [regret.choice.value, regret.random.value, regret.identity.value]
        numbers += [regret.share.value, regret.top_1, regret.top_3.value]
        by_teacher.setdefault(evidence.panel.teacher, []).append(numbers)
    expected = np.mean([np.mean(of_teacher, axis=0) for of_teacher in by_teacher.values()], axis=0)
    (pooled,) = findings.pooled
    found = pooled.regret
    assert found is not None
    own = [found.choice, found.random, found.identity, found.share, found.top_3]
    assert [e.value for e in own] == pytest.approx(np.delete(expected, 4))
    assert found.top_1 == pytest.approx(expected[4])
    assert found.num_best == sum(
        e.regret.chosen == e.regret.best for e in findings.evidence if e.regret
    )


def test_tables_and_json_have_it(store: Store) -> None:
    found = panels(read_rows(store))
    findings = weigh(found, bootstrap=FEW)
    of_panels, pooled = table_grids(found, findings, [REGRET])
    assert [row.heading for row in of_panels.rows] == [panel.title for panel in found]
    assert of_panels.rows[0].entries[0].text == "cutmixpick_t"
    assert of_panels.records[0]["choice"] == "cutmixpick_t"
    assert any(note.startswith("cutmixpick_s: picked by a student") for note in of_panels.notes)
    assert re_counts(pooled.rows[0].entries[0].text) == (pooled.records[0]["num_best"], 3)
    written = as_json(found, findings, [REGRET])
    assert written["panels"][0]["regret"]["chosen"] == ["cutmixpick_t"]
    assert "evidence" not in written["panels"][0]
    assert written["pooled"][0]["regret"]["num_best"] == pooled.records[0]["num_best"]
    assert "regret" not in as_json(found, findings, ["correlation"])["panels"][0]


def re_counts(text: str) -> tuple[int, int]:
    best, _, of, _ = text.split()
    return int(best), int(of)


def test_a_panel_without_a_choice_is_visibly_missing_and_partial_ones_say_so(store: Store) -> None:
    one, two, *_ = panels(read_rows(store))
    short = replace(one, points=one.points[:1])
    grid, *_ = regret_grids(weigh([short, two], bootstrap=FEW))
    assert grid.rows[0].entries[0].is_missing
    assert "n=1, 2 to choose from are needed" in grid.rows[0].entries[0].text
    assert grid.records[0]["regret"] is None
    assert any(note.startswith("partial: 1 of 2 panels") for note in grid.notes)


def test_with_one_seed_there_is_no_interval_and_no_probability(tmp_path: Path) -> None:
    store = fill(Store(tmp_path), paper_trials(PAIRS[:1], ["cifar100"], seeds=[0]))
    (evidence,) = weigh(panels(read_rows(store)), bootstrap=FEW).evidence
    regret = evidence.regret
    assert regret is not None
    assert math.isfinite(regret.choice.value)
    assert math.isnan(regret.choice.over_seeds.low)
    assert math.isnan(regret.top_1)
    grid, *_ = regret_grids(weigh([evidence.panel], bootstrap=FEW))
    assert grid.rows[0].entries[2].text.endswith("*")
    assert grid.rows[0].entries[6].text == DASH
