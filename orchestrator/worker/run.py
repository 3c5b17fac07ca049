"""One job on its worker, from its trials as JSON to rows in the store.

This is the only place where the orchestrator calls the trainer. Ray gives the process its GPUs; torch is
imported only after the process has been shown exactly those. Everything that is finished or failed is in
the store before the job reports, so a retry of the job, a later run and a resume are one code path.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

from orchestrator.store.provenance import TOP, trainer_digest
from orchestrator.store.signs import sign_of_life
from orchestrator.store.store import Store
from orchestrator.worker.causes import of_exception
from orchestrator.worker.job import JobConfig, JobReport
from orchestrator.worker.questions import answer
from orchestrator.worker.stacks import stack_on_request
from trainer.trial import TRIAL, Trial, computed_in

WAITS_S = 180.0
"""So long a worker waits for a store that refuses: with the attempts that every trial has, longer than a driver
bears one (`orchestrator.driver.guard`); and not so long that it counts as hung, unless a sweep says so."""


def run_job(job: JobConfig) -> JobReport:
    """Run one job, in the main thread of a worker process."""
    # First of all: whatever comes may take minutes, of a store that refuses for instance.
    with signals_heard() as must_leave, stack_on_request():
        node = see_only_given_gpus()
        if lacks := _lacks(job, node):
            return JobReport(node=node, lacks=lacks)
        store = Store(job.store, waits_s=WAITS_S, is_made=True, must_leave=must_leave)
        trials = {written: TRIAL.validate_json(written) for written in job.trials}
        done = store.finished()
        before = tuple(t.fingerprint for t in trials.values() if t.fingerprint in done)
        todo = {written: t for written, t in trials.items() if t.fingerprint not in done}
        report = _run(job, store, todo, node, must_leave) if todo else JobReport()
    return JobReport(before + report.finished, report.failed, node)


def _lacks(job: JobConfig, node: str) -> tuple[str, ...]:
    """What is missing on a node that nobody asked before it was given a job: it may have joined a moment ago."""
    if job.question is None or node in job.asked:
        return ()
    return tuple(answer(replace(job.question, trials=job.trials)))


def see_only_given_gpus() -> str:
    """Hide every GPU that Ray did not give to this process: by default a CPU job sees them all.

    Returns:
        Ray's name of this node.
    """
    import ray

    context = ray.get_runtime_context()
    given = context.get_accelerator_ids()["GPU"]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(given)
    return str(context.get_node_id())


@contextmanager
def signals_heard() -> Iterator[Callable[[], bool]]:
    """SIGTERM, by which a machine that is taken away says so, is noted and can be asked for.

    SIGUSR1 and SIGUSR2, by which batch systems warn every process of a job, are for the driver alone: it asks the
    workers to save.
    """
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    handlers: dict[signal.Signals, Any] = {
        signal.SIGTERM: note,
        signal.SIGUSR1: signal.SIG_IGN,
        signal.SIGUSR2: signal.SIG_IGN,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class OtherCodeError(Exception):
    """The trainer that a worker has is not the one that its driver has."""


def _check_code(job: JobConfig) -> None:
    if trainer_digest() != job.trainer_sha256:
        raise OtherCodeError(
            f"the code in {TOP} on {socket.gethostname()} computes otherwise than the driver's in {job.code}: "
            f"its digest is {trainer_digest()[:12]}, not {job.trainer_sha256[:12]}"
        )


def _run(
    job: JobConfig,
    store: Store,
    written: Mapping[str, Trial],
    node: str,
    must_leave: Callable[[], bool],
) -> JobReport:
    from orchestrator.worker.data_places import folder_of, here
    from orchestrator.worker.keeper import Intervals, Place, StoreKeeper, record_failure
    from trainer.datasets.dataset import load_dataset
    from trainer.device import NoGpuError, check_precision, device_name, prepare_device
    from trainer.lockstep import run_group
    from trainer.replay import execution_on

    trials = list(written.values())
    with suppress(OSError):
        for trial in trials:
            store.signs.set_running(sign_of_life(trial, job.run_id, step=0, node=node))
    try:
        _check_code(job)
        device = prepare_device(job.cpu, gpus=job.gpu)
        check_precision(device, computed_in(trials[0]))
    except (NoGpuError, OtherCodeError) as error:
        failed = {t.fingerprint: record_failure(store, t, of_exception(error)) for t in trials}
        return JobReport(failed=failed)
    execution = execution_on(device, job.execution)
    keeper = StoreKeeper(
        store,
        job.run_id,
        job.job_id,
        command=job.command,
        place=Place(device_name(device), job.cpu, job.gpu or job.cpu, node, execution.name),
        checkpoints=Intervals(job.checkpoint_every_s, job.checkpoint_every_epochs),
        must_leave=must_leave,
    )
    try:
        keeper.begin(written, folder_of(job.data_folder))
        dataset = load_dataset(*here(trials[0].data, job.data_folder))
        run_group(trials, keeper, dataset, device, execution)
    except Exception as error:  # noqa: BLE001
        for trial in trials:
            if trial.fingerprint not in keeper.failed:
                keeper.fail(trial, error)
    finally:
        keeper.leave(trials)
    return JobReport(tuple(keeper.finished), keeper.failed)
