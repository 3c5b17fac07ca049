"""Running the installed command as a user does, and finding the processes it starts."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from orchestrator.cluster.interruption import STOPPING

TRIAL_WORKER = re.compile(r"ray::\w+\.train\b")
KDSWEEP = str(Path(sys.executable).with_name("kdsweep"))


def fresh_environment(home: Path) -> dict[str, str]:
    """The environment of a fresh user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_", "KDSWEEP_"))}
    return {**kept, "HOME": str(home), "COLUMNS": "160"}


def hear_signals() -> None:
    """A job in the background of a shell inherits that some are ignored; a person's command does not."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def start(
    home: Path, *arguments: object, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.Popen[str]:
    """Start `kdsweep ARGUMENTS`; its output is one stream."""
    return subprocess.Popen(
        [KDSWEEP, *map(str, arguments)],
        env={**fresh_environment(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=home,
        start_new_session=True,
        preexec_fn=hear_signals,  # noqa: PLW1509
    )


def run(
    home: Path,
    *arguments: object,
    environment: Mapping[str, str] = MappingProxyType({}),
    timeout: float = 300,
) -> tuple[int, str]:
    """Run `kdsweep ARGUMENTS` to its end: exit code and output."""
    process = start(home, *arguments, environment=environment)
    return finish(process, timeout)


def finish(process: subprocess.Popen[str], timeout: float = 300) -> tuple[int, str]:
    """Wait for a started command: exit code and output."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output


def wait_until(condition: Callable[[], object], timeout: float = 120) -> None:
    """Poll until the condition is true.

    Raises:
        TimeoutError: it never was.
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(str(condition))
        time.sleep(0.02)


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Process ids and names of all processes below one."""
    answer = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    parents: dict[int, list[tuple[int, str]]] = {}
    for line in answer.stdout.splitlines():
        child, parent, name = line.split(None, 2)
        parents.setdefault(int(parent), []).append((int(child), name))
    waiting = [pid]
    while waiting:
        for child, name in parents.get(waiting.pop(), []):
            waiting.append(child)
            yield child, name


def trial_workers(pid: int) -> list[int]:
    """The processes in which the jobs of a running command work."""
    return [child for child, name in descendants(pid) if TRIAL_WORKER.search(name)]
