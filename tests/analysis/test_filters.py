"""`--filter`: any hyper-parameter, any scheme's version, and what is printed can be typed."""

import re
from pathlib import Path

import pytest

from analysis.filters import parse_filters
from analysis.points import Panel, panels
from analysis.rows import read_rows
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.analysis.stores import add
from tests.analysis.test_points import made_up, sweep
from trainer.problems import UserError

SCHEME = '@register("mine")\ndef f(images, rng): ...\n'


def fill(store: Store, **changes: object) -> None:
    small = {"pairs": ["resnet20/resnet8"], "augmentations": ["identity", "flip", "cutmixpick_s"]}
    for trial in expand(sweep(**(small | changes))):
        add(store, trial, **made_up(trial))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def kept(store: Store, *texts: str) -> list[Panel]:
    return panels(read_rows(store, parse_filters(texts)))


@pytest.mark.parametrize("text", ["student.temperature=2", "student.temperature=2.0"])
def test_by_a_hyperparameter_of_students(store: Store, text: str) -> None:
    fill(store, student={"temperature": 2})
    fill(store, student={"temperature": 4})
    (panel,) = kept(store, text)
    assert panel.hyperparameters["student.temperature"] == "2.0"
    assert len(panel.complete) == 3
    (panel,) = kept(store, "student.temperature!=2")
    assert panel.hyperparameters["student.temperature"] == "4.0"


def test_without_its_kind_it_is_of_whatever_has_it(store: Store) -> None:
    for size in (16, 32):
        fill(store, student={"pick_size": size}, stddev={"pick_size": size})
    assert [p.variant for p in kept(store)] == ["pick_size=16", "pick_size=32"]
    (panel,) = kept(store, "pick_size=16")
    assert [point.augmentation for point in panel.complete] == ["identity", "flip", "cutmixpick_s"]


def test_by_how_the_teacher_was_trained(store: Store) -> None:
    fill(store, teachers={"epochs": 2})
    fill(store, teachers={"epochs": 3})
    everything = kept(store)
    (panel,) = kept(store, "teachers.epochs=2")
    assert len(panel.complete) == 3
    (same,) = kept(store, f"teacher_fingerprint={panel.teacher_fingerprint[:8]}")
    assert same.cells() == panel.cells()
    assert len(everything) == 2
    assert {p.variant for p in everything} == {"teachers.epochs=2", "teachers.epochs=3"}


def test_by_the_version_of_a_scheme_as_it_is_printed(store: Store) -> None:
    for code in (SCHEME, SCHEME + "# changed\n"):
        fill(
            store,
            schemes=[{"path": "mine.py", "source": code}],
            augmentations=["identity", "flip", "mine"],
        )
    both = kept(store)
    assert len(both) == 2
    for panel in both:
        assert panel.variant.startswith("own_scheme.mine=")
        (found,) = kept(store, panel.variant)
        assert found.cells() == panel.cells()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"randomness": "sample"}),
        ({}, {"student": {"weight_decay": 1e-3}}),
        ({"student": {"milestones": [60, 120]}}, {"student": {"milestones": [80, 160]}}),
        ({"teachers": {"epochs": 2}}, {"teachers": {"epochs": 3}}),
        ({"stddev": {"epochs": 2}}, {"stddev": {"epochs": 3}}),
    ],
)
def test_every_printed_setting_can_be_typed(
    one: dict[str, object], other: dict[str, object], store: Store
) -> None:
    fill(store, **one)
    fill(store, **other)
    both = kept(store)
    assert len(both) == 2
    for panel in both:
        (found,) = kept(store, panel.variant)
        assert found.cells() == panel.cells()


def test_without_its_section_a_row_s_own_kind_is_asked(store: Store) -> None:
    """The teacher's rate is another; it has no say."""
    fill(store, student={"weight_decay": 1e-3}, stddev={"epochs": 4})
    fill(store, student={"weight_decay": 1e-4}, stddev={"epochs": 4})
    (panel,) = kept(store, "weight_decay=1e-3,5e-4")
    assert len(panel.complete) == 3


def test_a_student_without_augmented_images_stays_whatever_augmentation_is_asked_for(
    store: Store,
) -> None:
    fill(store, student={"augmented_weight": 0})
    (panel,) = kept(store, "augmentation!=identity")
    assert [point.augmentation for point in panel.complete] == ["flip", "cutmixpick_s"]


@pytest.mark.parametrize("digits", [6, 8, 12, 64])
def test_a_digest_by_its_first_digits(digits: int, store: Store) -> None:
    fill(store, teachers={"epochs": 2})
    fill(store, teachers={"epochs": 3})
    wanted = kept(store)[0].teacher_fingerprint
    (panel,) = kept(store, f"teacher_fingerprint={wanted[:digits]}")
    assert panel.teacher_fingerprint == wanted


@pytest.mark.parametrize("key", ["kind", "student.seed", "student.augmentation"])
def test_what_is_no_hyperparameter_is_refused(key: str, store: Store) -> None:
    fill(store)
    with pytest.raises(UserError, match="unknown key"):
        kept(store, f"{key}=x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "student.temprature=2",
            "unknown key 'student.temprature'; did you mean 'student.temperature'",
        ),
        ("student.temperature=3", "the store has no student.temperature '3'; known are 2.0"),
        ("temprature=3", "unknown key 'temprature'; did you mean 'temperature'"),
    ],
)
def test_what_is_not_there_is_named(store: Store, text: str, message: str) -> None:
    fill(store, student={"temperature": 2})
    with pytest.raises(UserError, match=re.escape(message)):
        kept(store, text)


def test_a_known_hyperparameter_that_no_row_has_keeps_everything(store: Store) -> None:
    fill(store, augmentations=["identity", "flip"])
    assert len(kept(store, "student.pick_size=64")) == len(kept(store)) == 1


def test_a_pair_is_of_its_teacher_alone(tmp_path: Path) -> None:
    """T. stddev of other teachers belongs to no student that is left."""
    store = Store(tmp_path)
    fill(store, pairs=["resnet20/resnet8", "resnet32/resnet8", "resnet32/resnet14"])
    for text in ("pair=resnet20/resnet8", "student!=resnet14", "student=resnet14"):
        rows = read_rows(store, parse_filters([text]))
        wanted = {"resnet20"} if text.startswith("pair") else {"resnet32"}
        wanted |= {"resnet20"} if "!=" in text else set()
        assert set(rows["teacher"]) == wanted


@pytest.mark.parametrize("text", ["[60,120]", "[60, 120]", " [60,  120]"])
def test_spaces_in_a_list_do_not_matter(text: str, store: Store) -> None:
    fill(store, student={"milestones": [60, 120]})
    fill(store, student={"milestones": [80, 160]})
    (panel,) = kept(store, f"student.milestones={text}")
    assert panel.hyperparameters["student.milestones"] == "[60, 120]"


def test_where_nothing_is_left_it_is_said(store: Store) -> None:
    fill(store)
    with pytest.raises(UserError, match=r"--filter seed!=0 --filter seed=0: no trial .* is left"):
        kept(store, "seed!=0", "seed=0")
