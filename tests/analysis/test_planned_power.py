"""Power of a planned study: what is assumed, and which sizes are shown."""

from pathlib import Path

import numpy as np
import pytest

from analysis.planned_power import Assumptions, assumptions_of, planned_power
from analysis.points import panels
from analysis.power import LEVEL, Noise, power
from analysis.rows import read_rows
from orchestrator.language.sweep import Sweep
from orchestrator.planning.studied import Study, study_of
from orchestrator.store.store import Store
from tests.analysis.stores import add, paper_trials
from trainer.catalog import AUGMENTATIONS
from trainer.problems import UserError

STATED = Assumptions(0.8, Noise(0.3, 0.3), "as stated")


def test_a_table_has_the_studys_own_size_among_its_neighbours() -> None:
    found = planned_power(STATED, n=7, num_seeds=2, num_tests=6)
    assert (found.own.n, found.own.num_seeds) == (7, 2)
    assert found.own in found.sizes
    assert {(s.n, s.num_seeds) for s in found.sizes} == {
        (n, seeds) for n in (7, 9, 12, 20) for seeds in (1, 2, 3, 5, 10)
    }
    seen = STATED.noise.seen(0.8, 2)
    alone, after_holm = power(7, (seen,), (LEVEL, LEVEL / 6))[0]
    assert list(found.own.alone.values()) == pytest.approx(alone, abs=0.02)
    assert list(found.own.after_holm.values()) == pytest.approx(after_holm, abs=0.02)


def test_more_seeds_and_more_augmentations_find_more() -> None:
    found = {
        (s.n, s.num_seeds): s for s in planned_power(STATED, n=9, num_seeds=3, num_tests=3).sizes
    }
    for name in ("pearson", "spearman", "kendall"):
        assert found[9, 1].alone[name] < found[9, 10].alone[name] < found[20, 10].alone[name]
        assert found[9, 3].after_holm[name] < found[9, 3].alone[name]


def made_up(root: Path, noise: float, pairs: tuple[str, ...], seeds: int = 3) -> Store:
    """T. stddev and loss in one line, spread 1, with noise of both; and a shift of every seed."""
    store = Store(root)
    generator = np.random.default_rng(0)
    evenly = np.linspace(-1, 1, 9)
    places = dict(zip(AUGMENTATIONS, evenly / evenly.std(ddof=1), strict=True))
    for trial in paper_trials(pairs, ["cifar100"], range(seeds)):
        value = 3 + places.get(trial.augmentation or "", 0.0) + 5 * trial.seed
        value += noise * generator.standard_normal()
        if trial.kind == "stddev":
            add(store, trial, t_stddev=value)
        elif trial.kind == "student":
            add(store, trial, test_loss=value)
    return store


def test_assumptions_come_from_the_panels_of_a_store(tmp_path: Path) -> None:
    store = made_up(tmp_path, 0.5, ("vgg13/vgg8", "wrn_40_2/wrn_16_2", "resnet56/resnet20"))
    found = assumptions_of(panels(read_rows(store)), "here")
    assert found is not None
    assert found.source == "median of 3 panels of here"
    # What noise has pulled down is given back: nearly 1, and never more.
    assert 0.9 < found.rho <= 1
    assert found.noise.t_stddev == pytest.approx(0.5, abs=0.2)
    assert found.noise.s_test_loss == pytest.approx(0.5, abs=0.2)


def test_one_seed_tells_nothing_to_assume(tmp_path: Path) -> None:
    store = made_up(tmp_path, 0.1, ("vgg13/vgg8",), seeds=1)
    assert assumptions_of(panels(read_rows(store)), "here") is None


PAIRS = ["vgg13/vgg8", "resnet56/resnet20"]
BASE = {"name": "x", "dataset": "cifar100", "pairs": PAIRS, "seeds": [0, 1, 2]}


@pytest.mark.parametrize(
    ("changes", "study"),
    [
        ({}, Study(9, 3, 2)),
        ({"dataset": ["cifar100", "tinyimagenet"], "seeds": [0]}, Study(9, 1, 4)),
        ({"grid": {"student.temperature": [2, 4, 8]}}, Study(9, 3, 6)),
        ({"exclude": [{"pair": "vgg13/vgg8"}]}, Study(9, 3, 1)),
        ({"exclude": [{"augmentation": ["flip", "cutout"]}]}, Study(7, 3, 2)),
        (
            {
                "include": [
                    {"pair": "vgg13/vgg8", "augmentation": ["flip", "mixup"]},
                    {"pair": "resnet56/resnet20"},
                ]
            },
            Study(9, 3, 1),
        ),
    ],
)
def test_what_a_sweep_studies(changes: dict[str, object], study: Study) -> None:
    assert study_of(Sweep.model_validate(BASE | changes)) == study


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"measure": ["t_stddev"]}, "measures t_stddev alone"),
        ({"augmentations": ["identity", "flip"]}, "a correlation needs 3 augmentations"),
    ],
)
def test_a_sweep_without_a_correlation_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        study_of(Sweep.model_validate(BASE | changes))
