"""What a command sets in a sweep (`--set KEY=VALUE`): what it changes, what it leaves, how its mistakes are told."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from orchestrator.language.changes import with_changes
from orchestrator.language.inheritance import read_sweep
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import FileError, UserError
from trainer.yaml_source import parse_yaml

KEYS = st.sampled_from(["a", "b", "c", "grid", "seeds"])
PATHS = st.lists(KEYS, min_size=1, max_size=3)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("abc :#'\"é", max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=5,
)


def in_place(path: list[str]) -> tuple[str, ...]:
    return (path[0], ".".join(path[1:])) if path[0] == "grid" and path[1:] else tuple(path)


def at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


@given(st.lists(st.tuples(PATHS, VALUES), min_size=1, max_size=4))
def test_what_was_set_last_is_read_back(settings: list[tuple[list[str], Any]]) -> None:
    source = parse_yaml("kept: {x: [1, 2]}", Path("sweep.yaml"))
    before = json.dumps(source.data)
    try:
        made = with_changes(
            source, [f"{'.'.join(path)}={json.dumps(value)}" for path, value in settings]
        )
    except FileError:
        reject()  # a key below a value: its mistake is tested beside
    path, value = settings[-1]
    assert at(made.data, in_place(path)) == value
    assert made.data["kept"] == {"x": [1, 2]}
    assert len(made.data["was_set"]) == len(settings)
    assert json.dumps(source.data) == before
    assert all(mark.line == 0 for key, mark in made.marks.items() if key and key[0] != "kept")


def test_it_is_applied_after_extends_and_taken_down(tmp_path: Path) -> None:
    write_sweep(tmp_path, student={"epochs": 7, "batch_size": 16}, seeds=[0, 1])
    child = tmp_path / "child.yaml"
    child.write_text("extends: sweep.yaml\nstudent: {epochs: 5}\n")
    changes = ["student.epochs=3", "augmentations=[identity, mixup]", "student.batch_size=null"]
    changes += ["grid.student.temperature=[2, 4]", "seeds={first: 4, count: 2}"]
    sweep = load_sweep(child, changes)
    same = write_sweep(
        tmp_path,
        student={"epochs": 3},
        augmentations=["identity", "mixup"],
        grid={"student.temperature": [2, 4]},
        seeds=[4, 5],
    )
    assert sweep.was_set == tuple(changes)
    assert sweep.model_copy(update={"was_set": ()}) == load_sweep(same)
    assert expand(sweep) == expand(load_sweep(same))
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(sweep.model_dump_json())
    assert load_sweep(resolved) == sweep
    again = load_sweep(resolved, ["seeds=[1]"])
    assert (again.seeds, again.was_set) == ((1,), (*changes, "seeds=[1]"))


def test_the_source_is_left_as_it_was(tmp_path: Path) -> None:
    source = read_sweep(write_sweep(tmp_path))
    before = json.dumps(source.data)
    with_changes(source, ["student.epochs=9"])
    assert json.dumps(source.data) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("student.epoch=3", "--set student.epoch: unknown key; did you mean 'epochs'?"),
        ("student={epoch: 3}", "--set student.epoch: unknown key; did you mean 'epochs'?"),
        ("studnet.epochs=3", "--set studnet: unknown key; did you mean 'student'?"),
        ("student.epochs=yes", "--set student.epochs: expected a number, not 'yes'"),
        (
            "augmentations=[identity, mixp]",
            "--set augmentations[1]: unknown augmentation 'mixp'; did you mean 'mixup'?",
        ),
        ("pairs.0=x", "--set pairs.0: pairs is a list and has no keys: set it as a whole"),
        ("name.x=1", "--set name.x: name is 'tiny' and has no keys: set it as a whole"),
        (
            "grid.student.temp=3",
            "--set grid.student.temp: unknown hyper-parameter; did you mean 'student.temperature'?",
        ),
        ("student.epochs=[1", "--set student.epochs: not YAML: expected ',' or ']'"),
        ("notes=!!python/name:os.system", "--set notes: the tag tag:yaml.org,2002:python/name:os"),
        ("student.epochs", "--set student.epochs: expected KEY=VALUE, as in student.epochs=3"),
        ("student.epochs=", "--set student.epochs=: expected KEY=VALUE"),
        ("student..epochs=3", "--set student..epochs=3: expected KEY=VALUE"),
        ("extends=other.yaml", "--set extends: a file says itself what it extends"),
        (f"notes={'x' * 4096}", "--set notes: 4,102 letters; 4,096 are the most"),
        ("schemes=none.py", "--set schemes: none.py: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_told_with_its_key(change: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_sweep(write_sweep(tmp_path), [change])
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_mistakes_of_file_and_command_are_told_together(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, pairs=["resnt8/resnet8"])
    with pytest.raises(UserError) as caught:
        load_sweep(path, ["student.epochs=0"])
    first, second = str(caught.value).splitlines()
    assert first.startswith("--set student.epochs: expected greater than or equal to 1")
    assert second.startswith(f"{path}:")
