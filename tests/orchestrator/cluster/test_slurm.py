"""Sweeps as jobs of a real Slurm, of three nodes on this machine: submitted, warned, stopped, refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.provenance import TOP
from orchestrator.store.store import Store
from tests.orchestrator.commands import run, wait_until
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.slurm import Slurm, why_not
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.data_files import write_image_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("slurm"),
]

no_slurm = why_not()
needs_slurm = pytest.mark.skipif(no_slurm is not None, reason=no_slurm or "")

ON_CPUS: dict[str, Any] = {kind: {"gpu": 0} for kind in ("teacher", "student", "stddev")}
HEAD = re.compile(r"^node n1: head at (\S+): 1 CPUs, 1 GPUs$", re.MULTILINE)
RUN_FOLDER = re.compile(r"Ray's own logs, while it runs: (/\S+/kdsweep-run-\w+)/")
NOBODY = 65534
BUSY_MACHINE_S = 400


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    daemons = Slurm()
    try:
        daemons.start()
        yield daemons
    finally:
        daemons.stop()


class Person:
    """Somebody with a home of their own who has an account there."""

    def __init__(self, home: Path, slurm: Slurm) -> None:
        self._home = home
        self._environment = {**slurm.environment, "XDG_STATE_HOME": str(home / "state")}

    def does(self, *arguments: object) -> tuple[int, str]:
        """Exit code and output of a command of kdsweep's."""
        return run(self._home, *arguments, environment=self._environment, timeout=BUSY_MACHINE_S)

    def submits(self, sweep: Path, store: Store, *options: object, time: str = "10m") -> str:
        there = ("--store", store.root, "--time", time)
        code, output = self.does("slurm", sweep, *there, *options)
        assert code == 0, output
        return output.partition("submitted: ")[2].partition("\n")[0]

    def log(self, job: str) -> str:
        code, output = self.does("logs", job)
        assert code == 0, output
        return output

    def job(self, name: str) -> dict[str, Any]:
        """As `kdsweep jobs` tells of it."""
        code, output = self.does("jobs", "--json")
        assert code == 0, output
        (found,) = [job for job in json.loads(output) if job["job_id"] == name]
        return dict(found)


@pytest.fixture
def person(tmp_path: Path, slurm: Slurm) -> Person:
    home = tmp_path / "it's a home"
    home.mkdir()
    return Person(home, slurm)


@needs_slurm
def test_a_sweep_on_two_nodes_that_is_warned_goes_on_and_gives_the_same_rows(
    person: Person, slurm: Slurm, tmp_path: Path, sweep: Path, undisturbed: Store
) -> None:
    """Slurm's warning: saved, queued again by itself, finished. What is edited meanwhile changes nothing."""
    mine, store = tmp_path / "mine.yaml", Store(tmp_path / "store")
    shutil.copy(sweep, mine)
    job = person.submits(mine, store, "--nodes", 2, "--cpus-per-node", 2)
    mine.write_text("no sweep any more")
    wait_until(
        lambda: any(s.epochs == 8 and s.step for s in store.signs.running().values()),
        timeout=BUSY_MACHINE_S,
    )
    slurm.call("scancel", "--batch", "--signal=USR1", job.removeprefix("slurm-"))
    slurm.wait_for(job, "PENDING")
    assert person.job(job)["status"] == "PENDING"
    assert f"{job} is queued again, and goes on from what is saved" in person.log(job)
    assert 0 < len(store.finished()) < 7
    assert not store.signs.running()

    slurm.start_at_once(job)
    code, output = person.does("logs", "-f", job)
    assert code == 0, output
    assert output.count("node n1: head at") == 2
    assert output.count("node n2: joined: 2 CPUs, 0 GPUs") == 2
    assert "every node has what it needs (2 nodes)" in output
    assert "Traceback" not in output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    assert not list(store.root.glob("begun/*"))
    told = person.job(job)
    assert (told["status"], told["exit_code"], told["sweep"]) == ("SUCCEEDED", 0, "tiny")
    (row, *_) = store.results().to_pylist()
    assert "run tiny.yaml --address " in row["command"]
    assert row["git_commit"]


