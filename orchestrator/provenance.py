"""Where a result comes from: versions, commit, host."""

import functools
import importlib.metadata
import platform
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

VERSIONED = ("kdsweep", "torch", "ray")


@functools.cache
def git_commit() -> str | None:
    """The commit of kdsweep's own checkout, with `-dirty` for local changes; None outside of one."""
    git = shutil.which("git")
    top = Path(__file__).resolve().parent.parent
    if git is None or not (top / ".git").exists():
        return None
    describe = [git, "-C", str(top), "describe", "--always", "--abbrev=40", "--dirty"]
    answer = subprocess.run(describe, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None


def provenance() -> dict[str, Any]:
    """The columns of a result row that name software and host."""
    versions = {f"{name}_version": importlib.metadata.version(name) for name in VERSIONED}
    return {
        **versions,
        "python_version": platform.python_version(),
        "git_commit": git_commit(),
        "host": socket.gethostname(),
    }
