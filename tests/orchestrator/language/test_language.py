"""Grids, overrides, points left out, sweeps that extend others; laws of expansion; the shipped papers."""

import json
import random
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.language.json_schema import sweep_schema
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import TINY, write_sweep
from trainer.problems import FileError, UserError
from trainer.trial import StddevTrial, StudentTrial, TeacherTrial, Trial

SWEEPS = Path(__file__).parents[3] / "sweeps"
EXAMPLES = Path(__file__).parents[3] / "examples"


def sweep(**changes: Any) -> Sweep:
    content = {
        "name": "x",
        "dataset": "fashion_mini",
        "pairs": ["resnet20/resnet8", "resnet20/vgg8", "vgg13/vgg8"],
        "augmentations": ["identity", "flip", "cutmixpick_s"],
        "seeds": [0, 1],
    }
    return Sweep.model_validate(content | changes)


def prints(trials: Collection[Trial]) -> set[str]:
    return {trial.fingerprint for trial in trials}


def students(wanted: Sweep) -> list[StudentTrial]:
    return [trial for trial in expand(wanted) if isinstance(trial, StudentTrial)]


def stddevs(wanted: Sweep) -> list[StddevTrial]:
    return [trial for trial in expand(wanted) if isinstance(trial, StddevTrial)]


# Grids


def test_a_grid_is_the_product_of_its_axes() -> None:
    wanted = sweep(grid={"student.temperature": [2, 4], "student.label_weight": [0.1, 0.5]})
    found = Counter((t.temperature, t.label_weight) for t in students(wanted))
    assert found == dict.fromkeys([(2.0, 0.1), (2.0, 0.5), (4.0, 0.1), (4.0, 0.5)], 18)
    assert prints(expand(sweep())) < prints(expand(wanted))


def test_what_an_axis_does_not_touch_is_shared() -> None:
    wanted = sweep(grid={"student.temperature": [2, 4]})
    assert sum(isinstance(t, TeacherTrial) for t in expand(wanted)) == 2
    by_kind = Counter(t.augmentation for t in stddevs(wanted))
    assert by_kind == {"identity": 4, "flip": 4, "cutmixpick_s": 12}


def test_axes_over_teachers_measurements_and_randomness() -> None:
    wanted = sweep(
        grid={
            "teachers.epochs": [10, 20],
            "stddev.batches_per_window": [5, 10],
            "randomness": ["batch", "sample"],
        }
    )
    teachers = [t for t in expand(wanted) if isinstance(t, TeacherTrial)]
    assert sorted((t.teacher, t.epochs) for t in teachers) == [
        *(("resnet20", 10), ("resnet20", 20), ("vgg13", 10), ("vgg13", 20))
    ]
    assert {(t.batches_per_window, t.randomness) for t in stddevs(wanted)} == {
        *((5, "batch"), (5, "sample"), (10, "batch"), (10, "sample"))
    }


# Overrides


def test_an_override_acts_where_it_matches_and_later_ones_win() -> None:
    wanted = sweep(
        overrides=[
            {"where": {"student": "vgg8"}, "set": {"student.learning_rate": 0.02}},
            {
                "where": {"pair": "vgg13/vgg8", "augmentation": ["flip", "identity"]},
                "set": {"student.learning_rate": 0.03, "student.temperature": 2},
            },
        ]
    )
    for trial in students(wanted):
        rate, temperature = 0.05, 4.0
        if trial.student == "vgg8":
            rate = 0.02
        if trial.teacher == "vgg13" and trial.augmentation != "cutmixpick_s":
            rate, temperature = 0.03, 2.0
        assert (trial.learning_rate, trial.temperature) == (rate, temperature)
    untouched = [t for t in expand(sweep()) if t.student == "resnet8"]
    assert prints(untouched) <= prints(expand(wanted))


