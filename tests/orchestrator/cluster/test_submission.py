"""What is checked, packed and asked before a sweep leaves for a cluster."""

import json
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.jobs import ON_THE_HEAD, Handover
from orchestrator.cluster.packing import for_elsewhere, pack, write_packed
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.provenance import PACKAGES, TOP, git_state
from orchestrator.worker.preparation import samples
from orchestrator.worker.questions import software
from tests.orchestrator.commands import KDSWEEP, fresh_environment, run
from tests.orchestrator.planning.test_scheduling import trials
from tests.orchestrator.sweeps import write_sweep
from trainer.trial import PublishedCheckpoint, TeacherTrial

SWEEPS = Path(__file__).parents[3] / "sweeps"
PAPER = SWEEPS / "paper_cifar100.yaml"


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_packed_sweep_is_the_same_sweep(path: Path, tmp_path: Path) -> None:
    sweep = load_sweep(path)
    name = pack(sweep, tmp_path)
    packed = load_sweep(tmp_path / name)
    assert [t.fingerprint for t in expand(packed)] == [t.fingerprint for t in expand(sweep)]
    assert packed.resources == sweep.resources


NUMBERS = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(
    lambda text: text.replace("{", "").replace("}", "") or "x"
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", fullmatch=True)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """Any numbers and any text that a sweep can hold."""
    resources = {
        "cpu": draw(st.integers(1, 1024)),
        "gpu": draw(st.none() | st.floats(0, 1)),
        "custom": draw(st.dictionaries(NAMES, NUMBERS, max_size=3)),
    }
    return Sweep.model_validate(
        {
            "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)),
            "dataset": [
                "fashion_mini",
                {"name": draw(NAMES), "path": "/" + draw(TEXT), "format": "cifar10"},
            ],
            "pairs": ["resnet20/resnet8", "vgg13/vgg8"],
            "seeds": draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, unique=True)),
            "teachers": {"learning_rate": draw(st.none() | NUMBERS)}
            | draw(st.just({}) | TEXT.map(lambda path: {"checkpoint": f"/{path}/{{teacher}}"})),
            "student": {"temperature": draw(NUMBERS), "label_weight": draw(st.just(0.0) | NUMBERS)},
            "grid": {
                "student.weight_decay": draw(st.lists(NUMBERS, min_size=1, unique=True)),
                "student.learning_rate": draw(
                    st.lists(st.none() | NUMBERS, min_size=1, unique=True)
                ),
            },
            "overrides": [
                {
                    "where": {"student": "vgg8"},
                    "set": {"student.learning_rate": draw(st.none() | NUMBERS)},
                }
            ],
            "resources": {"student": resources},
            "checkpoint_every_minutes": draw(NUMBERS),
            "time_limit_minutes": draw(st.none() | NUMBERS),
            "data": "/" + draw(TEXT),
        }
    )


@given(sweeps())
def test_what_is_packed_is_read_back_equal(sweep: Sweep) -> None:
    with tempfile.TemporaryDirectory() as folder:
        packed = load_sweep(Path(folder) / write_packed(sweep, Path(folder)))
    elsewhere = for_elsewhere(sweep)
    assert packed == elsewhere
    assert repr(packed) == repr(elsewhere)


def test_a_package_runs_by_itself_and_knows_where_it_comes_from(tmp_path: Path) -> None:
    """As a cluster's node sees it, where kdsweep is not installed: `-S` leaves site-packages out."""
    name = pack(load_sweep(SWEEPS / "smoke.yaml"), tmp_path)
    assert not list(tmp_path.rglob("__pycache__"))
    libraries = [p for p in sys.path if "site-packages" in p]
    script = (
        "import sys, json; sys.path += json.loads(sys.argv[1])\n"
        "import orchestrator.store.provenance as p, orchestrator.worker.questions as q\n"
        "print(json.dumps([str(p.TOP), p.git_state(), q.software()]))"
    )
    answer = subprocess.run(
        [sys.executable, "-S", "-c", script, json.dumps(libraries)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    top, state, found = json.loads(answer.stdout)
    assert Path(top) == tmp_path
    assert tuple(state) == git_state()
    assert found == software()
    assert (tmp_path / name).exists()
    assert {p.name for p in tmp_path.iterdir()} >= set(PACKAGES)


def test_paths_of_a_sweep_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"name": "mine", "path": "images", "format": "imagefolder", "image_size": 16}
    path = write_sweep(
        tmp_path, dataset=own, data="sets", store="here", teachers={"checkpoint": "{teacher}.pth"}
    )
    sweep = for_elsewhere(load_sweep(path))
    assert sweep.dataset[0].path == str(tmp_path / "images")
    assert sweep.teachers.checkpoint_path("mine", "vgg8") == tmp_path / "vgg8.pth"
    assert (sweep.data, sweep.store) == (str(tmp_path / "sets"), None)


def test_the_command_on_the_cluster_is_safe_for_a_shell() -> None:
    handover = Handover(
        store="/a store;rm",
        data="$HOME",
        deadline="2h",
        scale_to="8,64",
        has_metrics=True,
        verb="resume",
    )
    assert handover.entrypoint("x.yaml") == (
        "exec sh orchestrator/cluster/on_the_head.sh resume x.yaml --address auto "
        "--store '/a store;rm' --yes --data '$HOME' --deadline 2h --scale-to 8,64 --prometheus"
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("--python_worker_command={folder}/of_ray a.py b.py", "of_ray"),
        ('--python_worker_command="/a folder/python" a.py', "python3"),
        ("--python_worker_command=/gone/python a.py", "python3"),
        ("--something_else=1", "python3"),
    ],
)
def test_the_python_of_a_job_is_that_of_its_head(told: str, expected: str, tmp_path: Path) -> None:
    """A raylet, its worker, and the worker's shell; where the raylet doesn't tell, the first in the PATH."""
    say_so = tmp_path / "python3"
    say_so.write_text('#!/bin/sh\necho "$0 $*"\n')
    say_so.chmod(0o755)
    told = told.format(folder=tmp_path)
    shell = ["sh", "-c", f"exec sh {TOP / ON_THE_HEAD} run 'x y'"]
    worker = f"import subprocess; subprocess.run({shell!r}, check=True)"
    raylet = (
        f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {worker!r}], check=True)"
    )
    (tmp_path / "of_ray").symlink_to(say_so)
    answer = subprocess.run(
        [sys.executable, "-c", raylet, told],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stderr == ""
    assert answer.stdout == f"{tmp_path / expected} -m orchestrator run x y\n"


def test_a_python_without_the_libraries_is_named(tmp_path: Path) -> None:
    pack(load_sweep(SWEEPS / "smoke.yaml"), tmp_path)
    answer = subprocess.run(
        [sys.executable, "-S", "-m", "orchestrator", "--version"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"{sys.executable}: typer is not installed for this Python")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--store: expected an absolute path or an address such as s3://bucket/store"),
        (("--store", "relative"), "--store: expected an absolute path"),
        (("--store", "/s"), "--data: expected the folder on the cluster's nodes that has cifar100"),
        (("--store", "/s", "--data", "x"), "--data: x: expected an absolute path"),
        (("--store", "/s", "--data", "/d", "--deadline", "soon"), "--deadline: 'soon'"),
        (("--store", "/s", "--data", "/d"), "--address: expected the cluster's dashboard"),
        (("--store", "/s", "--data", "/d", "--address", "ftp://x"), "ftp://x: expected"),
        (("--store", "/s", "--data", "/d", "--address", "http://[x"), "http://[x: expected"),
        (("--store", "/s", "--data", "/d", "--address", "http://h:99999"), "99999: expected"),
    ],
)
def test_what_a_cluster_could_not_use_is_refused_here(
    options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    code, output = run(tmp_path, "submit", PAPER, *options)
    assert (code, output.count("\n")) == (2, 1), output
    assert said in output


def test_of_many_trials_a_few_stand_for_all_that_nodes_need(tmp_path: Path) -> None:
    wanted = trials(seeds=list(range(30)), pairs=["resnet20/resnet8", "vgg8/resnet8"])
    few = samples(wanted)
    assert len(few) < 12
    assert {t.data for t in few} == {t.data for t in wanted}
    one_file_for_all = PublishedCheckpoint(path="teacher.pth", sha256="0" * 64)
    published = [
        t.model_copy(update={"checkpoint": one_file_for_all})
        for t in wanted
        if isinstance(t, TeacherTrial)
    ]
    found = [t.teacher for t in samples(published)]
    assert found == ["resnet20", "vgg8"], "each architecture is compared with the file"


def on_a_terminal(home: Path, answer: str, *arguments: object) -> tuple[int, str]:
    """Run `kdsweep ARGUMENTS` on a terminal where somebody types an answer."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [KDSWEEP, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=fresh_environment(home),
        cwd=home,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:
            break
        said += more
        if not more:
            break
    os.close(ours)
    return process.wait(timeout=60), said.decode(errors="replace")


def test_a_large_bill_is_confirmed_by_whoever_is_there(tmp_path: Path) -> None:
    store = tmp_path / "store"
    code, output = on_a_terminal(tmp_path, "n\n", "run", PAPER, "--store", store)
    assert code == 3, output
    assert "395 trials, 137 GPU-hours at 10 TFLOP/s per GPU (an assumption). Go on?" in output
    assert "nothing was started" in output
    assert not store.exists()


def test_ctrl_c_at_the_question_starts_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    code, output = on_a_terminal(tmp_path, "\x04", "run", PAPER, "--store", store)
    assert code == 3, output
    assert "nothing was started" in output
    assert not store.exists()


def test_nobody_is_asked_where_nobody_is_there(tmp_path: Path) -> None:
    """Without a terminal it begins, and says what is missing."""
    code, output = run(tmp_path, "run", PAPER, "--store", tmp_path / "store")
    assert code == 2
    assert "Go on?" not in output
    assert "cifar-100" in output
