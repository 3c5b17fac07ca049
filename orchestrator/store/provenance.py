"""Where a result comes from: versions, commit, host, command."""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
"""Where kdsweep's packages are."""

PACKAGES = ("analysis", "orchestrator", "trainer")
"""All of kdsweep's code."""

COMMIT_FILE = "kdsweep-commit.json"
"""Beside packages that were submitted to a cluster: the state of the checkout that they come from."""

VERSIONED = ("kdsweep", "torch", "ray")

LIBRARIES = ("numpy", "pillow", "pyarrow", "safetensors", "torchvision")
"""What else a result may depend on."""

RECORDED_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "SLURM_JOB_ID",
)
"""All other environment variables stay out of the store: some hold secrets."""


@functools.cache
def git_state() -> tuple[str | None, bool | None]:
    """The commit of kdsweep's own checkout and whether it has local changes; None outside of one."""
    git = shutil.which("git")
    if (TOP / COMMIT_FILE).exists():
        commit, is_dirty = json.loads((TOP / COMMIT_FILE).read_text())
        return commit, is_dirty
    if git is None or not (TOP / ".git").exists():
        return None, None
    describe = [
        git,
        "-C",
        str(TOP),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty",
        "--exclude=*",
    ]
    answer = subprocess.run(describe, capture_output=True, text=True, check=False)  # noqa: S603
    commit = answer.stdout.strip()
    return commit.removesuffix("-dirty") or None, commit.endswith("-dirty")


@functools.cache
def digest_of(*packages: str) -> str:
    """SHA-256 of the Python files of some of kdsweep's packages, as they lie here."""
    code = hashlib.sha256()
    for package in packages:
        for file in sorted((TOP / package).rglob("*.py")):
            code.update(f"{file.relative_to(TOP).as_posix()}\0".encode() + file.read_bytes())
    return code.hexdigest()


def trainer_digest() -> str:
    """SHA-256 of the code that computes trials."""
    return digest_of("trainer")


def library_versions() -> str:
    """The libraries beside torch and Ray that are installed, and their versions, as JSON."""
    return json.dumps({name: v for name in LIBRARIES if (v := version_of(name)) is not None})


def version_of(name: str) -> str | None:
    """The version of an installed library; None where it is not."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def recorded_environment(environment: Mapping[str, str]) -> str:
    """The environment variables of the allow-list that are set, as JSON."""
    return json.dumps({k: environment[k] for k in RECORDED_VARIABLES if k in environment})


def provenance() -> dict[str, Any]:
    """The columns of a result row that name software, host and surroundings."""
    versions = {f"{name}_version": importlib.metadata.version(name) for name in VERSIONED}
    commit, dirty = git_state()
    return {
        **versions,
        "libraries": library_versions(),
        "trainer_sha256": trainer_digest(),
        "python_version": platform.python_version(),
        "git_commit": commit,
        "git_dirty": dirty,
        "host": socket.gethostname(),
        "environment": recorded_environment(os.environ),
    }
