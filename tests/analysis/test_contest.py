"""A contest of predictors: its numbers against scipy's, its intervals and p-values against simulation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analysis.bootstrap import Bootstrap
from analysis.coefficients import NAMES
from analysis.contest import Contest, difference_p, hold
from analysis.contest_tables import contest_grids, contests_as_json
from analysis.points import Mean, Panel, Point, panels
from analysis.predictors import BUILT_IN, T_STDDEV, Predictor, chosen, measured, rows_of
from analysis.ranking import rank
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.stores import add, made_up_metrics, paper_trials
from trainer.catalog import AUGMENTATIONS, PREDICTORS
from trainer.problems import UserError
from trainer.trial import OwnFile, PredictorTrial

Array = NDArray[np.float64]
ENTROPY = BUILT_IN[1]
FEW = Bootstrap(200)


def cell(values: Sequence[float], address: str) -> Mean:
    seeds = tuple(range(len(values)))
    prints = tuple(f"{address} {seed}" for seed in seeds)
    spread = float(np.std(values, ddof=1))
    return Mean(float(np.mean(values)), spread, seeds, tuple(map(float, values)), prints)


def panel(x: Array, y: Array, predictor: Predictor = T_STDDEV, **names: str) -> Panel:
    """Of values [augmentations, seeds]."""
    told = {"dataset": "cifar100", "teacher": "vgg13", "student": "vgg8"} | names
    return Panel(
        variant="",
        source="own",
        teacher_fingerprint=told["teacher"],
        points=tuple(
            Point(
                name,
                cell(y[i], f"{told['teacher']} {told['student']} y {name}"),
                None,
                cell(x[i], f"{predictor.name} {told['teacher']} {name}"),
            )
            for i, name in enumerate(AUGMENTATIONS[: len(x)])
        ),
        predictor=predictor,
        **told,
    )


def drawn(rng: np.random.Generator, seeds: int = 3) -> dict[Predictor, Array]:
    place = np.linspace(0, 1, 8)[:, None]
    return {
        T_STDDEV: place + 0.3 * rng.standard_normal((8, seeds)),
        ENTROPY: -place + 0.3 * rng.standard_normal((8, seeds)),
    }


def expected(x: Array, y: Array) -> dict[str, float]:
    means = x.mean(1), y.mean(1)
    return {
        "pearson": float(stats.pearsonr(*means).statistic),
        "spearman": float(stats.spearmanr(*means).statistic),
        "kendall": float(stats.kendalltau(*means).statistic),
    }


def test_coefficients_count_in_the_expected_direction() -> None:
    rng = np.random.default_rng(0)
    xs, y = drawn(rng), np.linspace(0, 1, 8)[:, None] + 0.1 * rng.standard_normal((8, 3))
    (contest,) = hold({p: [panel(x, y, p)] for p, x in xs.items()}, bootstrap=FEW)
    lower, higher = contest.contestants
    assert (lower.title, higher.title) == ("T. stddev", "T. entropy")
    (comparison,) = contest.comparisons
    for name in NAMES:
        one, other = expected(xs[T_STDDEV], y)[name], -expected(xs[ENTROPY], y)[name]
        assert lower.scores[name].value == pytest.approx(one)
        assert higher.scores[name].value == pytest.approx(other)
        assert comparison.differences[name].value == pytest.approx(one - other)
        reach = comparison.differences[name].over_seeds
        assert reach.low <= one - other <= reach.high
    chosen_by_entropy = int(xs[ENTROPY].mean(1).argmax())
    lost = y.mean(1)[chosen_by_entropy] - y.mean(1).min()
    assert higher.regret is not None
    assert higher.regret.choice.value == pytest.approx(lost)


def test_a_predictor_and_its_opposite_are_one_and_the_same() -> None:
    """Entropy that is the negative of T. stddev, measured by the same trials: no difference in any redraw."""
    rng = np.random.default_rng(1)
    x = drawn(rng)[T_STDDEV]
    y = np.linspace(0, 1, 8)[:, None] + 0.1 * rng.standard_normal((8, 3))
    (contest,) = hold({T_STDDEV: [panel(x, y)], ENTROPY: [panel(-x, y, ENTROPY)]}, bootstrap=FEW)
    one, other = contest.contestants
    assert {n: s.over_seeds for n, s in one.scores.items()} == {
        n: s.over_seeds for n, s in other.scores.items()
    }
    assert one.regret == other.regret
    for difference in contest.comparisons[0].differences.values():
        assert difference.value == pytest.approx(0, abs=1e-12)
        assert difference.p > 0.9


def test_holm_is_over_the_predictors_and_over_their_pairs() -> None:
    rng = np.random.default_rng(2)
    y = np.linspace(0, 1, 8)[:, None] + 0.2 * rng.standard_normal((8, 3))
    xs = [np.linspace(0, 1, 8)[:, None] + s * rng.standard_normal((8, 3)) for s in (0.1, 0.9, 2)]
    found = dict(zip((BUILT_IN[0], BUILT_IN[2], BUILT_IN[3]), xs, strict=True))
    (contest,) = hold({p: [panel(x, y, p)] for p, x in found.items()}, bootstrap=FEW)
    for name in NAMES:
        scores = [c.scores[name] for c in contest.contestants]
        assert [s.holm for s in scores] == pytest.approx(holm([s.p for s in scores]))
        pairs = [c.differences[name] for c in contest.comparisons]
        assert len(pairs) == 3
        assert [d.holm for d in pairs] == pytest.approx(holm([d.p for d in pairs]))


def holm(p: Sequence[float]) -> list[float]:
    """By hand: each p times the number of those not smaller, never below one before."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, highest = [0.0] * len(p), 0.0
    for rank_, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank_) * p[i]))
        adjusted[i] = highest
    return adjusted


