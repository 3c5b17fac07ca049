"""Parts of a plan: `resume --only` and `--from-scratch`."""

from pathlib import Path

import pytest

from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.selection import only, to_start_over
from orchestrator.store.store import Store
from trainer.problems import UserError

PAIRS = ["resnet20/resnet8", "vgg13/vgg8"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(store: Store) -> Plan:
    content = {"name": "x", "dataset": "fashion_mini", "pairs": PAIRS, "seeds": [0]}
    return make_plan(Sweep.model_validate(content), store, retry_failed=True)


# --only


def test_a_pair_brings_its_students_and_their_teacher(plan: Plan) -> None:
    chosen = only(plan, ["vgg13/vgg8"]).trials
    assert {trial.teacher for trial in chosen} == {"vgg13"}
    kinds = [trial.kind for trial in chosen]
    assert (kinds.count("teacher"), kinds.count("student"), kinds.count("stddev")) == (1, 9, 1)


def test_an_augmentation_brings_all_pairs(plan: Plan) -> None:
    chosen = only(plan, ["cutmix", "cutmixpick_s"]).trials
    assert {t.augmentation for t in chosen} == {None, "cutmix", "cutmixpick_s"}
    assert len(chosen) == 2 + 2 * 2 * 2


def test_a_fingerprint_brings_what_it_depends_on(plan: Plan) -> None:
    picking = next(t for t in plan.trials if t.kind == "stddev" and t.student)
    chosen = only(plan, [picking.fingerprint[:10]]).trials
    assert {t.fingerprint for t in chosen} == {picking.fingerprint, *picking.depends_on}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cutmx", "--only cutmx: nothing of x; did you mean 'cutmix'?"),
        ("vgg13/resnet8", "--only vgg13/resnet8: nothing of x"),
        ("0" * 64, "nothing of x"),
    ],
)
def test_a_word_that_names_nothing_is_refused(word: str, expected: str, plan: Plan) -> None:
    with pytest.raises(UserError) as caught:
        only(plan, [word])
    assert expected in str(caught.value)


# --from-scratch


def test_what_is_only_needed_does_not_start_over(plan: Plan) -> None:
    picking = next(t for t in plan.trials if t.kind == "stddev" and t.student)
    word = picking.fingerprint[:10]
    chosen = only(plan, [word])
    assert len(chosen.missing) == 3
    assert to_start_over(chosen, [word]) == (picking,)
    assert to_start_over(plan, ()) == plan.missing
