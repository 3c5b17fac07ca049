"""Sweeps on a cluster through Ray Jobs: submitted, listed, followed, stopped.

    jobs = connect("http://head:8265")
    job_id = jobs.submit(sweep, Handover(store="/shared/store"))
    for text in jobs.follow(job_id): ...
    jobs.stop(job_id)

A submitted sweep is `kdsweep run` on the cluster's head. Its package travels with it (`orchestrator.cluster.packing`),
so a stopped or lost one is simply submitted again: what is done and where to go on is in the store.
"""

import asyncio
import logging
import os
import re
import shlex
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from orchestrator.cluster.connection import check_that_something_answers, has_token
from orchestrator.cluster.packing import pack
from orchestrator.cluster.submission import SUBMITTED
from orchestrator.language.sweep import Sweep
from orchestrator.worker.foreign import first_line, is_unknown_job, takes_no_jobs_yet
from trainer.problems import UserError

PREFIX = "kdsweep-"
PORT = 8265
"""Ray's default for the dashboard, which the Jobs API is part of."""

LOOK_EVERY_S = 0.5
LINES_OF_A_MESSAGE = 3
YOUNG_HEAD_S = 60.0
NO_AGENT = (
    "its head takes no jobs; where another Ray runs on that machine, start the head with a "
    "--dashboard-agent-listen-port of its own"
)
TIME_TO_SAVE_S = 600
"""So long a job that is stopped may take to save what runs, before it is killed."""

SETTINGS = {
    "COLUMNS": "160",
    "PYTHONUNBUFFERED": "1",
    "RAY_JOB_STOP_WAIT_TIME_S": str(TIME_TO_SAVE_S),
}

ON_THE_HEAD = "orchestrator/cluster/on_the_head.sh"
"""In the package; runs kdsweep by the right Python."""

TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers that tell of each step on a person's terminal."""

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, kw_only=True)
class Handover:
    """How a submitted sweep is run: the store and data as the cluster's nodes see them."""

    store: str
    data: str | None = None
    deadline: str | None = None
    scale_to: str | None = None
    has_metrics: bool = False
    verb: Literal["run", "resume"] = "run"
    changes: tuple[str, ...] = ()
    """Where the sweep's file lies on the nodes: what is set in it there. A sweep that travels has it already."""

    def words(self, sweep_file: str, address: str) -> list[str]:
        """What kdsweep is told, to run it on the Ray at an address."""
        words = [self.verb, sweep_file, "--address", address, "--store", self.store, "--yes"]
        for option, value in (
            ("--data", self.data),
            ("--deadline", self.deadline),
            ("--scale-to", self.scale_to),
        ):
            words += [option, value] if value else []
        words += [word for change in self.changes for word in ("--set", change)]
        return words + ["--prometheus"] * self.has_metrics

    def command(self, python: Sequence[str], sweep_file: str, address: str) -> list[str]:
        """By which `python` runs it on the Ray at an address."""
        return [*python, "-m", "orchestrator", *self.words(sweep_file, address)]

    def entrypoint(self, sweep_file: str) -> str:
        """For the shell of the cluster's head; `exec`, so that a signal reaches kdsweep itself."""
        return f"exec {shlex.join(['sh', ON_THE_HEAD, *self.words(sweep_file, 'auto')])}"


@dataclass(frozen=True)
class SweepJob:
    """A submitted sweep. Times are Unix seconds; `exit_code` is kdsweep's own."""

    job_id: str
    sweep: str
    store: str
    status: str
    started_at: float | None
    ended_at: float | None
    exit_code: int | None
    message: str

    @property
    def is_over(self) -> bool:
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")


def connect(address: str) -> "Jobs":
    """The Jobs API of a cluster.

    Args:
        address: that of its dashboard, http://HOST:8265; the scheme may be left out.

    Raises:
        UserError: nothing answers there, it is no Ray, or it does not let us in.
    """
    url = _url(address)
    if has_token(os.environ):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    with _told_in_one_line(url):
        from ray.job_submission import JobSubmissionClient

        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        return Jobs(JobSubmissionClient(url), url)