def test_the_pool_counts_each_teacher_once() -> None:
    rng = np.random.default_rng(3)
    xs = {teacher: drawn(rng) for teacher in ("vgg13", "wrn_40_2")}
    pairs = (("vgg13", "vgg8"), ("vgg13", "MobileNetV2"), ("wrn_40_2", "wrn_16_2"))
    ys = {pair: np.linspace(0, 1, 8)[:, None] + 0.2 * rng.standard_normal((8, 3)) for pair in pairs}
    by_predictor = {
        p: [panel(xs[t][p], ys[t, s], p, teacher=t, student=s) for t, s in pairs]
        for p in (T_STDDEV, ENTROPY)
    }
    *each, pooled = hold(by_predictor, bootstrap=FEW)
    assert len(each) == 3
    assert (pooled.title, pooled.num_panels) == ("pooled: cifar100", 3)
    for contestant, predictor in zip(pooled.contestants, by_predictor, strict=True):
        of = {pair: expected(xs[pair[0]][predictor], ys[pair])["kendall"] for pair in pairs}
        mean = (of[pairs[0]] + of[pairs[1]]) / 4 + of[pairs[2]] / 2
        assert contestant.scores["kendall"].value == pytest.approx(predictor.sign * mean)


def test_only_the_augmentations_that_all_have_take_part() -> None:
    rng = np.random.default_rng(4)
    y, xs = np.linspace(0, 1, 8)[:, None] + 0.1 * rng.standard_normal((8, 3)), drawn(rng)
    fewer = panel(xs[ENTROPY][:5], y[:5], ENTROPY)
    (contest,) = hold({T_STDDEV: [panel(xs[T_STDDEV], y)], ENTROPY: [fewer]}, bootstrap=FEW)
    assert contest.augmentations == AUGMENTATIONS[:5]
    value = contest.contestants[0].scores["pearson"].value
    assert value == pytest.approx(expected(xs[T_STDDEV][:5], y[:5])["pearson"])
    assert hold({T_STDDEV: [panel(xs[T_STDDEV], y)]}, bootstrap=FEW) == []


