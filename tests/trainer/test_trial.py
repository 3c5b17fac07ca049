"""The identity of a trial: what is hashed, and what is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.catalog import AUGMENTATIONS, DATASETS, pick_of
from trainer.trial import (
    TRIAL,
    Data,
    OwnFile,
    PublishedCheckpoint,
    StddevTrial,
    StudentTrial,
    TeacherTrial,
    canonical_json,
    lockstep_key,
)

DATA = Data.official("fashion_mini")
OWN = OwnFile(path="mine.py", source="...")
TEACHER = TeacherTrial(data=DATA, teacher="resnet20", seed=0, learning_rate=0.05)


def student(**changes: Any) -> StudentTrial:
    settings = {
        "data": DATA,
        "teacher": "resnet20",
        "teacher_fingerprint": TEACHER.fingerprint,
        "student": "resnet8",
        "augmentation": "flip",
        "seed": 0,
        "learning_rate": 0.05,
    }
    return StudentTrial(**(settings | changes))


def stddev(**changes: Any) -> StddevTrial:
    settings = {
        "data": DATA,
        "teacher": "resnet20",
        "teacher_fingerprint": TEACHER.fingerprint,
        "augmentation": "flip",
        "seed": 0,
    }
    return StddevTrial(**(settings | changes))


def picking_stddev(of: StudentTrial, **changes: Any) -> StddevTrial:
    return stddev(
        augmentation="cutmixpick_s",
        student=of.student,
        student_fingerprint=of.fingerprint,
        student_cell=of.cell,
        **changes,
    )


CHANGES: list[dict[str, Any]] = [
    {"seed": 1},
    {"augmentation": "mixup"},
    {"student": "resnet14"},
    {"teacher_fingerprint": "1" * 64},
    {"learning_rate": 0.01},
    {"epochs": 120},
    {"batch_size": 32},
    {"momentum": 0.8},
    {"weight_decay": 1e-4},
    {"milestones": (100, 200)},
    {"decay": 0.2},
    {"temperature": 2},
    {"label_weight": 0.2},
    {"distillation_weight": 0.8},
    {"original_weight": 0.5},
    {"augmented_weight": 0.5},
    {"randomness": "sample"},
    {"augmentation": "flippick_t"},
    {"data": Data.official("fashion_mini", train_images=600)},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_can_change_the_result_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert student(**change).fingerprint != student().fingerprint


@pytest.mark.parametrize(
    ("augmentation", "change"),
    [
        ("flip", {"pick_size": 32}),
        ("flip", {"temperature": 4.0}),
        ("flip", {"temperature": 4}),
        ("flip", {"milestones": (150, 180, 210, 240, 300)}),
        ("flip", {"milestones": (210, 150, 180)}),
    ],
)
def test_what_does_not_act_is_not_hashed(augmentation: str, change: dict[str, Any]) -> None:
    same = student(augmentation=augmentation)
    assert student(augmentation=augmentation, **change).fingerprint == same.fingerprint


INERT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"augmented_weight": 0, "augmentation": "flip"},
        {"augmented_weight": 0, "augmentation": "mixup"},
    ),
    ({"augmented_weight": 0}, {"augmented_weight": 0, "randomness": "sample"}),
    (
        {"augmented_weight": 0},
        {"augmented_weight": -0.0, "augmentation": "cutmixpick_s", "pick_size": 8},
    ),
    ({"distillation_weight": 0}, {"distillation_weight": 0, "temperature": 2}),
    ({"distillation_weight": 0}, {"distillation_weight": 0, "original_weight": 3}),
    ({"distillation_weight": 0}, {"distillation_weight": 0, "augmented_weight": 7}),
    ({"distillation_weight": 0}, {"distillation_weight": 0, "temperature": 1e-39}),
    ({"distillation_weight": 0}, {"distillation_weight": 0, "original_weight": 1e39}),
    (
        {"original_weight": 0, "augmented_weight": 0},
        {"original_weight": 0, "augmented_weight": 0, "distillation_weight": 0.3, "temperature": 9},
    ),
    ({"decay": 1}, {"decay": 1, "milestones": (1,)}),
    ({"decay": 1}, {"milestones": (), "decay": 0.1}),
    ({"weight_decay": 0.0}, {"weight_decay": -0.0}),
    ({"momentum": 0.0}, {"momentum": -0.0}),
    ({"label_weight": 0.0}, {"label_weight": -0.0}),
]
"""Pairs of settings that train the same student, to the last bit (tests/trainer/test_lockstep.py)."""


@pytest.mark.parametrize(("one", "other"), INERT)
def test_two_ways_to_write_one_student_are_one_trial(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert student(**one).fingerprint == student(**other).fingerprint
    assert student(**one).cell == student(**other).cell
    assert student(**one).fingerprint != student().fingerprint


def test_what_acts_without_distillation_is_still_hashed() -> None:
    """m passes through the batch-norm statistics though nothing is distilled from it."""
    picked = {"augmentation": "cutmixpick_k", "distillation_weight": 0}
    assert student(**picked, temperature=2).fingerprint != student(**picked).fingerprint
    assert (
        student(**picked, augmented_weight=0, temperature=2).fingerprint
        == student(**picked, augmented_weight=0).fingerprint
    )
    without = student(distillation_weight=0)
    for change in ({"augmentation": "mixup"}, {"augmented_weight": 0}, {"label_weight": 1}):
        assert student(distillation_weight=0, **change).fingerprint != without.fingerprint


def test_randomness_acts_where_something_is_drawn_by_the_paper_s_schemes() -> None:
    for name in AUGMENTATIONS:
        same = student(augmentation=name).fingerprint
        assert (student(augmentation=name, randomness="sample").fingerprint == same) == (
            name == "identity"
        )
    mine = {"augmentation": "mine", "own_scheme": OWN}
    assert student(**mine, randomness="sample").fingerprint == student(**mine).fingerprint


def test_the_temperature_of_a_measurement_acts_in_picks_by_divergence_only() -> None:
    assert stddev(temperature=2).fingerprint == stddev().fingerprint
    of = student(augmentation="cutmixpick_k")
    needed = {
        "augmentation": "cutmixpick_k",
        "student": of.student,
        "student_fingerprint": of.fingerprint,
        "student_cell": of.cell,
    }
    assert stddev(**needed, temperature=2).fingerprint != stddev(**needed).fingerprint


def test_a_scheme_of_one_s_own_is_its_code() -> None:
    mine = student(augmentation="mine", own_scheme=OWN)
    moved = OwnFile(path="elsewhere/mine.py", source=OWN.source)
    assert student(augmentation="mine", own_scheme=moved).fingerprint == mine.fingerprint
    changed = OwnFile(path=OWN.path, source="... # changed")
    assert student(augmentation="mine", own_scheme=changed).fingerprint != mine.fingerprint


def test_a_published_teacher_is_its_file() -> None:
    def published(sha256: str, path: str = "a.pth", **changes: Any) -> str:
        checkpoint = PublishedCheckpoint(path=path, sha256=sha256)
        settings: dict[str, Any] = {"seed": 0, "learning_rate": 0.05}
        trial = TeacherTrial(
            data=DATA, teacher="resnet20", checkpoint=checkpoint, **(settings | changes)
        )
        return trial.fingerprint

    one = published("1" * 64)
    assert one == published("1" * 64, "b.pth") == published("1" * 64, epochs=3, seed=5)
    assert len({one, published("2" * 64), TEACHER.fingerprint}) == 3


def test_data_are_their_content_not_their_name_or_place() -> None:
    own = {"checksum": "sha256:" + "1" * 64, "num_classes": 10, "image_size": 16}
    counts = {"train_images": 100, "test_images": 50, "format": "imagefolder"}
    one = Data(name="one", path="/a", **own, **counts)
    other = Data(name="other", path="/b", **own, **counts)
    assert student(data=one).fingerprint == student(data=other).fingerprint
    for facts in DATASETS:
        assert student(data=one).fingerprint != student(data=Data.official(facts)).fingerprint


def test_a_decay_that_never_acts_is_not_hashed() -> None:
    short = student(epochs=3)
    assert student(epochs=3, decay=0.5, milestones=(3, 4)).fingerprint == short.fingerprint


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_pick_size_acts_in_picks_only(name: str) -> None:
    differs = student(augmentation=name, pick_size=32).fingerprint != (
        student(augmentation=name).fingerprint
    )
    assert differs == (pick_of(name) is not None)


def test_kinds_never_share_a_fingerprint() -> None:
    assert len({TEACHER.fingerprint, student().fingerprint, stddev().fingerprint}) == 3


def test_dependencies() -> None:
    picked = student(augmentation="cutmixpick_s")
    assert TEACHER.depends_on == ()
    assert picked.depends_on == (TEACHER.fingerprint,)
    assert stddev().depends_on == (TEACHER.fingerprint,)
    assert picking_stddev(picked).depends_on == (TEACHER.fingerprint, picked.fingerprint)


def test_a_cell_is_the_identity_without_seeds() -> None:
    assert student(seed=1).cell == student(seed=2).cell != student(temperature=2).cell
    one, other = (student(augmentation="cutmixpick_s", seed=seed) for seed in (1, 2))
    assert picking_stddev(one, seed=1).cell == picking_stddev(other, seed=2).cell
    warmer = student(augmentation="cutmixpick_s", temperature=8)
    assert picking_stddev(warmer).cell != picking_stddev(one).cell


def test_lockstep_keys() -> None:
    assert lockstep_key(student()) == lockstep_key(student(augmentation="mixup", temperature=2))
    assert lockstep_key(student()) == lockstep_key(student(student="resnet14", epochs=3))
    for change in ({"seed": 1}, {"batch_size": 32}, {"teacher_fingerprint": "1" * 64}):
        assert lockstep_key(student(**change)) != lockstep_key(student())
    assert lockstep_key(student()) != lockstep_key(stddev())


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    def reversed_keys(item: Any) -> Any:
        if isinstance(item, dict):
            return {k: reversed_keys(v) for k, v in reversed(item.items())}
        return [reversed_keys(v) for v in item] if isinstance(item, list) else item

    assert canonical_json(reversed_keys(value)) == canonical_json(value)


def test_canonical_json_refuses_what_has_no_form() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))
    with pytest.raises(TypeError):
        canonical_json({1, 2})


@pytest.mark.parametrize(
    "trial", [TEACHER, student(), stddev(), picking_stddev(student(augmentation="cutmixpick_s"))]
)
def test_a_trial_survives_json(trial: Any) -> None:
    again = TRIAL.validate_json(trial.model_dump_json())
    assert again == trial
    assert again.fingerprint == trial.fingerprint


def test_the_fingerprints_of_the_paper_s_first_trials_never_change() -> None:
    """A change here means that every store in the world is recomputed: raise SEMANTICS on purpose."""
    assert TEACHER.fingerprint[:16] == "cbc64c640e22e6d7"
    assert student().fingerprint[:16] == "968088a686229535"
    assert stddev().fingerprint[:16] == "11cf4a142f2190b0"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: student(augmentation="cutmax"), "cutmix"),
        (lambda: student(learning_rate=float("nan")), "finite"),
        (lambda: student(epochs=0), "greater than"),
        (lambda: student(seed=-1), "greater than"),
        (lambda: student(warmup=3), "Extra inputs"),
        (lambda: student(augmentation="cutmixpick2_t"), "is written 'cutmixpick_t'"),
        (lambda: student(augmentation="mine"), "unknown augmentation 'mine'"),
        (lambda: student(own_scheme=OWN), "flip is a scheme of the paper"),
        (lambda: stddev(augmentation="cutmixpick_s"), "cutmixpick_s needs student"),
        (lambda: stddev(augmentation="mixuppick3_k"), "mixuppick3_k needs student"),
        (lambda: stddev(student="resnet8"), "flip takes no student"),
        (
            lambda: stddev(data=Data.official("fashion_mini", train_images=60), epochs=9),
            "2 windows",
        ),
    ],
)
def test_bad_trials_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()
