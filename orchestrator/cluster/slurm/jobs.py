"""Sweeps as Slurm's jobs: submitted, listed, followed, stopped; as `orchestrator.cluster.jobs` does for Ray Jobs.

What Slurm has forgotten is told by the records that were kept at the submission.
"""

import codecs
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.cluster.jobs import LOOK_EVERY_S, Handover, SweepJob
from orchestrator.cluster.packing import pack
from orchestrator.cluster.slurm import commands, records
from orchestrator.cluster.slurm.allocation import PREFIX
from orchestrator.cluster.slurm.commands import JobState
from orchestrator.cluster.slurm.records import Record
from orchestrator.cluster.slurm.request import Request, options, script
from orchestrator.language.sweep import Sweep
from trainer.problems import UserError

STOP = "USR2"
ASK_EVERY_S = 15.0
"""Slurm is not to be asked more often than a person would; a job's own account is a file."""
SILENT_AT_MOST_S = 600.0
"""A busy controller leaves some questions unanswered."""

SUCCEEDED, FAILED, STOPPED, RUNNING, PENDING = (
    "SUCCEEDED",
    "FAILED",
    "STOPPED",
    "RUNNING",
    "PENDING",
)
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
STOPPED_CODE = 3
UNKNOWN = JobState("UNKNOWN")
"""Of a job that Slurm has forgotten and that could not tell how it ended."""


def submit(sweep: Sweep, handover: Handover, request: Request, command: str) -> str:
    """Hand a sweep to Slurm; returns the job's name.

    Args:
        sweep: resolved; it is kept for the job as it is now.
        handover: how it is run: the store and data as the nodes see them.
        request: the allocation.
        command: what submits it again.

    Raises:
        UserError: Slurm does not take it.
    """
    folder = records.new_folder(sweep.name)
    try:
        sweep_file = pack(sweep, folder)
        name, log = f"kdsweep-{sweep.name}", str(folder / records.LOG).replace("%", "%%")
        launch = [*launch_words(sweep_file, handover), "--record", "."]
        text = script(request, name, launch, sys.executable, str(folder), log)
        (folder / records.SCRIPT).write_text(text)
        record = Record(folder, sweep.name, handover.store, command, time.time())
        record.write()
        number = commands.submitted(str(folder / records.SCRIPT), options(request, name, log))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    job = f"{PREFIX}{number}"
    replace(record, job=job).write()
    with suppress(UserError):  # Slurm may not answer now; the job is submitted all the same
        records.forget_old({job.job_id for job in SlurmJobs().all() if not job.is_over})
    return job


def launch_words(sweep_file: str, handover: Handover) -> list[str]:
    """What the launcher is told of a sweep."""
    words = [sweep_file, "--store", handover.store]
    words += ["--data", handover.data] if handover.data else []
    words += [word for change in handover.changes for word in ("--set", change)]
    return words + (["--retry-failed"] if handover.verb == "resume" else [])


class SlurmJobs:
    """The sweeps that this user has submitted to Slurm from here."""

    options: tuple[str, ...] = ()
    """What else a command needs that names one of them."""

    def all(self) -> list[SweepJob]:
        """The newest last."""
        kept = records.all_records()
        states = _states([record.job or "" for record in kept])
        return [_sweep_job(record, states.get(record.job or "", UNKNOWN)) for record in kept]

    def one(self, job: str) -> SweepJob:
        """Raises UserError where there is none of this name."""
        record = _record(job)
        return _sweep_job(record, _states([job]).get(job, UNKNOWN))

    def log(self, job: str) -> str:
        """All that a job has printed so far."""
        return _read(_record(job).log, 0).decode(errors="replace")

    def follow(self, job: str) -> Iterator[str]:
        """What a job prints, from its beginning, until it is over; while it waits once more as well."""
        log, shown = _record(job).log, 0
        characters = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for _ in self._until_over(job):
            new = _read(log, shown)
            shown += len(new)
            yield characters.decode(new)

    def stop(self, job: str) -> None:
        """Ask a job that runs to save and leave; one that waits is taken out of the queue."""
        number = job.removeprefix(PREFIX)
        if self.one(job).status == PENDING:
            commands.called("scancel", number)
        else:
            commands.called("scancel", "--batch", f"--signal={STOP}", number)

    def wait(self, job: str) -> SweepJob:
        """A job, once it is over."""
        for _ in self._until_over(job):
            pass
        return self.one(job)

    def _until_over(self, job: str) -> Iterator[None]:
        """Again and again while it is not over, and once afterwards.

        Raises:
            UserError: Slurm has told nothing for ten minutes.
        """
        record = _record(job)
        is_over = self.one(job).is_over
        asked_at = answered_at = time.monotonic()
        while not is_over:
            yield
            time.sleep(LOOK_EVERY_S)
            run = records.run(record.folder)
            if time.monotonic() - asked_at > ASK_EVERY_S or (run and run.exit_code is not None):
                asked_at = time.monotonic()
                try:
                    is_over, answered_at = self.one(job).is_over, asked_at
                except UserError:
                    if asked_at - answered_at > SILENT_AT_MOST_S:
                        raise
        yield


def alike(sweep: str, store: str) -> list[SweepJob]:
    """Jobs that wait or run with the same sweep and store."""
    return [
        job
        for job in SlurmJobs().all()
        if (job.sweep, job.store) == (sweep, store) and not job.is_over
    ]


def _record(job: str) -> Record:
    for record in reversed(records.all_records()):
        if record.job == job:
            return record
    raise UserError(
        f"{job!r}: no sweep that was submitted to Slurm from here; kdsweep jobs lists them"
    )


def _states(jobs: list[str]) -> Mapping[str, JobState]:
    """What is known of jobs, by name: from the queue, of those that it has forgotten from the accounting."""
    numbers = [job.removeprefix(PREFIX) for job in jobs]
    states = commands.states(str(os.getuid())) if numbers else {}
    forgotten = [number for number in numbers if number not in states]
    states = {**commands.accounted(forgotten), **states}
    return {f"{PREFIX}{number}": state for number, state in states.items()}


def _sweep_job(record: Record, state: JobState) -> SweepJob:
    """A submission as Slurm sees it, and, once it is over, as it has told itself."""
    run = records.run(record.folder)
    is_waiting = state.state in WAITING
    has_told = run is not None and run.exit_code is not None
    is_over = not is_waiting and (has_told or state.is_over or state is UNKNOWN)
    code = None
    if is_over:
        code = state.exit_code if run is None or run.exit_code is None else run.exit_code
    if state.state == "FAILED" and code is None:
        code = commands.exit_code((record.job or "").removeprefix(PREFIX))
    return SweepJob(
        job_id=record.job or "",
        sweep=record.sweep,
        store=record.store,
        status=_status(state, code) if is_over else PENDING if is_waiting else RUNNING,
        started_at=run.began_at if run else None,
        ended_at=run.ended_at if run and is_over else None,
        exit_code=code,
        message=_message(state, code),
    )


def _status(state: JobState, code: int | None) -> str:
    if code is None:
        return STOPPED if state.state == "CANCELLED" else FAILED
    return {0: SUCCEEDED, STOPPED_CODE: STOPPED}.get(code, FAILED)


def _message(state: JobState, code: int | None) -> str:
    if state is UNKNOWN and code is None:
        return "Slurm has forgotten it, and it did not tell how it ended"
    return state.reason if state.state in WAITING else state.state


def _read(log: Path, start: int) -> bytes:
    """What stands there behind a place; nothing before Slurm has made the file."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            return file.read()
    except FileNotFoundError:
        return b""