def test_equally_good_predictors_are_seldom_told_apart() -> None:
    """Simulated studies of two predictors with one true coefficient: p is below 5% in no more than about that many, and
    the interval holds the true difference, 0, in no fewer than about 95%."""
    rng = np.random.default_rng(5)
    place, found = np.linspace(0, 1, 8)[:, None], []
    for study in range(200):
        y = place + 0.15 * rng.standard_normal((8, 4))
        one, other = (place + 0.15 * rng.standard_normal((8, 4)) for _ in range(2))
        by = {T_STDDEV: [panel(one, y)], BUILT_IN[3]: [panel(other, y, BUILT_IN[3])]}
        (contest,) = hold(by, bootstrap=Bootstrap(200, study))
        difference = contest.comparisons[0].differences["pearson"]
        found.append((difference.p, difference.over_seeds.low <= 0 <= difference.over_seeds.high))
    p, holds = map(np.array, zip(*found, strict=True))
    assert (p < 0.05).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert holds.mean() >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 200)


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(6)
    place = np.linspace(0, 1, 8)[:, None]
    y = place + 0.03 * rng.standard_normal((8, 4))
    good = place + 0.03 * rng.standard_normal((8, 4))
    bad = rng.permutation(place) + 0.03 * rng.standard_normal((8, 4))
    by = {T_STDDEV: [panel(good, y)], BUILT_IN[3]: [panel(bad, y, BUILT_IN[3])]}
    difference = hold(by, bootstrap=FEW)[0].comparisons[0].differences["pearson"]
    assert difference.p < 0.02
    assert difference.over_seeds.low > 0


def test_the_p_value_is_the_interval_s() -> None:
    rng = np.random.default_rng(7)
    draws = rng.normal(0.5, 0.3, 100_000)
    normal = 2 * float(stats.norm.sf(0.5 / 0.3))
    assert difference_p(draws, 0.5) == pytest.approx(normal, rel=0.05)
    assert difference_p(draws, 0.3) == pytest.approx(2 * float(stats.norm.sf(1.0)), rel=0.05)
    assert np.isnan(difference_p(np.append(draws, np.nan), 0.5))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two teachers, entropy in the rows of all but one seed's trials, which an older kdsweep measured."""
    made = Store(tmp_path_factory.mktemp("predictors"))
    for trial in paper_trials(["wrn_40_2/wrn_16_2", "vgg13/vgg8"], ["cifar100"]):
        metrics: dict[str, Any] = made_up_metrics(trial)
        if trial.kind == "stddev" and trial.seed > 0:
            value = metrics["t_stddev"]
            metrics |= {"entropy": 3 - 100 * value, "entropy_stderr": 0.01}
            metrics |= {"confidence": 100 * value, "confidence_stderr": 0.01}
        add(made, trial, **metrics)
    return made


def test_a_predictor_stands_in_the_place_of_t_stddev(store: Store) -> None:
    rows = read_rows(store)
    assert [p.name for p in measured(rows)] == ["t_stddev", "entropy", "confidence"]
    usual, entropy = panels(rows)[0], panels(rows, predictor=chosen(rows, "entropy"))[0]
    assert entropy.predictor.title == "T. entropy"
    assert [p.t_stddev.seeds for p in usual.points if p.t_stddev] == [(0, 1, 2)] * 9
    assert [p.t_stddev.seeds for p in entropy.points if p.t_stddev] == [(1, 2)] * 9
    assert len(rows_of(rows, chosen(rows, "covariance_trace"))) < len(rows)
    assert rows_of(rows, T_STDDEV) is rows


def test_an_unknown_predictor_is_refused_with_the_nearest(store: Store) -> None:
    with pytest.raises(UserError, match=r"--predictor entrpy: unknown predictor.*entropy"):
        chosen(read_rows(store), "entrpy")


def test_a_ranking_begins_at_the_better_end(store: Store) -> None:
    rows = read_rows(store)
    by_entropy = rank(rows, predictor=chosen(rows, "entropy"))[0].ranked
    by_confidence = rank(rows, predictor=chosen(rows, "confidence"))[0].ranked
    assert [r.augmentation for r in by_entropy] == [r.augmentation for r in by_confidence]
    means = [r.t_stddev.mean for r in by_entropy]
    assert means == sorted(means, reverse=True)
    assert [r.letters for r in by_entropy] == [r.letters for r in by_confidence]


