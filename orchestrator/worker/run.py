"""What runs on a worker: one job, from its trials as JSON to rows in the store.

This is the only place where the orchestrator calls the trainer. Ray gives the process its GPUs; torch is
imported only after the process has been shown exactly those. Everything that is finished or failed is in
the store before the job reports, so a retry of the job, a later run and a resume are one code path.
"""

import faulthandler
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.store.store import Store
from trainer.files import process_is_alive
from trainer.trial import TRIAL, Trial


@dataclass(frozen=True)
class JobConfig:
    """A job as it travels to its worker: plain JSON-like values.

    `bundle` is what Ray reserves for it, `avoid` are the nodes, by Ray's names, where the job is not to be placed.
    """

    run_id: str
    store: str
    data_folder: str
    trials: tuple[dict[str, Any], ...]
    cpu: int
    gpu: float
    bundle: dict[str, float]
    avoid: tuple[str, ...]
    checkpoint_every_s: float
    checkpoint_every_epochs: int | None
    command: str

    def as_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FailedTrial:
    """A trial that failed in a job that lives on; the fields are those of `failures.Failure`.

    `recorded`: its row is in the store; the worker itself may not have been able to write it.
    """

    fingerprint: str
    cause: str
    error: str
    place: str
    trace: str
    recorded: bool


@dataclass(frozen=True)
class JobReport:
    """How a job ended. What is neither finished nor failed was stopped and can go on later."""

    finished: tuple[str, ...]
    failed: tuple[FailedTrial, ...]
    node: str = ""

    @classmethod
    def of(cls, report: dict[str, Any]) -> "JobReport":
        """The report that came back as plain data."""
        failed = tuple(FailedTrial(**entry) for entry in report["failed"])
        return cls(tuple(report["finished"]), failed, report["node"])


RunJob = Callable[[dict[str, Any]], dict[str, Any]]
"""From a `JobConfig` to a `JobReport`, both as plain data."""


def run_job(config: dict[str, Any]) -> dict[str, Any]:
    """Run one job, in the main thread of a worker process.

    Returns:
        A `JobReport` as a dictionary, which Tune takes as the job's last report.
    """
    job = JobConfig(**config)
    node = see_only_given_gpus()
    store = Store(job.store)
    trials = [TRIAL.validate_python(trial) for trial in job.trials]
    done = store.finished()
    before = tuple(t.fingerprint for t in trials if t.fingerprint in done)
    todo = [t for t in trials if t.fingerprint not in done]
    with _sigterm_noted() as must_leave, _stack_on_request():
        report = _run(job, store, todo, node, must_leave) if todo else JobReport((), ())
    return asdict(JobReport(before + report.finished, report.failed, node))


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
def _sigterm_noted() -> Iterator[Callable[[], bool]]:
    """SIGTERM, by which a machine that is taken away says so, is noted and can be asked for."""
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGTERM, before)


def stack_file(pid: int) -> Path:
    """Where a worker that gets SIGUSR1 writes what all its threads are doing."""
    return Path(tempfile.gettempdir()) / stack_file_name(str(pid))


def stack_file_name(pid: str) -> str:
    return f"kdsweep-stack-{os.getuid()}-{pid}.txt"


@contextmanager
def _stack_on_request() -> Iterator[None]:
    """Lets the driver ask where this process hangs, however deep in C it is; tidies up after the killed."""
    path = stack_file(os.getpid())
    for other in path.parent.glob(stack_file_name("[0-9]*")):
        with suppress(ValueError, OSError):
            if other == path or not process_is_alive(int(other.stem.rpartition("-")[2])):
                other.unlink(missing_ok=True)
    with path.open("x") as file:
        faulthandler.register(signal.SIGUSR1, file=file)
        try:
            yield
        finally:
            faulthandler.unregister(signal.SIGUSR1)
            path.unlink(missing_ok=True)


def _run(
    job: JobConfig,
    store: Store,
    trials: list[Trial],
    node: str,
    must_leave: Callable[[], bool],
) -> JobReport:
    from orchestrator.store.records import sign_of_life
    from orchestrator.worker.keeper import Intervals, Place, StoreKeeper
    from trainer.datasets.dataset import load_dataset
    from trainer.device import device_name, prepare_device
    from trainer.lockstep import run_group

    data_folder = Path(job.data_folder)
    with suppress(OSError):
        for trial in trials:
            store.set_running(sign_of_life(trial, job.run_id, step=0, node=node))
    device = prepare_device(job.cpu, use_gpu=job.gpu > 0)
    keeper = StoreKeeper(
        store,
        job.run_id,
        command=job.command,
        place=Place(device_name(device), job.cpu, job.gpu or job.cpu, node),
        checkpoints=Intervals(job.checkpoint_every_s, job.checkpoint_every_epochs),
        must_leave=must_leave,
    )
    try:
        keeper.begin(trials, data_folder)
        run_group(trials, keeper, load_dataset(trials[0].data, data_folder), device)
    except Exception as error:  # noqa: BLE001
        done = store.finished().union(keeper.failures)
        for trial in trials:
            if trial.fingerprint not in done:
                keeper.fail(trial, error)
    finally:
        keeper.leave(trials)
    done = store.finished()
    finished = tuple(t.fingerprint for t in trials if t.fingerprint in done)
    failed = tuple(
        FailedTrial(fp, f.cause.value, f.error, f.place, f.trace, recorded)
        for fp, (f, recorded) in keeper.failures.items()
    )
    return JobReport(finished, failed)
