"""Expansion: which trials a sweep stands for."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.planning.states import counts_by_kind
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.records import failure_row
from orchestrator.store.store import Store
from tests.trainer.data_files import write_image_folder
from trainer.catalog import AUGMENTATIONS
from trainer.problems import UserError
from trainer.trial import Trial

QUICKSTART = Path(__file__).parents[3] / "sweeps" / "quickstart.yaml"
PAIRS = [
    *("vgg13/vgg8", "vgg13/MobileNetV2", "resnet56/resnet20", "resnet56/ShuffleV2"),
    *("wrn_40_2/wrn_16_2", "wrn_40_2/vgg8", "resnet32x4/resnet8x4", "resnet32x4/ShuffleV2"),
    "ResNet50/vgg8",
]


def sweep(**changes: Any) -> Sweep:
    content = {"name": "x", "dataset": "fashion_mini", "pairs": PAIRS, "seeds": [0, 1, 2]}
    return Sweep.model_validate(content | changes)


def kinds(trials: list[Trial]) -> Counter[str]:
    return Counter(trial.kind for trial in trials)


def fingerprints(trials: list[Trial]) -> set[str]:
    return {trial.fingerprint for trial in trials}


def test_the_papers_grid_has_395_trials() -> None:
    trials = expand(sweep())
    assert kinds(trials) == {"teacher": 5, "student": 243, "stddev": 147}
    assert len(fingerprints(trials)) == len(trials)


def test_the_quickstart() -> None:
    trials = expand(load_sweep(QUICKSTART))
    assert kinds(trials) == {"teacher": 1, "student": 18, "stddev": 18}
    assert {trial.dataset for trial in trials} == {"fashion_mini"}
    assert {trial.augmentation for trial in trials} == {None, *AUGMENTATIONS}
    assert {trial.seed for trial in trials} == {0, 1}


def test_a_trial_stands_after_what_it_depends_on() -> None:
    seen: set[str] = set()
    for trial in expand(sweep()):
        assert seen.issuperset(trial.depends_on)
        seen.add(trial.fingerprint)


def test_dependencies() -> None:
    trials = expand(sweep())
    by_fingerprint = {trial.fingerprint: trial for trial in trials}
    for trial in trials:
        needed = [by_fingerprint[fingerprint] for fingerprint in trial.depends_on]
        match trial.kind:
            case "teacher":
                assert not needed
            case "student":
                assert [n.kind for n in needed] == ["teacher"]
            case "stddev" if trial.augmentation == "cutmixpick_s":
                teacher, student = needed
                assert (teacher.kind, student.kind) == ("teacher", "student")
                assert (student.student, student.seed) == (trial.student, trial.seed)
                assert student.augmentation == "cutmixpick_s"
                assert student.teacher == trial.teacher == teacher.teacher
            case "stddev":
                assert [n.kind for n in needed] == ["teacher"]
                assert trial.student is None


def test_learning_rates() -> None:
    rates = {t.student: t.learning_rate for t in expand(sweep()) if t.kind == "student"}
    low = {name for name, rate in rates.items() if rate == 0.01}
    assert low == {"MobileNetV2", "ShuffleV2"}
    explicit = expand(sweep(student={"learning_rate": 0.02}))
    assert {t.learning_rate for t in explicit if t.kind == "student"} == {0.02}


def test_measuring_only_t_stddev_still_brings_the_students_that_pick() -> None:
    trials = expand(sweep(measure=["t_stddev"]))
    assert kinds(trials) == {"teacher": 5, "student": 27, "stddev": 147}
    assert {t.augmentation for t in trials if t.kind == "student"} == {"cutmixpick_s"}
    assert kinds(expand(sweep(measure=["s_test_loss"]))) == {"teacher": 5, "student": 243}


lists = st.permutations(PAIRS).flatmap(
    lambda pairs: st.tuples(
        st.just(pairs[:3]),
        st.lists(st.sampled_from(AUGMENTATIONS), min_size=1, unique=True),
        st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    )
)


@given(lists, st.randoms(use_true_random=False))
def test_expansion_does_not_depend_on_order(
    lists: tuple[list[str], list[str], list[int]], shuffle: random.Random
) -> None:
    pairs, augmentations, seeds = lists
    one = expand(sweep(pairs=pairs, augmentations=augmentations, seeds=seeds))
    for values in (pairs := list(pairs), augmentations, seeds):
        shuffle.shuffle(values)
    other = expand(sweep(pairs=pairs, augmentations=augmentations, seeds=seeds))
    assert fingerprints(one) == fingerprints(other)
    assert len(fingerprints(one)) == len(one) == len(other)


@given(lists, st.integers(100, 200))
def test_a_further_seed_adds_exactly_the_trials_of_that_seed(
    lists: tuple[list[str], list[str], list[int]], seed: int
) -> None:
    pairs, augmentations, seeds = lists
    before = expand(sweep(pairs=pairs, augmentations=augmentations, seeds=seeds))
    after = expand(sweep(pairs=pairs, augmentations=augmentations, seeds=[*seeds, seed]))
    added = fingerprints(after) - fingerprints(before)
    assert fingerprints(before) <= fingerprints(after)
    assert added == {t.fingerprint for t in after if t.seed == seed and t.kind != "teacher"}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"store": "elsewhere"},
        {"checkpoint_every_minutes": 1},
        {"resources": {"student": {"cpu": 2, "gpu": 0.25}}},
    ],
)
def test_names_and_resources_change_no_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprints(expand(sweep(**change))) == fingerprints(expand(sweep()))


def test_a_plan_against_a_store(tmp_path: Path) -> None:
    wanted = sweep(pairs=["resnet20/resnet8"], seeds=[0])
    store = Store(tmp_path / "store")
    fresh = make_plan(wanted, store, retry_failed=False)
    assert len(fresh.missing) == len(fresh.trials) == 19
    assert not (tmp_path / "store").exists()

    teacher = fresh.trials[0]
    picking = next(
        t
        for t in fresh.trials
        if t.kind == "student" and t.augmentation in ("cutmixpick_s", "cutmixpick_t")
    )
    store.add_result({"fingerprint": teacher.fingerprint}, [])
    row = {"fingerprint": picking.fingerprint, "by_machine": False, "error": "ValueError: no"}
    store.add_failure(row)
    plan = make_plan(wanted, store, retry_failed=False)
    assert plan.done == {teacher.fingerprint}
    assert plan.failed == {picking.fingerprint: Failure(Cause.PROGRAM, "ValueError: no")}
    assert len(plan.blocked) == 1
    assert len(plan.missing) == 16
    assert sum(counts_by_kind(plan, {})["student"].values()) == 9
    assert len(make_plan(wanted, store, retry_failed=True).missing) == 18


@pytest.mark.parametrize("cause", Cause)
def test_what_the_machine_did_is_tried_again_by_any_run(cause: Cause, tmp_path: Path) -> None:
    wanted, store = sweep(pairs=["resnet20/resnet8"], seeds=[0]), Store(tmp_path / "store")
    teacher = expand(wanted)[0]
    store.add_failure(failure_row(teacher, Failure(cause, "it failed")))
    plan = make_plan(wanted, store, retry_failed=False)
    is_programs = cause in (Cause.PROGRAM, Cause.DIVERGED)
    assert (teacher in plan.missing) is not is_programs
    assert teacher in make_plan(wanted, store, retry_failed=True).missing


def test_prolonged_training_multiplies_epochs_and_milestones() -> None:
    for trial in expand(sweep(student={"epoch_factor": 2})):
        if trial.kind == "student":
            assert (trial.epochs, trial.milestones) == (480, (300, 360, 420))
        elif trial.kind == "teacher":
            assert trial.epochs == 240


def test_every_pick_by_a_student_has_its_own_student() -> None:
    trials = expand(sweep(pairs=["vgg13/vgg8", "vgg13/resnet8"], augmentations=["mixuppick_k"]))
    students = {t.fingerprint: t for t in trials if t.kind == "student"}
    measured = [t for t in trials if t.kind == "stddev"]
    assert len(measured) == len(students) == 6
    for trial in measured:
        of = students[str(trial.student_fingerprint)]
        assert (of.augmentation, of.seed, of.student) == ("mixuppick_k", trial.seed, trial.student)


def test_randomness_goes_into_students_and_measurements() -> None:
    trials = [t for t in expand(sweep(randomness="sample")) if t.kind != "teacher"]
    assert all(trial.randomness == "sample" for trial in trials if trial.kind != "teacher")
    common = fingerprints(trials) & fingerprints(expand(sweep()))
    assert {t.augmentation for t in trials if t.fingerprint in common} == {"identity"}


def test_published_teachers_are_planned_without_their_files(tmp_path: Path) -> None:
    pattern = str(tmp_path / "{dataset}" / "{teacher}_vanilla" / "ckpt.pth")
    published = sweep(teachers={"checkpoint": pattern})
    made = make_plan(published, Store(tmp_path / "store"), retry_failed=False)
    assert kinds(list(made.trials)) == {"teacher": 5, "student": 243, "stddev": 147}
    assert made.unknown == fingerprints(list(made.trials))
    assert len(made.absent_checkpoints) == 5
    there = tmp_path / "fashion_mini" / "vgg13_vanilla" / "ckpt.pth"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"content")
    made = make_plan(published, Store(tmp_path / "store"), retry_failed=False)
    assert len(made.absent_checkpoints) == 4
    known = [t for t in made.trials if t.fingerprint not in made.unknown]
    assert {trial.teacher for trial in known} == {"vgg13"}
    there.write_bytes(b"other content")
    again = make_plan(published, Store(tmp_path / "store"), retry_failed=False)
    assert not fingerprints(known) & fingerprints(list(again.trials))


def test_images_of_one_s_own_are_planned_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))
    folder = write_image_folder(tmp_path / "images")
    choice: dict[str, Any] = {
        "name": "mine",
        "path": str(folder),
        "format": "imagefolder",
        "image_size": 16,
        "train_images": 9,
    }
    stddev = {"epochs": 10, "batch_size": 4}
    made = expand(sweep(dataset=choice, stddev=stddev))
    assert {trial.dataset for trial in made} == {"mine"}
    assert {(t.data.num_classes, t.data.train_images, t.data.test_images) for t in made} == {
        (3, 9, 18)
    }
    moved = choice | {"path": str(folder.rename(tmp_path / "moved")), "name": "moved"}
    assert fingerprints(expand(sweep(dataset=moved, stddev=stddev))) == fingerprints(made)
    with pytest.raises(UserError, match=r"T\. stddev needs 2 windows or more"):
        expand(sweep(dataset=moved, stddev={"epochs": 9}))
    with pytest.raises(UserError, match=r"train_images: 2 wanted; expected 3 .* to 18"):
        expand(sweep(dataset=moved | {"train_images": 2}))
    with pytest.raises(UserError, match=r"^dataset\.path: .*: no such folder"):
        expand(sweep(dataset=choice))


def test_a_pick_that_picks_nothing_is_warned_of(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert make_plan(sweep(), store, retry_failed=False).warnings == ()
    small = sweep(student={"batch_size": 32})
    assert make_plan(small, store, retry_failed=False).warnings == (
        "student cutmixpick_s: a pick_size of 64 keeps the whole pool of 2 x 32 images: nothing is picked",
        "student cutmixpick_t: a pick_size of 64 keeps the whole pool of 2 x 32 images: nothing is picked",
    )


def test_what_no_trial_can_be_is_the_sweep_s_mistake() -> None:
    with pytest.raises(UserError, match=r"x: epochs: .* less than or equal to 2147483648"):
        expand(sweep(student={"epochs": 2_000_000_000, "epoch_factor": 1000}))