def test_a_contest_of_a_store_is_told_in_tables_and_json(store: Store) -> None:
    rows = read_rows(store)
    by: Mapping[Predictor, Any] = {p: panels(rows, predictor=p) for p in measured(rows)}
    contests: list[Contest] = hold(by, bootstrap=FEW)
    assert [c.num_panels for c in contests] == [1, 1, 2]
    side_by_side, differences = contest_grids(contests)
    assert [row.entries[0].text for row in side_by_side.rows[:3]] == [
        "T. stddev",
        "T. entropy",
        "T. confidence",
    ]
    assert len(differences.rows) == 9
    # Entropy and confidence are two scales of one measurement here.
    assert differences.rows[2].entries[1].text.startswith("0.000")
    told = contests_as_json(contests)
    assert told[0]["contestants"][1]["scores"]["kendall"]["value"] == pytest.approx(
        contests[0].contestants[1].scores["kendall"].value
    )


def test_an_older_store_has_no_contest(tmp_path: Path) -> None:
    made = Store(tmp_path)
    for trial in paper_trials(["vgg13/vgg8"], ["cifar100"], [0]):
        add(made, trial)
    rows = read_rows(made)
    assert measured(rows) == (T_STDDEV,)
    assert contest_grids(hold({T_STDDEV: panels(rows)}, bootstrap=FEW)) == []


def own_trial(beside: Any, source: str = "one") -> PredictorTrial:
    """A predictor of one's own, measured where T. stddev was."""
    given = beside.model_dump(exclude={"kind", "semantics", "batches_per_window"})
    file = OwnFile(path="mine.py", source=source)
    return PredictorTrial(**given, predictor="mine", own_predictor=file)


def own_numbers(value: float) -> dict[str, Any]:
    return {
        "predictor": "mine",
        "predictor_value": value,
        "predictor_stderr": 0.01,
        "predictor_lower_is_better": False,
    }


def test_one_s_own_predictor_takes_part_and_shares_the_seeds_of_t_stddev(tmp_path: Path) -> None:
    """The negative of T. stddev, measured by trials of its own: the same in every redraw."""
    made = Store(tmp_path)
    for trial in paper_trials(["wrn_40_2/wrn_16_2", "vgg13/vgg8"], ["cifar100"]):
        numbers = made_up_metrics(trial)
        add(made, trial, **numbers)
        if trial.kind == "stddev":
            add(made, own_trial(trial), **own_numbers(1 - numbers["t_stddev"]))
    rows = read_rows(made)
    usual, mine = measured(rows)
    assert (mine.title, mine.lower_is_better, mine.is_own) == ("mine", False, True)
    shown = panels(rows, predictor=mine)
    assert [p.variant for p in shown] == ["", ""]
    assert len(shown[0].complete) == 9
    by = {usual: panels(rows), mine: shown}
    contests = hold(by, bootstrap=FEW)
    assert [c.num_panels for c in contests] == [1, 1, 2]
    for contest in contests:
        one, other = contest.contestants
        for name in NAMES:
            assert one.scores[name].value == pytest.approx(other.scores[name].value)
            assert one.scores[name].over_seeds.low == pytest.approx(
                other.scores[name].over_seeds.low
            )
            assert contest.comparisons[0].differences[name].p > 0.5
    assert rank(rows, predictor=mine)[0].ranked[0].augmentation == (
        rank(rows)[0].ranked[0].augmentation
    )


def test_two_versions_of_a_file_are_two_contestants(tmp_path: Path) -> None:
    made = Store(tmp_path)
    for trial in paper_trials(["vgg13/vgg8"], ["cifar100"], [0, 1]):
        add(made, trial)
        if trial.kind == "stddev":
            for version in ("one", "two"):
                value = made_up_metrics(trial)["t_stddev"] * (1 + len(version) % 2)
                add(made, own_trial(trial, version), **own_numbers(value))
    rows = read_rows(made)
    (usual, mine) = measured(rows)
    shown = panels(rows, predictor=mine)
    assert len({panel.variant for panel in shown}) == 2
    assert all(panel.variant.startswith("stddev.own_predictor=") for panel in shown)
    (contest,) = hold({usual: panels(rows), mine: shown}, bootstrap=FEW)
    assert [c.title.partition(" (")[0] for c in contest.contestants] == [
        "T. stddev",
        "mine",
        "mine",
    ]


def test_kdsweep_s_own_predictors_are_those_that_names_are_kept_from() -> None:
    assert tuple(p.name for p in BUILT_IN) == PREDICTORS
