"""A command of the user's own that is told how a run ended, as `--notify CMD` says.

    kdsweep run SWEEP --notify 'curl --silent --data-binary @- https://ntfy.example/me'
    kdsweep run SWEEP --notify 'sh -c "echo $KDSWEEP_SWEEP: $KDSWEEP_OUTCOME | mail me@lab.example"'

Its words are those that a shell would make of it, but no shell runs it: what shall be expanded is written as `sh -c '...'`.
It gets the outcome in environment variables and, as JSON, on standard input. Whatever it does, and however long it takes,
the run's exit code stays: it is given half a minute, and then ended with what it started.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer

from orchestrator.cli.console import BAD_INPUT, DONE, SOME_FAILED, STOPPED

Notify = Annotated[
    str | None,
    typer.Option(
        metavar="CMD",
        help="A command that is told how the run ended: in KDSWEEP_OUTCOME and others, and as JSON on its "
        "standard input.",
    ),
]

WITHIN_S = 30.0

OUTCOMES = {DONE: "done", SOME_FAILED: "some failed", BAD_INPUT: "bad input", STOPPED: "stopped"}
PREFIX = "KDSWEEP_"
LONGEST_VARIABLE = 4096
"""The message of a mistake may be longer than an environment takes; the JSON has all of it."""


@dataclass
class Ending:
    """What there is to tell of a run; it is filled in on the way."""

    sweep: str = ""
    store: str = ""
    finished: int = 0
    failed: int = 0
    blocked: int = 0
    missing: int = 0
    message: str = ""
    host: str = field(default_factory=socket.gethostname)
    seconds: float = 0.0
    exit_code: int = STOPPED
    outcome: str = OUTCOMES[STOPPED]


@contextmanager
def notifying(command: str | None) -> Iterator[Ending]:
    """Tell the command how what happens inside ends, by an exit code or by a mistake; then it ends so.

    Raises:
        UserError: the command is none; nothing has happened yet.
    """
    words = _words(command) if command is not None else []
    ending, begun_at = Ending(), time.monotonic()

    def tell(code: int, message: str = "") -> None:
        if words:
            ending.exit_code, ending.outcome = code, OUTCOMES.get(code, f"exit code {code}")
            ending.message, ending.seconds = message, round(time.monotonic() - begun_at, 1)
            _tell(words, ending)

    with _told(tell):
        yield ending


@contextmanager
def _told(tell: Callable[..., None]) -> Iterator[None]:
    from trainer.problems import UserError

    try:
        yield
    except SystemExit as ended:
        tell(ended.code if isinstance(ended.code, int) else DONE)
        raise
    except (UserError, OSError) as error:
        tell(BAD_INPUT, str(error))
        raise
    except BaseException as error:
        tell(1, f"{type(error).__name__}: {error}")
        raise
    tell(DONE)


def _words(command: str) -> Sequence[str]:
    from trainer.problems import UserError

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--notify: {command!r}: cannot be split into words: {error}") from error
    if not words:
        raise UserError("--notify: expected a command")
    if shutil.which(words[0]) is None:
        raise UserError(
            f"--notify: {words[0]}: no such command; for what a shell is to expand, write sh -c '...'"
        )
    return words


def _tell(words: Sequence[str], ending: Ending) -> None:
    from trainer.problems import shortened

    told = asdict(ending)
    environment = {
        f"{PREFIX}{name.upper()}": shortened(str(value), LONGEST_VARIABLE)
        for name, value in told.items()
    }
    try:
        problem = _run(words, json.dumps(told).encode(), os.environ | environment)
    except OSError as error:
        problem = error.strerror or str(error)
    except KeyboardInterrupt:
        problem = "left at once"
    if problem:
        with suppress(OSError):
            sys.stderr.write(f"WARNING: --notify: {words[0]}: {problem}\n")


def _run(words: Sequence[str], content: bytes, environment: dict[str, str]) -> str | None:
    """What was wrong with it; in a session of its own, all of which is ended when its time is over."""
    process = subprocess.Popen(  # noqa: S603 - words that the user gave as a command
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        process.communicate(content, timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        return f"ended after {WITHIN_S:.0f} s"
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"exit code {process.returncode}" if process.returncode else None