@needs_slurm
def test_two_jobs_at_once_with_gpus_and_a_token_each(
    person: Person, slurm: Slurm, tmp_path: Path
) -> None:
    """Both share nodes and neither reaches the other's Ray; one is stopped in order, and not queued again."""
    long = write_sweep(tmp_path, resources=ON_CPUS, student={"epochs": 5000})
    store, other = Store(tmp_path / "store"), Store(tmp_path / "other")
    first = person.submits(long, store, "--nodes", 2, "--gpus-per-node", 1)
    wait_until(
        lambda: any(sign.epochs == 5000 for sign in store.signs.running().values()),
        timeout=BUSY_MACHINE_S,
    )
    (tmp_path / "small").mkdir()
    small = write_sweep(tmp_path / "small", name="small", augmentations=["identity"])
    second = person.submits(small, other, "--sbatch", "--nodelist=n1")

    log = person.log(first)
    (address,) = HEAD.findall(log)
    (folder,) = map(Path, RUN_FOLDER.findall(log))
    assert "node n2: joined: 1 CPUs, 1 GPUs" in log
    token = folder / "token"
    assert (folder.stat().st_mode & 0o777, token.stat().st_mode & 0o777) == (0o700, 0o600)
    plan = ("plan", small, "--store", other.root, "--address", address)
    code, output = run(tmp_path, *plan, environment={"RAY_AUTH_TOKEN_PATH": str(token)})
    assert code == 0, output
    assert "on 2 GPUs" in output
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}
    code, output = run(tmp_path, *plan, environment=wrong)
    assert code == 2, output
    assert "it asks for a token" in output
    as_another = subprocess.run(
        ["cat", token], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False
    )
    assert as_another.returncode == 1
    assert b"Permission denied" in as_another.stderr
    secret = token.read_bytes()
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            assert secret not in _content(process / name)

    code, output = person.does("logs", "-f", second)
    assert code == 0, output
    assert len(other.finished()) == 3
    code, output = person.does("stop", first)
    assert code == 0, output
    assert f"{first}: stopped; submitted again, it goes on" in output
    slurm.wait_for(first, "FAILED")  # so Slurm calls any code but 0
    told = person.job(first)
    assert (told["status"], told["exit_code"]) == ("STOPPED", 3)
    assert store.failures().num_rows == 0
    assert not store.signs.running()
    assert not folder.exists()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@needs_slurm
def test_bad_input_in_the_job_ends_with_2_and_is_not_queued_again(
    person: Person, slurm: Slurm, tmp_path: Path
) -> None:
    """What can be seen only where the job runs: data that went while it waited, an environment that is none."""
    data = tmp_path / "data" / "mine"
    write_image_folder(data, each=40)
    images = {"name": "mine", "path": str(data), "format": "imagefolder", "image_size": 16}
    sweep = write_sweep(tmp_path, dataset=images, stddev={"epochs": 10})
    store = Store(tmp_path / "store")
    gone = person.submits(sweep, store, "--sbatch", "--hold")
    no_environment = person.submits(sweep, store, "--setup", "false")
    shutil.rmtree(data)
    slurm.call("scontrol", "release", gone.removeprefix("slurm-"))
    for job, told in ((no_environment, ""), (gone, f"{data}")):
        code, output = person.does("logs", "-f", job)
        assert code == 2, output
        assert told in output
        assert "Traceback" not in output
        slurm.wait_for(job, "FAILED")
        found = person.job(job)
        assert (found["status"], found["exit_code"]) == ("FAILED", 2)
    assert not store.finished()


@needs_slurm
def test_a_job_that_waits_is_told_and_taken_out_of_the_queue(
    person: Person, slurm: Slurm, tmp_path: Path
) -> None:
    sweep, store = write_sweep(tmp_path), Store(tmp_path / "store")
    job = person.submits(sweep, store, "--sbatch", "--hold")
    there = ("slurm", sweep, "--store", store.root, "--time", "10m")
    code, output = person.does(*there, "--partition", "nowhere")
    assert code == 2
    assert output.splitlines() == [
        f"{job} is pending with this sweep; both will share the work",
        "sbatch: invalid partition specified: nowhere; Batch job submission failed: "
        "Invalid partition name specified",
    ]
    code, output = person.does("stop", job)
    assert code == 0, output
    assert f"{job}: stopped; submitted again, it goes on" in output
    slurm.wait_for(job, "CANCELLED")
    code, output = person.does("stop", job)
    assert output == f"{job} is over already: stopped\n"
    code, output = person.does("logs", "-f", job)
    assert code == 3


