"""What a sweep may say of methods, optimisers and the weights that students begin with."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cluster.packing import for_elsewhere
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.hardly_meant import hardly_meant
from orchestrator.planning.plan import expand, make_plan
from orchestrator.planning.words import describe
from orchestrator.store.store import Store
from tests.orchestrator.sweeps import TINY
from trainer.problems import FileError, UserError
from trainer.trial import StudentTrial

METHODS = """
from trainer.methods import register

@register("mine")
def mine(student, teacher, labels, temperature, *, power=2.0, word="a"):
    ...

@register("yours")
def yours(student, teacher, labels, temperature):
    ...
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a sweep of one student, and the file of methods that it may name."""
    (tmp_path / "my.py").write_text(METHODS)

    def write(**changes: Any) -> Path:
        few = {"augmentations": ["flip"], "measure": ["s_test_loss"]}
        content = TINY | few | {"methods": [str(tmp_path / "my.py")]} | changes
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
        return path

    return write


def students(sweep: Sweep) -> list[StudentTrial]:
    return [trial for trial in expand(sweep) if isinstance(trial, StudentTrial)]


def taught(sweep: Sweep) -> list[tuple[str, dict[str, Any]]]:
    return [(trial.method, dict(trial.method_options)) for trial in students(sweep)]


def test_a_student_gets_the_options_that_its_method_has(written: Any) -> None:
    grid = {
        "student.method": ["kd", "dkd", "dist", "mine"],
        "student.method_options.beta": [2, 4],
    }
    sweep = load_sweep(written(grid=grid, student={"method_options": {"power": 3}}))
    assert taught(sweep) == [
        ("kd", {}),
        ("dkd", {"alpha": 1.0, "beta": 2.0}),
        ("dkd", {"alpha": 1.0, "beta": 4.0}),
        ("dist", {"beta": 2.0, "gamma": 1.0}),
        ("dist", {"beta": 4.0, "gamma": 1.0}),
        ("mine", {"power": 3.0, "word": "a"}),
    ]
    assert sweep.varied == tuple(grid)
    assert Sweep.model_validate_json(sweep.model_dump_json()) == sweep
    told = [describe([trial], sweep.varied).partition("seed 0")[2] for trial in students(sweep)]
    assert told[:3] == [", method=kd", ", method=dkd, beta=2.0", ", method=dkd, beta=4.0"]


def test_a_search_draws_methods_and_their_options(written: Any) -> None:
    search = {
        "student.method": {"choice": ["kd", "dkd"]},
        "student.method_options.beta": {"uniform": [2, 4]},
        "samples": 8,
    }
    sweep = load_sweep(written(search=search, student={"method_options": {"alpha": 3}}))
    assert sweep.search is not None
    drawn = [point for point in sweep.search.points if point["student.method"] == "dkd"]
    dkd = [("dkd", {"alpha": 3.0, "beta": p["student.method_options.beta"]}) for p in drawn]
    assert len(dkd) == 4
    assert [one for one in taught(sweep) if one[0] == "dkd"] == dkd
    assert Sweep.model_validate_json(sweep.model_dump_json()) == sweep


def test_overrides_set_methods_and_single_options(written: Any) -> None:
    rules = [
        {"where": {"augmentation": "flip"}, "set": {"student.method": "dkd"}},
        {"where": {"seed": 0}, "set": {"student.method_options.alpha": 0.5}},
    ]
    said = {"method_options": {"beta": 2}}
    assert taught(load_sweep(written(overrides=rules, student=said))) == [
        ("dkd", {"alpha": 0.5, "beta": 2.0})
    ]


def test_kdsweep_s_methods_need_no_file_and_own_ones_are_their_file(written: Any) -> None:
    (trial,) = students(load_sweep(written(student={"method": "yours"})))
    assert trial.own_method is not None
    assert trial.own_method.source == METHODS
    (trial,) = students(load_sweep(written(student={"method": "dist"}, methods=None)))
    assert trial.own_method is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"student": {"method": "main"}},
            "student.method: unknown method 'main'; did you mean 'mi",
        ),
        (
            {"student": {"method": "dkd", "method_options": {"betta": 2}}},
            "student.method_options.betta: unknown option 'betta' of dkd; did you mean 'beta'?",
        ),
        (
            {"student": {"method": "mine", "method_options": {"power": "two"}}},
            "student.method_options.power: power of mine: expected a value like its default, power = 2.0",
        ),
        (
            {"grid": {"student.method_options.beta": [2]}},
            "unknown option 'beta' of kd; it has none",
        ),
        (
            {"grid": {"student.method": ["dkd", "dsit"]}},
            "grid.student.method[1]: unknown method 'dsit'; did you mean 'dist'?",
        ),
        (
            {"grid": {"student.method": ["dkd"], "student.method_options.beta": [2, -1]}},
            "grid.student.method_options.beta[1]: beta of dkd: expected 0 or more, not -1.0",
        ),
        (
            {"overrides": [{"where": {"seed": 0}, "set": {"student.method": "kdd"}}]},
            "overrides[0].set.student.method: unknown method 'kdd'",
        ),
        (
            {"search": {"student.method": {"choice": ["kd", "dsit"]}, "samples": 2}},
            "search.student.method.choice[1]: unknown method 'dsit'; did you mean 'dist'?",
        ),
        (
            {
                "student": {"method": "dkd"},
                "search": {"student.method_options.beta": {"uniform": [-1, 2]}, "samples": 2},
            },
            "search.student.method_options.beta.uniform[0]: beta of dkd: expected 0 or more, not -1.0",
        ),
        ({"grid": {"student.method_options": [{}]}}, "unknown hyper-parameter"),
        ({"student": {"optimiser": "adam"}}, "'adam' is unknown; expected 'sgd' or 'adamw'"),
        (
            {"student": {"checkpoint": "{studnt}.pth"}},
            "placeholder {studnt}; did you mean 'student'",
        ),
        ({"teachers": {"checkpoint": "{student}.pth"}}, "unknown placeholder {student}"),
        ({"student": {"checkpoint": {"cifar100": "a.pth"}}}, "has cifar100; expected fashion_mini"),
    ],
    ids=str,
)
def test_mistakes_are_told_with_the_nearest_right_name(
    changes: dict[str, Any], told: str, written: Any
) -> None:
    with pytest.raises(FileError) as caught:
        load_sweep(written(**changes))
    (line,) = str(caught.value).splitlines()
    assert told in line


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1", 'registers no method; expected @register("NAME")'),
        ("@register('dkd')\ndef f(s, t, labels, T): ...", "'dkd' is a name of kdsweep's own"),
        ("@register('f')\ndef f(s, t, labels, T, *, a): ...", "option 'a' of f has no default"),
        (
            f"@register('f')\ndef f(s, t, labels, T, *, a={'9' * 400}): ...",
            "True, False or None as its default, not 999",
        ),
        (f"x = {'-' * 100_000}1", "my.py: too deeply nested for Python to read it"),
        ("@register('f')\nclass F: ...", "registers no function 'f'"),
        ("def", "not a Python file"),
    ],
)
def test_a_file_of_methods_that_is_none_is_told(
    source: str, told: str, written: Any, tmp_path: Path
) -> None:
    path = written(student={"method": "f"})
    (tmp_path / "my.py").write_text(source)
    with pytest.raises(FileError) as caught:
        load_sweep(path)
    (line,) = str(caught.value).splitlines()
    assert told in line


def test_students_begin_with_the_weights_of_files(written: Any, tmp_path: Path) -> None:
    pairs = ["resnet14/resnet8", "resnet8/resnet8", "resnet8/resnet14"]
    pattern = str(tmp_path / "{student}.pth")
    sweep = load_sweep(written(pairs=pairs, student={"checkpoint": pattern}))
    (tmp_path / "resnet8.pth").write_bytes(b"weights")
    plan = make_plan(sweep, Store(tmp_path / "store"), retry_failed=False)
    assert plan.absent_checkpoints == (str(tmp_path / "resnet14.pth"),)
    unknown = [trial.student for trial in plan.trials if trial.fingerprint in plan.unknown]
    assert unknown == ["resnet14"]
    begun = [trial.checkpoint for trial in students(sweep)]
    assert [c and c.sha256 is not None for c in begun] == [True, True, False]
    (tmp_path / "resnet14.pth").mkdir()
    with pytest.raises(UserError, match=r"^student\.checkpoint: .*resnet14\.pth: a folder"):
        expand(sweep)


def test_what_travels_to_a_cluster_says_where_the_weights_are(
    written: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = load_sweep(written(student={"checkpoint": "{student}.pth"}))
    assert for_elsewhere(sweep).checkpoints == {
        "student.checkpoint *": f"{tmp_path}/{{student}}.pth"
    }


@pytest.mark.parametrize(
    ("student", "told"),
    [
        (
            {"method": "dkd", "method_warmup_epochs": 9, "distillation_weight": 0},
            "student.method, student.method_warmup_epochs: of no effect, as nothing is distilled",
        ),
        (
            {"method_warmup_epochs": 1, "epochs": 4},
            "warmup_epochs: 1: of no effect, the first epoch",
        ),
        (
            {"method_warmup_epochs": 8, "epochs": 4},
            "training ends with epoch 4, at 0.5 of the weight",
        ),
        (
            {"schedule": "cosine", "milestones": [3]},
            "student.milestones: of no effect with schedule",
        ),
        ({"schedule": "cosine", "decay": 0.5}, "student.decay: of no effect with schedule: cosine"),
        (
            {"optimiser": "adamw", "learning_rate": 0.001, "momentum": 0.5},
            "student.momentum: of no effect with optimiser: adamw",
        ),
        ({"optimiser": "adamw"}, "student.optimiser: adamw learns at 0.05, the rate for sgd"),
        (
            {"label_smoothing": 0.1, "label_weight": 0},
            "label_smoothing: of no effect with a label_we",
        ),
    ],
    ids=str,
)
def test_what_is_set_and_cannot_act_is_told(
    student: dict[str, Any], told: str, written: Any
) -> None:
    sweep = load_sweep(written(student=student, methods=None))
    (line,) = hardly_meant(sweep, expand(sweep))
    assert told in line


def test_nothing_is_told_of_what_acts(written: Any) -> None:
    said = {
        "method": "dkd",
        "method_warmup_epochs": 3,
        "epochs": 4,
        "optimiser": "adamw",
        "learning_rate": 0.001,
        "schedule": "cosine",
        "clip_norm": 1,
        "label_smoothing": 0.1,
    }
    sweep = load_sweep(written(student=said))
    assert hardly_meant(sweep, expand(sweep)) == ()
