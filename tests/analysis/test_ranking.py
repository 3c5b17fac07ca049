"""The ranking by T. stddev, and what it can tell apart."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.grid import DASH, Entry
from analysis.points import Mean
from analysis.ranking import STANDARD_ERROR, block_noise, groups, rank, ranking_grids
from analysis.rows import read_rows
from orchestrator.store.store import Store
from tests.analysis.stores import add, fill, made_up_metrics, paper_trials
from trainer.catalog import AUGMENTATIONS
from trainer.trial import TRIAL


def cell(*values: float, seeds: tuple[int, ...] = ()) -> Mean:
    return Mean(
        mean=float(np.mean(values)),
        std=math.nan,
        seeds=seeds or tuple(range(len(values))),
        values=values,
        fingerprints=("f",) * len(values),
    )


def test_a_shift_that_all_share_is_no_noise() -> None:
    """Augmentations of one seed see the same batches: only what they do not share is uncertain."""
    generator = np.random.default_rng(0)
    own = generator.standard_normal((4, 3))
    noise, num_seeds = block_noise([cell(*row) for row in own])
    shifted, _ = block_noise([cell(*(row + np.array([10.0, -5.0, 2.0]))) for row in own])
    assert num_seeds == 3
    assert noise == pytest.approx(shifted)


def test_for_two_augmentations_it_is_the_paired_t_test() -> None:
    x, y = np.random.default_rng(1).standard_normal((2, 5))
    noise, _ = block_noise([cell(*x), cell(*y)])
    reach = stats.studentized_range.ppf(0.95, 2, 4) * noise / math.sqrt(5)
    paired = stats.t.ppf(0.975, 4) * stats.sem(x - y)
    assert reach == pytest.approx(paired, rel=1e-6)


def test_noise_needs_two_cells_and_two_common_seeds() -> None:
    assert math.isnan(block_noise([])[0])
    assert math.isnan(block_noise([cell(1.0, 2.0)])[0])
    apart = [cell(1.0, 2.0, seeds=(0, 1)), cell(1.0, 2.0, seeds=(1, 2))]
    noise, num_seeds = block_noise(apart)
    assert (math.isnan(noise), num_seeds) == (True, 1)


@pytest.mark.parametrize(
    ("means", "reach", "expected"),
    [
        ([0.0, 1.0, 2.0], 0.5, ["a", "b", "c"]),
        ([0.0, 1.0, 2.0], 1.0, ["a", "ab", "b"]),
        ([0.0, 1.0, 2.0], 5.0, ["a", "a", "a"]),
        ([0.0, 0.1, 5.0, 5.1], 1.0, ["a", "a", "b", "b"]),
        ([1.0, 2.0], math.nan, ["", ""]),
        ([], 1.0, []),
    ],
)
def test_letters(means: list[float], reach: float, expected: list[str]) -> None:
    size = len(means)
    found = groups(np.array(means), np.full((size, size), reach))
    assert ["".join(letters) for letters in found] == expected


def test_behind_z_come_two_letters() -> None:
    """Thirty groups once ran into control characters."""
    found = groups(np.arange(30.0), np.full((30, 30), 0.5))
    assert found[:2] == [("a",), ("b",)]
    assert found[24:28] == [("y",), ("z",), ("aa",), ("ab",)]
    assert len(set(found)) == 30


def test_a_student_s_pick_stands_aside_only_where_there_is_one(store: Store) -> None:
    names = ["flip", "mixup", "cutmix"]
    fill(store, paper_trials(["vgg13/vgg8"], ["cifar100"], augmentations=names))
    (grid,) = ranking_grids(rank(read_rows(store)))
    assert "pick" not in " ".join(grid.notes)
    assert [row.entries[0].text for row in grid.rows if "pick" in row.entries[0].text] == []
    (grid,) = ranking_grids(rank(read_rows(store), ["flip", "cutmixpick_s"]))
    assert grid.rows[-1].entries[:2] == (
        Entry("cutmixpick_s"),
        Entry("needs its student", is_missing=True),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_lowest_first_and_the_students_pick_aside(store: Store) -> None:
    pairs = ["vgg13/vgg8", "vgg13/MobileNetV2"]
    fill(store, paper_trials(pairs, ["cifar100"]))
    (ranking,) = rank(read_rows(store))
    assert (ranking.dataset, ranking.teacher, ranking.variant) == ("cifar100", "vgg13", "")
    means = [r.t_stddev.mean for r in ranking.ranked]
    assert means == sorted(means)
    assert "cutmixpick_s" not in {r.augmentation for r in ranking.ranked}
    aside = [name for name, _ in ranking.picked_by_student]
    assert aside == ["cutmixpick_s of MobileNetV2", "cutmixpick_s of vgg8"]
    (grid,) = ranking_grids([ranking])
    assert grid.rows[0].entries[0].text == "cutmixpick_t"
    assert grid.rows[-1].entries[0].text == "cutmixpick_s of vgg8"


def test_before_any_student_is_trained(store: Store) -> None:
    """The cheap trials alone: a teacher, and T. stddev without students."""
    cheap = [
        t
        for t in paper_trials(["vgg13/vgg8"], ["cifar100"])
        if t.kind == "teacher" or (t.kind == "stddev" and t.student is None)
    ]
    fill(store, cheap)
    (grid,) = ranking_grids(rank(read_rows(store), AUGMENTATIONS))
    assert grid.rows[-1].entries[0].text == "cutmixpick_s"
    assert grid.rows[-1].entries[1].text == "needs its student"
    assert any("never trained for this" in note for note in grid.notes)
    assert any(note.startswith("train first with cutmixpick_t") for note in grid.notes)


def test_what_cannot_be_told_apart_is_said(store: Store) -> None:
    generator = np.random.default_rng(0)
    for trial in paper_trials(
        ["vgg13/vgg8"], ["cifar100"], augmentations=["flip", "mixup", "cutmix"]
    ):
        if trial.kind == "stddev":
            level = 0.004 if trial.augmentation == "cutmix" else 0.005
            add(store, trial, t_stddev=level + 1e-5 * generator.standard_normal())
    (ranking,) = rank(read_rows(store))
    (told,) = ranking.not_told_apart()
    assert set(told) == {"flip", "mixup"}
    assert ranking.ranked[0].letters == "a"
    (grid,) = ranking_grids([ranking])
    assert any(note.startswith("cannot be told apart at n = 3:") for note in grid.notes)


def test_one_seed_uses_standard_errors_where_the_store_has_them(store: Store) -> None:
    values = {"flip": 0.0050, "mixup": 0.00501, "cutmix": 0.0040}
    for trial in paper_trials(["vgg13/vgg8"], ["cifar100"], seeds=[0], augmentations=values):
        if trial.kind == "stddev":
            add(store, trial, t_stddev=values[trial.augmentation])
    rows = read_rows(store)
    without = rows.drop(columns=STANDARD_ERROR, errors="ignore")
    (unknown,) = rank(without)
    assert not unknown.has_uncertainty
    assert any("one seed" in note for note in ranking_grids([unknown])[0].notes)
    (known,) = rank(without.assign(**{STANDARD_ERROR: 1e-5}))
    assert known.has_uncertainty
    assert [r.letters for r in known.ranked] == ["a", "b", "b"]
    (partly,) = rank(without.assign(**{STANDARD_ERROR: [1e-5, math.nan, 1e-5]}))
    assert not partly.has_uncertainty


def test_nothing_measured(store: Store) -> None:
    assert rank(read_rows(store)) == []
    assert isinstance(read_rows(store), pd.DataFrame)


def test_letters_are_the_largest_sets_that_are_not_told_apart() -> None:
    """With unequal errors they need not be runs: the first and the last of these are alike."""
    means = np.array([0.0, 1.0, 1.1])
    reach = np.array([[0.0, 0.83, 1.17], [0.83, 0.0, 0.5], [1.17, 0.5, 0.0]])
    assert groups(means, reach) == [("a",), ("b",), ("a", "b")]


def test_what_is_not_finite_is_not_ranked_and_what_it_takes_with_it_is_said(store: Store) -> None:
    for trial in paper_trials(
        ["vgg13/vgg8"], ["cifar100"], augmentations=["flip", "mixup", "cutmix"]
    ):
        if trial.kind == "stddev":
            lost = trial.augmentation == "cutmix" or (trial.augmentation, trial.seed) == ("flip", 2)
            add(store, trial, t_stddev=math.nan if lost else made_up_metrics(trial)["t_stddev"])
    (ranking,) = rank(read_rows(store))
    assert {r.augmentation for r in ranking.ranked} == {"flip", "mixup"}
    assert ranking.num_seeds == 2
    (grid,) = ranking_grids([ranking])
    (row,) = [row for row in grid.rows if row.entries[0].text == "cutmix"]
    assert (row.heading, row.entries[1].text) == (DASH, "3 not finite")
    assert any(note.startswith("left out: 2 T. stddev trials") for note in grid.notes)
    assert [record["mean"] for record in grid.records if record["rank"] is None] == [None]


def test_settings_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """As in a grid of them: 2 before 10, whatever their digits or hashes are."""
    store = Store(tmp_path)
    for trial in paper_trials(["vgg13/vgg8"], ["cifar100"], augmentations=["identity", "flip"]):
        add(store, trial)
        if trial.kind == "stddev":
            for epochs in (2, 20):
                changed = trial.model_dump() | {"epochs": epochs}
                add(store, TRIAL.validate_python(changed))
    variants = [ranking.variant for ranking in rank(read_rows(store))]
    assert variants == [f"stddev.epochs={epochs}" for epochs in (2, 10, 20)]
