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


MINE = OwnFile(
    path="my_methods.py",
    source="""
from trainer.methods import register

@register("mine")
def mine(student, teacher, labels, temperature, *, power=2.0, steps=3, word="a", cap=None):
    ...
""",
)
OWN_METHOD: dict[str, Any] = {"method": "mine", "own_method": MINE}
ALL_OF_MINE = {"cap": None, "power": 2.0, "steps": 3, "word": "a"}


def test_the_default_method_and_optimiser_stand_in_no_identity() -> None:
    unsaid = {
        "method": "kd",
        "method_options": {},
        "method_warmup_epochs": 0,
        "optimiser": "sgd",
        "schedule": "steps",
        "clip_norm": 0,
        "label_smoothing": 0,
        "checkpoint": None,
    }
    assert student(**unsaid).fingerprint == student().fingerprint
    assert not unsaid.keys() & student().identity.keys()
    assert unsaid.items() <= student().settings.items()


@pytest.mark.parametrize(
    "change",
    [
        {"method": "dkd"},
        {"method": "dkd", "method_options": {"beta": 2}},
        {"method": "dist"},
        OWN_METHOD,
        {**OWN_METHOD, "method_options": {"power": 3}},
        {"method_warmup_epochs": 2},
        {"optimiser": "adamw"},
        {"schedule": "cosine"},
        {"clip_norm": 1},
        {"label_smoothing": 0.1},
        {"checkpoint": PublishedCheckpoint(path="a.pth", sha256="1" * 64)},
        {"checkpoint": PublishedCheckpoint(path="a.pth", sha256=None)},
    ],
    ids=str,
)
def test_another_way_to_teach_is_another_trial(change: dict[str, Any]) -> None:
    assert student(**change).fingerprint != student().fingerprint
    assert student(**change).cell != student().cell
    assert lockstep_key(student(**change)) == lockstep_key(student())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"method": "dkd"}, {"method": "dkd", "method_options": {"alpha": 1, "beta": 8}}),
        (
            {"method": "dist", "method_options": {"gamma": -0.0}},
            {"method": "dist", "method_options": {"beta": 1.0, "gamma": 0}},
        ),
        (OWN_METHOD, {**OWN_METHOD, "method_options": ALL_OF_MINE}),
        (OWN_METHOD, {**OWN_METHOD, "method_options": {"power": 2, "steps": 3.0}}),
        (
            {"checkpoint": PublishedCheckpoint(path="a.pth", sha256="1" * 64)},
            {"checkpoint": PublishedCheckpoint(path="b.pth", sha256="1" * 64)},
        ),
        ({"optimiser": "adamw"}, {"optimiser": "adamw", "momentum": 0.5}),
        ({"schedule": "cosine"}, {"schedule": "cosine", "milestones": (7,), "decay": 0.5}),
        ({"epochs": 1, "schedule": "cosine"}, {"epochs": 1}),
        ({"method_warmup_epochs": 1}, {}),
        ({"label_weight": 0, "label_smoothing": 0.3}, {"label_weight": 0}),
        (
            {"distillation_weight": 0, "method_warmup_epochs": 9, **OWN_METHOD},
            {"distillation_weight": 0},
        ),
        (
            {"original_weight": 0, "augmented_weight": 0, "method": "dkd"},
            {"original_weight": 0, "augmented_weight": 0},
        ),
    ],
)
def test_two_ways_to_say_how_one_student_is_taught_are_one_trial(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert student(**one).identity == student(**other).identity
    assert student(**one).fingerprint == student(**other).fingerprint


def test_a_published_teacher_was_not_taught_by_us() -> None:
    checkpoint = PublishedCheckpoint(path="a.pth", sha256="1" * 64)
    given: dict[str, Any] = {"data": DATA, "teacher": "resnet20", "seed": 0, "learning_rate": 0.05}
    other = {"optimiser": "adamw", "schedule": "cosine", "clip_norm": 1, "label_smoothing": 0.1}
    one = TeacherTrial(**given, checkpoint=checkpoint)
    assert TeacherTrial(**given, checkpoint=checkpoint, **other).fingerprint == one.fingerprint
    for key, value in other.items():
        assert TeacherTrial(**given, **{key: value}).fingerprint != TEACHER.fingerprint


def test_the_options_of_a_method_are_written_out() -> None:
    assert dict(student(**OWN_METHOD).method_options) == ALL_OF_MINE
    assert student(method="dkd").identity["method_options"] == {"alpha": 1.0, "beta": 8.0}
    mine = student(**OWN_METHOD, method_options={"steps": 7, "word": "b"})
    assert TRIAL.validate_json(mine.model_dump_json()) == mine
    assert mine.identity["own_method"] == MINE.sha256


def own_method(signature: str) -> dict[str, Any]:
    source = f"@register('mine')\ndef mine({signature}): ...\n"
    return {"method": "mine", "own_method": OwnFile(path="mine.py", source=source)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "dkt"}, "unknown method 'dkt'; did you mean 'dkd'"),
        ({"method": "kd", "own_method": MINE}, "kd is a method of kdsweep's, not of one's own"),
        ({"method": "other", "own_method": MINE}, "registers no function 'other', but .'mine'"),
        ({"method_options": {"beta": 2}}, "unknown option 'beta' of kd; it has none"),
        (
            {"method": "dkd", "method_options": {"betta": 2}},
            "unknown option 'betta' of dkd; did you mean 'beta'",
        ),
        ({"method": "dkd", "method_options": {"beta": -2}}, "expected 0 or more, not -2"),
        ({"method": "dkd", "method_options": {"beta": True}}, "like its default, beta = 8.0"),
        ({"method": "dkd", "method_options": {"beta": float("nan")}}, "expected a number"),
        ({"method": "dkd", "method_options": {"beta": [2]}}, "expected a number, a word"),
        ({"method": "dkd", "method_options": {"a b": 2}}, "'a b' is no name of an option"),
        ({"method": "dkd", "method_options": [2]}, r"as in \{beta: 2\}"),
        ({**OWN_METHOD, "method_options": {"word": 3}}, "like its default, word = 'a', not 3"),
        (own_method("s, t, labels, T, *, power"), "option 'power' of mine has no default"),
        (own_method("s, t, labels, T, *, power=[1]"), r"its default, not \[1\]"),
        (own_method("s, t, labels, T, *, power=2 * 3"), "its default, not 2 . 3"),
        (own_method("s, t, labels, T, *, power=1e999"), "its default, not"),
        (own_method("s, t, labels, T, *, power=b'x'"), "its default, not"),
        ({"clip_norm": -1}, "greater than or equal to 0"),
        ({"label_smoothing": 1}, "less than 1"),
        ({"method_warmup_epochs": -1}, "greater than or equal to 0"),
        ({"optimiser": "adam"}, "'sgd' or 'adamw'"),
    ],
    ids=str,
)
def test_what_is_no_method_or_none_of_its_options_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        student(**change)
