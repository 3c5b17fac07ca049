"""What is written in a file is what is meant, and no file of a stranger's costs more than its limits."""

import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.problems import FileError, UserError
from trainer.yaml_source import MAX_DIGITS, read_yaml

GIB = 1 << 30
# The largest file is read in eight seconds of a slow core; what grows faster than the file takes hours.
ADDRESS_SPACE, CPU_SECONDS = 1 * GIB, 120


def data_of(folder: Path, text: str) -> Any:
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return read_yaml(path).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("5e-4", 5e-4),
        ("1e5", 1e5),
        ("1E+5", 1e5),
        (".5", 0.5),
        ("2.", 2.0),
        ("-0.0", -0.0),
        ("1e-05", 1e-5),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("!!float 1", 1.0),
        ("!!str 1", "1"),
        *(
            (text, text)
            for text in (
                *(
                    "007",
                    "010",
                    "-08",
                    "00",
                    "0x1F",
                    "0o17",
                    "0b101",
                    "1_000",
                    "1:30",
                    "01.5",
                    "1e",
                ),
                *("yes", "no", "on", "off", "y", "True", "FALSE", "NULL", "2024-01-31", "=", "."),
                *("2001-12-14t21:59:43.10-05:00", "+", "-.", "e5", "1.2.3", "infinity", ".Inf"),
            )
        ),
    ],
)
def test_a_plain_value(text: str, value: object, tmp_path: Path) -> None:
    read = data_of(tmp_path, f"key: {text}\n")["key"]
    assert (read, type(read), str(read)) == (value, type(value), str(value))


def test_infinity_and_nan_are_numbers_which_no_key_takes(tmp_path: Path) -> None:
    low, high, nan = data_of(tmp_path, "[-.inf, .inf, .nan]")
    assert (low, high) == (-math.inf, math.inf)
    assert math.isnan(nan)


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(LETTERS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(LETTERS, max_size=20), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_json(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    read = data_of(tmp_path_factory.getbasetemp(), json.dumps(value))
    assert repr(read) == repr(value), "which tells 1 from 1.0, and 0.0 from -0.0"


def test_merge_keys(tmp_path: Path) -> None:
    read = data_of(
        tmp_path,
        "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: [*b, {y: 9, z: 4}], x: 0}\nd: {'<<': 5}\n",
    )
    assert read["b"] == {"x": 1, "y": 3}
    assert read["c"] == {"x": 0, "y": 3, "z": 4}
    assert read["d"] == {"<<": 5}, "what is quoted is a key as any other"


def test_a_merged_value_is_told_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("base: &b\n  epochs: 3\nown:\n  <<: *b\n")
    assert read_yaml(path).problem(("own", "epochs"), "wrong").line == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "x.yaml:2:1: a: this key stands here twice"),
        ("? [1, 2]\n: 3", "x.yaml:1:3: a key is one word"),
        ("<<: 3", "x.yaml:1:5: << takes keys with values, or a list of such"),
        (f"a: {'9' * 5000}", f"x.yaml:1:4: a number of 5,000 digits; {MAX_DIGITS} are the most"),
        (f"a: {'x' * 5000}", "x.yaml:1:4: a text of 5,000 letters; 4,096 are the most"),
        ("a: !!int '010'", "x.yaml:1:4: '010': not a value of the tag tag:yaml.org,2002:int"),
        ("a: !!bool yes", "x.yaml:1:4: 'yes': not a value of the tag"),
        ("a: !!timestamp 2024-01-31", "x.yaml:1:4: the tag tag:yaml.org,2002:timestamp is not"),
        ("a: !!set {b}", "x.yaml:1:4: the tag tag:yaml.org,2002:set is not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "is not allowed"),
        (r'a: "\ud800"', r"x.yaml:1:4: '\ud800': half a character is no text"),
        (r'"\udc00": 1', r"x.yaml:1:1: '\udc00': half a character is no text"),
        (r'a: "b\0"', r"x.yaml:1:4: 'b\x00': a NUL character is no text"),
        (r'a: "\UFFFFFFFF"', "x.yaml:1:1: not YAML: "),
        ("a: \x07", "x.yaml:1:1: not YAML: unacceptable character #x0007"),
        ("a: *nothing", "x.yaml:1:4: not YAML: found undefined alias 'nothing'"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: not YAML: but found another document"),
        ("a: &a {<<: *a}", "nested at most"),
        ("a: &a [*a]", "nested at most"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileError) as raised:
        data_of(tmp_path, text)
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def aliases(levels: int, item: Callable[[str], str]) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} {item(f'*a{i - 1}')}" for i in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "aliases in lists": aliases(9, lambda a: f"[{', '.join([a] * 9)}]"),
    "aliases in complex keys": aliases(9, lambda a: f"{{? [{', '.join([a] * 9)}] : 1}}"),
    "merges": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 9)),
    "a long list": "[" + "1," * 500_000 + "1]",
    "many lines": "- 1\n" * 250_000,
    "many keys": "\n".join(f"k{i}: 1" for i in range(99_000)),
    "deep lists": "[" * 500_000,
    "deep blocks": "- " * 500_000,
    "deep mappings": "".join(f"{' ' * i}a:\n" for i in range(1_000)),
    "digits": "a: " + "1" * 1_000_000,
    "base sixty": "a: " + "1:" * 500_000 + "1",
    "digits of a float": "a: 1." + "1" * 1_000_000 + "e",
    "one word": "x" * 1_000_000,
    "anchors": "\n".join(f"- &a{i} x" for i in range(80_000)),
    "a long key": "x" * 1_000_000 + ": 1",
    "one seed many times": f"seeds: [{'1, ' * 90_000}]",
    "many seeds": f"x: 1\nseeds: [{', '.join(map(str, range(90_000)))}]",
    "many wrong pairs": f"pairs: [{', '.join(f'a{i}/b' for i in range(60_000))}]",
    "a few wrong pairs": f"pairs: [{', '.join(f'a{i}/b' for i in range(2_000))}]",
    "many wrong augmentations": f"augmentations: [{', '.join(f'flp{i}' for i in range(60_000))}]",
    "a long path": f"extends: {'x' * 1_000_000}",
    "no path": r'extends: "a\0b"',
}


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_within_bounds(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name])
    script = (
        "import sys; from pathlib import Path\n"
        "from trainer.problems import UserError\n"
        "from orchestrator.language.sweep import load_sweep\n"
        "try: load_sweep(Path(sys.argv[1]))\n"
        "except UserError as error: print(error); sys.exit(2)"
    )
    # The bounds are those of the reader alone: a child that counts lines needs more.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    ended = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_limited,
    )
    assert ended.returncode == 2, ended.stderr[-500:]
    assert len(ended.stdout) < 25_000


def test_a_file_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too long"):
        data_of(tmp_path, "#" * 2_000_000)