def test_an_override_wins_over_the_grid() -> None:
    wanted = sweep(
        grid={"student.temperature": [2, 4]},
        overrides=[{"where": {"student": "vgg8"}, "set": {"student.temperature": 8}}],
    )
    found = Counter((t.student, t.temperature) for t in students(wanted))
    assert found == {("resnet8", 2.0): 6, ("resnet8", 4.0): 6, ("vgg8", 8.0): 12}


def test_a_teacher_and_its_measurements_can_be_overridden_for_all_its_pairs() -> None:
    wanted = sweep(
        overrides=[
            {
                "where": {"teacher": "vgg13"},
                "set": {"teachers.epochs": 99, "stddev.epochs": 7},
            }
        ]
    )
    for trial in expand(wanted):
        if isinstance(trial, TeacherTrial):
            assert trial.epochs == (99 if trial.teacher == "vgg13" else 240)
        if isinstance(trial, StddevTrial):
            assert trial.epochs == (7 if trial.teacher == "vgg13" else 10)


# Points left out


def test_exclude_and_include() -> None:
    wanted = sweep(exclude=[{"pair": "vgg13/vgg8", "augmentation": "flip"}, {"seed": 1}])
    found = {(f"{t.teacher}/{t.student}", t.augmentation, t.seed) for t in students(wanted)}
    assert len(found) == 8
    assert ("vgg13/vgg8", "flip", 0) not in found
    assert not [t for t in stddevs(wanted) if (t.teacher, t.augmentation) == ("vgg13", "flip")]
    only = sweep(include=[{"teacher": "vgg13"}], exclude={"augmentation": "identity"})
    assert {(t.teacher, t.augmentation) for t in students(only)} == {
        *(("vgg13", "flip"), ("vgg13", "cutmixpick_s"))
    }
    assert prints(expand(only)) < prints(expand(sweep()))


def test_a_shared_measurement_stays_while_one_pair_needs_it() -> None:
    wanted = sweep(exclude=[{"pair": "resnet20/vgg8"}])
    shared = [t for t in stddevs(wanted) if t.teacher == "resnet20" and t.augmentation == "flip"]
    assert len(shared) == 2


# Extending


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


BASE = """
name: base
dataset: {name: fashion_mini, train_images: 600}
pairs: [resnet20/resnet8]
seeds: [0, 1]
student: {epochs: 3, milestones: [2]}
exclude: [{seed: 1}]
"""


def test_a_sweep_extends_another(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "base.yaml", BASE)
    child = write(
        tmp_path / "below" / "child.yaml",
        "extends: ../base.yaml\nname: child\nstudent: {epochs: 5}\ndataset: fashion_mini\nexclude: null\n",
    )
    made = load_sweep(child)
    assert (made.name, made.seeds, made.exclude) == ("child", (0, 1), ())
    assert (made.student.epochs, made.student.milestones) == (5, (2,))
    assert made.dataset[0].train_images is None
    grandchild = write(tmp_path / "grandchild.yaml", "extends: below/child.yaml\nseeds: [7]\n")
    assert load_sweep(grandchild).seeds == (7,)


def problems(path: Path) -> list[str]:
    with pytest.raises(FileError) as caught:
        load_sweep(path)
    return str(caught.value).splitlines()


def test_a_mistake_is_told_where_it_stands(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", BASE.replace("milestones", "milestone"))
    child = write(tmp_path / "child.yaml", "extends: base.yaml\npairs: [resnet20/resnt8]\n")
    assert problems(child) == [
        f"{base}:6:22: student.milestone: unknown key; did you mean 'milestones'?",
        f"{child}:2:9: pairs[0]: unknown model 'resnt8'; did you mean 'resnet8'?",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("extends: none.yaml", "1:1: extends: {}/none.yaml: no such file"),
        ("extends: sweep.yaml", "1:1: extends: {}/sweep.yaml extends this file"),
        ("extends: [a, b]", "1:1: extends: expected the path of one sweep file"),
    ],
)
def test_what_cannot_be_extended(content: str, expected: str, tmp_path: Path) -> None:
    path = write(tmp_path / "sweep.yaml", content)
    assert problems(path) == [f"{path}:{expected.format(tmp_path)}"]