def _url(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    expected = f"{address}: expected the cluster's dashboard, as in http://HOST:{PORT}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(expected) from error
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise UserError(expected)
    default = 443 if parts.scheme == "https" else PORT
    check_that_something_answers(address, host, port or default, what="Ray dashboard")
    if port is None and parts.scheme == "http":
        parts = parts._replace(netloc=f"{parts.netloc}:{PORT}")
    return parts.geturl().rstrip("/")


@contextmanager
def _told_in_one_line(url: str) -> Iterator[None]:
    """What Ray's client raises is told in one line."""
    import aiohttp
    from ray.exceptions import AuthenticationError, RayError

    try:
        yield
    except AuthenticationError as error:
        raise UserError(
            f"{url}: the cluster asks for a token, and RAY_AUTH_TOKEN (or ~/.ray/auth_token) is not it"
        ) from error
    except (OSError, RuntimeError, ValueError, RayError, aiohttp.ClientError) as error:
        raise UserError(f"{url}: {first_line(error)}") from error


class Jobs:
    """The sweeps of one cluster."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url
        self.options = ("--address", url)

    def submit(self, sweep: Sweep, handover: Handover) -> str:
        """Hand a sweep to the cluster; returns the job's id.

        Raises:
            UserError: the cluster does not take it.
        """
        job_id = f"{PREFIX}{sweep.name}-{uuid.uuid4().hex[:8]}"
        with (
            tempfile.TemporaryDirectory(prefix="kdsweep-submit-") as folder,
            _told_in_one_line(self.url),
        ):
            sweep_file = pack(sweep, Path(folder))
            self._submit(
                entrypoint=handover.entrypoint(sweep_file),
                submission_id=job_id,
                runtime_env={"working_dir": folder, "env_vars": {**SETTINGS, SUBMITTED: job_id}},
                metadata={"sweep": sweep.name, "store": handover.store},
            )
        return job_id

    def _submit(self, **job: Any) -> None:
        """A head that has just started takes no jobs yet."""
        until = time.monotonic() + YOUNG_HEAD_S
        while True:
            try:
                self._client.submit_job(**job)
            except RuntimeError as error:
                if not takes_no_jobs_yet(str(error)):
                    raise
                if time.monotonic() > until:
                    raise UserError(f"{self.url}: {NO_AGENT}") from error
                time.sleep(LOOK_EVERY_S)
            else:
                return

    def all(self) -> list[SweepJob]:
        """The sweeps that were submitted to this cluster, the newest last."""
        with _told_in_one_line(self.url):
            submitted = map(_sweep_job, self._client.list_jobs())
        jobs = (job for job in submitted if job.job_id.startswith(PREFIX))
        return sorted(jobs, key=lambda job: job.started_at or time.time())

    def one(self, job_id: str) -> SweepJob:
        """A submitted sweep; raises UserError where there is none of this id."""
        with _told_in_one_line(self.url):
            return _sweep_job(self._asked(self._client.get_job_info, job_id))

    def log(self, job_id: str) -> str:
        """All that a job has printed so far."""
        with _told_in_one_line(self.url):
            return str(self._asked(self._client.get_job_logs, job_id))

    def _asked(self, ask: Callable[[str], Any], job_id: str) -> Any:
        """What the cluster says of one job; the id becomes a part of a URL."""
        unknown = f"{job_id!r}: no sweep of {self.url}; kdsweep jobs lists them"
        if not job_id.startswith(PREFIX) or not _JOB_ID.fullmatch(job_id):
            raise UserError(unknown)
        try:
            return ask(job_id)
        except RuntimeError as error:
            if is_unknown_job(str(error)):
                raise UserError(unknown) from error
            raise

    def follow(self, job_id: str) -> Iterator[str]:
        """What a job prints, from its beginning, until it is over."""
        self.one(job_id)
        with _told_in_one_line(self.url), asyncio.Runner() as runner:
            chunks: AsyncIterator[str] = self._client.tail_job_logs(job_id)
            while (text := runner.run(_next(chunks))) is not None:
                yield text

    def stop(self, job_id: str) -> None:
        """Ask a job to save and leave; returns when the cluster has heard it."""
        with _told_in_one_line(self.url):
            self._client.stop_job(job_id)

    def wait(self, job_id: str) -> SweepJob:
        """A job, once it is over."""
        while not (job := self.one(job_id)).is_over:
            time.sleep(LOOK_EVERY_S)
        return job


async def _next(chunks: AsyncIterator[str]) -> str | None:
    return await anext(chunks, None)


def _sweep_job(details: Any) -> SweepJob:
    about = details.metadata or {}
    return SweepJob(
        job_id=details.submission_id or "",
        sweep=about.get("sweep", ""),
        store=about.get("store", ""),
        status=str(details.status.value),
        started_at=details.start_time / 1000 if details.start_time else None,
        ended_at=details.end_time / 1000 if details.end_time else None,
        exit_code=details.driver_exit_code,
        message="\n".join((details.message or "").splitlines()[-LINES_OF_A_MESSAGE:]),
    )