@needs_slurm
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--time", "1h", "--partition", "short"), "Requested time limit is invalid"),
        (("--time", "5m", "--nodes", 9), "More processors requested than permitted"),
        (("--time", "5m", "--gpus-per-node", 3), "Requested node configuration is not available"),
        (("--time", "5m", "--sbatch", "--no-such"), "unrecognized option '--no-such'"),
    ],
)
def test_a_refusal_of_sbatch_is_one_line(
    options: tuple[object, ...], expected: str, person: Person, tmp_path: Path
) -> None:
    code, output = person.does("slurm", write_sweep(tmp_path), *options)
    assert (code, output.count("\n")) == (2, 1), output
    assert expected in output
    assert not list(tmp_path.rglob("job.sh"))


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({"pairs": ["resnet8/resnt8"]}, (), "did you mean 'resnet8'?"),
        ({}, ("--time", "soon"), "--time: 'soon': expected hours, minutes or seconds"),
        ({}, ("--sbatch", "--array=1-2"), "--sbatch: --array is set by kdsweep slurm itself"),
        (
            {"resources": {"student": {"gpu": 1}}},
            (),
            "resources.student: a job takes 1 GPU, and --gpus-per-node is 0",
        ),
        (
            {"resources": {"stddev": {"cpu": 8}}},
            ("--cpus-per-node", 4),
            "resources.stddev: a job takes 8 CPUs, and --cpus-per-node is 4",
        ),
        (
            {"resources": {"teacher": {"custom": {"bigmem": 1}}}},
            (),
            "resources.teacher: custom bigmem: no node has it, as Slurm knows nothing of it",
        ),
    ],
)
def test_bad_input_is_told_before_anything_is_submitted(
    changes: dict[str, Any], options: tuple[object, ...], expected: str, tmp_path: Path
) -> None:
    """Also where there is no Slurm: the command is not looked for before."""
    sweep = write_sweep(tmp_path, **changes)
    code, output = run(tmp_path, "slurm", sweep, "--time", "1h", *options)
    assert (code, output.count("\n")) == (2, 1), output
    assert expected in output
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.yaml"]


def test_damaged_data_are_told_before_anything_is_submitted(tmp_path: Path) -> None:
    archive = tmp_path / "data" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(b"half of it")
    sweep = write_sweep(tmp_path, dataset="cifar10")
    code, output = run(tmp_path, "slurm", sweep, "--time", "1h", "--data", archive.parent)
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith(f"{archive}: ")


def test_a_node_that_does_not_come_ends_the_job(tmp_path: Path) -> None:
    """The head was started for nothing, and nothing of it is left."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "orchestrator.cluster.slurm", "launch"),
            *(write_sweep(tmp_path), "--store", tmp_path / "store"),
            *("--nodes", "2", "--others", "sh -c 'exit 7'"),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 3, answer.stderr
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("of 2 nodes")]
    assert "came: what was to start the others ended with 7; nothing was trained" in line
    assert not (tmp_path / "store").exists()


def test_the_others_need_something_that_starts_them(tmp_path: Path) -> None:
    """A script for another system may lack it; a second node on this machine would have its CPUs twice."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "orchestrator.cluster.slurm", "launch"),
            *(write_sweep(tmp_path), "--store", tmp_path / "store", "--nodes", "2"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert (
        "--nodes 2: expected --others, what starts a program on each further node" in answer.stderr
    )


def test_a_printed_script_imports_nothing_from_where_somebody_stands(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, augmentations=["identity"], resources=ON_CPUS)
    there = ("slurm", sweep, "--store", tmp_path / "store", "--time", "1h", "--nodes", 2, "--print")
    code, script = run(tmp_path, *there)
    assert code == 0, script
    (tmp_path / "trainer.py").write_text("raise SystemExit('not the trainer that is meant')\n")
    answer = subprocess.run(
        ["bash", "-c", re.sub('others=".*"', 'others="env"', script)],
        env={**os.environ, "TMPDIR": str(tmp_path), "SLURM_JOB_NUM_NODES": "2"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "every node has what it needs (2 nodes)" in answer.stdout


def test_a_python_that_is_not_kdsweep_s_is_told_in_one_line(tmp_path: Path) -> None:
    """As where the batch script activates no environment, or another one. `-S`: without what is installed."""
    answer = subprocess.run(
        [sys.executable, "-S", "-m", "orchestrator.cluster.slurm", "launch", "x.yaml"],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"{sys.executable}: No module named ")
    assert "kdsweep slurm --setup names what activates it" in line