def test_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml")
    path = write(tmp_path / "b.yaml", "extends: a.yaml")
    assert "extends this file" in problems(path)[0]


# Mistakes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"grid": {"student.temprature": [1]}},
            "grid.student.temprature: unknown hyper-parameter; did you mean 'student.temperature'?",
        ),
        ({"grid": {"student.epochs": [1, "x"]}}, "grid.student.epochs: expected a number, not 'x'"),
        (
            {"grid": {"student.epochs": [2, 2]}},
            "grid.student.epochs: the same value stands here twice",
        ),
        ({"grid": {"seeds": [1]}}, "unknown hyper-parameter"),
        (
            {"overrides": [{"where": {"student": "vgg8"}, "set": {"student.epochs": 3}}]},
            "overrides[0].where.student: vgg8 is no student of this sweep; known are resnet8",
        ),
        (
            {"overrides": [{"where": {"studnt": "vgg8"}, "set": {"student.epochs": 3}}]},
            "overrides[0].where.studnt: unknown key; did you mean 'student'?",
        ),
        (
            {"overrides": [{"where": {"student": "resnet8"}, "set": {"stddev.epochs": 3}}]},
            "overrides[0].where.student: stddev.epochs is shared by all pairs of a teacher",
        ),
        (
            {"overrides": [{"where": {"seed": 0}, "set": {"teachers.epochs": 3}}]},
            "where may name dataset, teacher",
        ),
        (
            {"overrides": [{"where": {"seed": 0}, "set": {"student.epochs": 0}}]},
            "overrides[0].set.student.epochs: expected greater than or equal to 1, not 0",
        ),
        ({"overrides": [{"where": {}, "set": {"student.epochs": 1}}]}, "expected at least one of"),
        ({"exclude": [{"seed": 5}]}, "exclude[0].seed: 5 is no seed of this sweep; known are 0"),
        ({"exclude": {"pair": "a/b"}}, "exclude.pair: a/b is no pair of this sweep"),
        ({"include": [{"augmentation": "flp"}]}, "flp is no augmentation of this sweep"),
        (
            {"resources": {"student": {"custom": {"mem": -1}}}},
            "custom.mem: expected greater than 0",
        ),
    ],
)
def test_each_mistake_is_named_with_its_place(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    (line,) = problems(write_sweep(tmp_path, **changes))
    assert expected in line


# Laws


SOME = {
    "pairs": st.lists(
        st.sampled_from(["resnet20/resnet8", "resnet20/vgg8", "vgg13/vgg8"]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    "augmentations": st.lists(
        st.sampled_from(["identity", "flip", "cutmixpick_s", "mixuppick_k"]),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    "seeds": st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True),
    "grid": st.sampled_from(
        [{}, {"student.temperature": [2, 4]}, {"stddev.epochs": [9, 8], "student.epochs": [5, 7]}]
    ),
    "measure": st.sampled_from([["t_stddev"], ["s_test_loss"], ["s_test_loss", "t_stddev"]]),
}
CONTENTS = st.fixed_dictionaries(SOME)
few = settings(max_examples=25, deadline=None)


@few
@given(CONTENTS, st.randoms(use_true_random=False))
def test_the_order_of_keys_and_lists_does_not_matter(
    content: dict[str, Any], chance: random.Random
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: shuffled(v) for k, v in chance.sample(list(value.items()), len(value))}
        return chance.sample(value, len(value)) if isinstance(value, list) else value

    trials = expand(sweep(**content))
    assert len(prints(trials)) == len(trials)
    assert [t.fingerprint for t in expand(sweep(**content))] == [t.fingerprint for t in trials]
    assert prints(expand(sweep(**shuffled(content)))) == prints(trials)


@few
@given(CONTENTS, st.integers(6, 9))
def test_a_further_seed_adds_exactly_its_trials(content: dict[str, Any], seed: int) -> None:
    before = prints(expand(sweep(**content)))
    after = expand(sweep(**content | {"seeds": [*content["seeds"], seed]}))
    assert before <= prints(after)
    added = [t for t in after if t.fingerprint not in before]
    assert added
    assert {t.seed for t in added} == {seed}
    assert "teacher" not in {t.kind for t in added}


@few
@given(CONTENTS)
def test_names_and_resources_change_no_fingerprint(content: dict[str, Any]) -> None:
    resources = {"student": {"cpu": 3, "gpu": 0.5, "accelerator": "A100", "custom": {"x": 1}}}
    other = sweep(**content, resources=resources).model_copy(update={"name": "other"})
    assert prints(expand(other)) == prints(expand(sweep(**content)))


@few
@given(CONTENTS)
def test_a_trial_stands_after_what_it_depends_on(content: dict[str, Any]) -> None:
    seen: set[str] = set()
    for trial in expand(sweep(**content)):
        assert seen.issuperset(trial.depends_on)
        seen.add(trial.fingerprint)


# The shipped sweeps


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("paper_cifar100", (5, 243, 147)),
        ("paper_tinyimagenet", (5, 243, 147)),
        ("paper_published_teachers", (5, 243, 147)),
        ("paper_published_tinyimagenet", (5, 243, 147)),
        ("paper_smoke", (5, 81, 49)),
        ("paper_prolonged", (5, 216, 99)),
    ],
)
def test_the_papers_counts(name: str, counts: tuple[int, int, int]) -> None:
    kinds = Counter(trial.kind for trial in expand(load_sweep(SWEEPS / f"{name}.yaml")))
    assert (kinds["teacher"], kinds["student"], kinds["stddev"]) == counts


def test_the_prolonged_sweep_shares_what_the_paper_s_has() -> None:
    paper = prints(expand(load_sweep(SWEEPS / "paper_cifar100.yaml")))
    prolonged = expand(load_sweep(SWEEPS / "paper_prolonged.yaml"))
    assert {t.epochs for t in prolonged if t.fingerprint not in paper} == {480, 10}
    assert {t.epochs for t in prolonged if isinstance(t, StudentTrial)} == {240, 480}
    assert sum(t.fingerprint in paper for t in prolonged) == 5 + 108 + 72


SCHEMA = jsonschema.Draft202012Validator(sweep_schema())


@pytest.mark.parametrize(
    "path", sorted([*SWEEPS.glob("*.yaml"), *EXAMPLES.glob("*.yaml")]), ids=lambda p: p.name
)
def test_shipped_sweeps_follow_the_schema_that_they_name(path: Path) -> None:
    assert list(SCHEMA.iter_errors(yaml.safe_load(path.read_text()))) == []
    if path.parent == SWEEPS:
        assert path.read_text().startswith("# yaml-language-server: $schema=sweep.schema.json\n")


def test_the_shipped_schema_is_what_the_command_prints(tmp_path: Path) -> None:
    code, output = run(tmp_path, "schema")
    assert code == 0
    assert json.loads(output) == json.loads((SWEEPS / "sweep.schema.json").read_text())


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "cifr"},
        {"pairs": ["resnet8/resnt8"]},
        {"foo": 1},
        {"student": {"epoch": 1}},
        {"grid": {"student.epoch": [1]}},
        {"exclude": [{"sed": 1}]},
    ],
)
def test_the_schema_knows_mistakes_too(changes: dict[str, Any]) -> None:
    assert list(SCHEMA.iter_errors(TINY | changes))


def test_rules_that_leave_nothing_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trials are left"):
        expand(load_sweep(write_sweep(tmp_path, exclude=[{"seed": 0}])))
