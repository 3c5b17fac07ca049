"""Commands for sweeps on a cluster: submit, jobs, logs, stop."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.confirmation import confirm
from orchestrator.cli.console import (
    BAD_INPUT,
    DONE,
    STOPPED,
    as_command,
    print_json,
    stderr,
    stdout,
)
from orchestrator.cli.opening import DEFAULT_STORE, existing_store, set_again
from orchestrator.cli.options import (
    Changes,
    DashboardAddress,
    DataOption,
    Deadline,
    JobId,
    Json,
    Prometheus,
    ScaleTo,
    StoreOption,
    SweepFile,
    Yes,
)

if TYPE_CHECKING:
    from orchestrator.cluster.jobs import Jobs, SweepJob
    from orchestrator.cluster.slurm.jobs import SlurmJobs
    from orchestrator.language.sweep import Sweep
    from orchestrator.store.failures import Failure
    from orchestrator.store.store import Store

LOOK_EVERY_S = 0.5
LEFT_ALONE_AFTER_S = 30.0


def add_commands(app: typer.Typer) -> None:
    """Add them to the command `kdsweep`."""
    app.command(
        epilog="Example: `kdsweep submit sweeps/paper_cifar100.yaml --address http://head:8265 "
        "--store s3://bucket/store`"
    )(submit)
    app.command(epilog="Example: `kdsweep jobs --address http://head:8265`")(jobs)
    app.command(
        epilog="Example: `kdsweep logs 3f9a --store kdsweep-store`, or `kdsweep logs -f JOB --address URL`"
    )(logs)
    app.command(epilog="Example: `kdsweep stop kdsweep-mine-0a1b2c3d --address http://head:8265`")(
        stop
    )


def submit(
    sweep: SweepFile,
    address: DashboardAddress = None,
    store: StoreOption = None,
    changes: Changes = None,
    data: DataOption = None,
    scale_to: ScaleTo = None,
    deadline: Deadline = None,
    retry_failed: Annotated[
        bool, typer.Option(help="As resume: also what failed by an error of the program.")
    ] = False,
    prometheus: Prometheus = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Hand a sweep to a Ray cluster, and return when it has begun there. Submitted again, it goes on."""
    from orchestrator.cli.durations import seconds
    from orchestrator.cli.scaling import most_of, written
    from orchestrator.cluster.jobs import Handover
    from orchestrator.language.sweep import load_sweep
    from orchestrator.store.store import Store

    loaded = load_sweep(sweep, changes or ())
    handover = Handover(
        store=_store_of_a_cluster(loaded, store),
        data=_data_of_a_cluster(loaded, data),
        deadline=deadline,
        scale_to=scale_to and written(most_of(scale_to)),
        has_metrics=prometheus,
        verb="resume" if retry_failed else "run",
    )
    if deadline is not None:
        seconds(deadline, "--deadline")
    cluster = _jobs(address)
    look_before(loaded, handover.store, yes=yes, retry_failed=retry_failed)
    job_id = cluster.submit(loaded, handover)
    tell = partial(typer.echo, err=as_json)
    tell(f"submitted: {job_id}")
    code = _until_begun(cluster, job_id, Store(handover.store), tell)
    if as_json:
        print_json({"job_id": job_id, "address": cluster.url, "store": handover.store})
    elif code != BAD_INPUT:
        where = (job_id, "--address", cluster.url)
        for what, line in (
            ("follow", as_command("logs", "-f", *where)),
            (
                "state",
                as_command("status", sweep, *set_again(changes), "--store", handover.store),
            ),
            ("stop", as_command("stop", *where)),
        ):
            stdout().print(f"{what + ':':<8}{line}", soft_wrap=True)
    sys.exit(code)


def _store_of_a_cluster(sweep: "Sweep", given: str | None) -> str:
    from trainer.problems import UserError

    address = given or sweep.store
    if address and "://" not in address and not address.startswith("~"):
        address = address if Path(address).is_absolute() else None
    if not address:
        raise UserError(
            "--store: expected an absolute path or an address such as s3://bucket/store, "
            "which all nodes of the cluster see"
        )
    return address


def _data_of_a_cluster(sweep: "Sweep", given: str | None) -> str | None:
    """The data folder as the nodes see it; None where nothing but embedded data is asked for."""
    from orchestrator.store.addresses import is_remote
    from trainer.datasets.source import EMBEDDED
    from trainer.problems import UserError

    folder = given or sweep.data
    names = [c.name for c in sweep.dataset if c.path is None and c.name != EMBEDDED]
    if folder is None and names:
        raise UserError(f"--data: expected the folder on the cluster's nodes that has {names[0]}")
    if folder and not (is_remote(folder) or Path(folder).is_absolute() or folder.startswith("~")):
        raise UserError(
            f"--data: {folder}: expected an absolute path, as the cluster's nodes see it, or an address "
            "such as s3://bucket/data"
        )
    return folder or None


def _jobs(address: str | None) -> "Jobs":
    from orchestrator.cluster.jobs import connect
    from trainer.problems import UserError

    if address is None:
        raise UserError("--address: expected the cluster's dashboard, as in http://HOST:8265")
    return connect(address)


def _jobs_of(name: str, address: str | None) -> "Jobs | SlurmJobs":
    """Where a job of this name was submitted."""
    from orchestrator.cluster.slurm.allocation import PREFIX
    from orchestrator.cluster.slurm.jobs import SlurmJobs

    return SlurmJobs() if name.startswith(PREFIX) else _jobs(address)


def look_before(sweep: "Sweep", address: str, *, yes: bool, retry_failed: bool) -> None:
    """Tell of other runs on the store, and ask about a large bill, as far as both can be seen from here."""
    from orchestrator.planning.lost_weights import as_far_as_known
    from orchestrator.planning.plan import make_plan
    from orchestrator.store.store import Store
    from trainer.problems import UserError

    store = Store(address)
    try:
        others, doubtful = store.signs.runs(), store.signs.doubtful_runs()
        store.finished()
    except (OSError, UserError):
        stderr().print(f"{address}: cannot be seen from here; the cluster's nodes are asked")
        return
    for other in others.values():
        works = "may work" if other.run_id in doubtful else "works"
        stderr().print(
            f"another run {works} on this store: {other.sweep} on {other.host}; both will share the work",
            soft_wrap=True,
        )
    if all(choice.path is None for choice in sweep.dataset):
        plan = make_plan(sweep, store, retry_failed=retry_failed)
        confirm(as_far_as_known(plan, store), store, yes=yes)


def _until_begun(cluster: "Jobs", job_id: str, store: "Store", tell: Callable[[str], None]) -> int:
    """Tell what the cluster finds out before anything is trained; exit code of a job that is over.

    That it has begun is a mark in its store. Where nothing of the job can be seen there from here, it is left
    to itself after a while.
    """
    from orchestrator.cluster.submission import has_begun, is_seen
    from trainer.problems import UserError

    shown, seen = "", False
    running_since: float | None = None
    try:
        while True:
            job = cluster.one(job_id)
            text = cluster.log(job_id)
            if more := text.removeprefix(shown).rstrip("\n"):
                tell(more)
            shown = text
            if job.is_over:
                could_not_start = job.status == "FAILED" and job.exit_code is None
                return BAD_INPUT if could_not_start else _exit_code(job)
            if has_begun(store, job_id):
                return DONE
            seen = seen or is_seen(store, job_id)
            if job.status == "RUNNING" and not seen:
                running_since = running_since or time.monotonic()
                if time.monotonic() - running_since > LEFT_ALONE_AFTER_S:
                    tell(
                        f"it runs; whether it has begun to train cannot be seen in {store.address} "
                        "from here: kdsweep logs -f tells"
                    )
                    return DONE
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        _goes_on(cluster, job_id)
        return STOPPED
    except UserError as error:
        stderr().print(str(error), markup=False, soft_wrap=True)
        _goes_on(cluster, job_id)
        return STOPPED


def _goes_on(cluster: "Jobs | SlurmJobs", job_id: str) -> None:
    stderr().print(
        f"{job_id} goes on; to end it: {as_command('stop', job_id, *cluster.options)}",
        soft_wrap=True,
    )


def jobs(address: DashboardAddress = None, as_json: Json = False) -> None:
    """List the sweeps that were submitted to a Ray cluster, and to Slurm from here."""
    from orchestrator.cluster.slurm import commands
    from orchestrator.cluster.slurm.jobs import SlurmJobs

    has_slurm = commands.is_there()
    submitted = SlurmJobs().all() if has_slurm else []
    if address is not None or not has_slurm:
        submitted += _jobs(address).all()
    if as_json:
        print_json([asdict(job) for job in submitted])
    elif not submitted:
        stdout().print("no sweeps were submitted")
    else:
        stdout(wide=True).print(_table(submitted))


def _table(submitted: "list[SweepJob]") -> Any:
    from rich.table import Table

    from orchestrator.planning.words import duration

    table = Table()
    for heading in ("job", "sweep", "state", "started", "took", "exit code", "store"):
        table.add_column(heading, justify="right" if heading in ("took", "exit code") else "left")
    for job in submitted:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started_at))
        length = (job.ended_at or time.time()) - job.started_at if job.started_at else 0
        table.add_row(
            job.job_id,
            job.sweep,
            job.status.lower(),
            started if job.started_at else "",
            duration(length),
            "" if job.exit_code is None else str(job.exit_code),
            job.store,
        )
    return table


def logs(
    name: Annotated[
        str, typer.Argument(metavar="TRIAL|JOB", help="A trial's fingerprint, or a job's id.")
    ],
    store: StoreOption = None,
    address: DashboardAddress = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing it until it is over.")
    ] = False,
) -> None:
    """Show the log of one trial (where it ran, each epoch, how to repeat it), or of a submitted sweep."""
    from orchestrator.cluster.jobs import PREFIX
    from orchestrator.cluster.slurm.allocation import PREFIX as OF_SLURM

    if name.startswith((PREFIX, OF_SLURM)):
        _job_log(name, address, follow=follow)
    else:
        _trial_log(name, store or DEFAULT_STORE, follow=follow)


def _job_log(job_id: str, address: str | None, *, follow: bool) -> None:
    cluster = _jobs_of(job_id, address)
    if not follow:
        typer.echo(cluster.log(job_id), nl=False)
        return
    try:
        for text in cluster.follow(job_id):
            typer.echo(text, nl=False)
        job = cluster.wait(job_id)
    except KeyboardInterrupt:
        _goes_on(cluster, job_id)
        sys.exit(STOPPED)
    sys.exit(_exit_code(job))


def _exit_code(job: "SweepJob") -> int:
    """That of kdsweep on the cluster; of a job that was stopped or could not start, what it means."""
    if job.status == "STOPPED":
        return STOPPED
    if job.exit_code is None and job.status == "FAILED":
        typer.echo(job.message, err=True)
        return STOPPED
    if job.exit_code is not None and job.exit_code < 0:
        typer.echo(f"killed by signal {-job.exit_code}; submitted again, it goes on", err=True)
        return STOPPED
    return job.exit_code or DONE


def _trial_log(fingerprint: str, address: str, *, follow: bool) -> None:
    from trainer.problems import UserError

    opened = existing_store(address)
    trials = opened.files / "trials"
    log_files = sorted(trials.glob(f"{fingerprint}*/log.txt")) if fingerprint.isalnum() else []
    if not log_files and (failure := _only_failure(opened, fingerprint)):
        raise UserError(f"{fingerprint}: it died before the first line of its log: {failure}")
    if len(log_files) != 1:
        number = "several trials begin" if log_files else "no trial begins"
        raise UserError(f"{number} with {fingerprint!r} in {opened.address}")
    with log_files[0].open() as log:
        typer.echo(log.read(), nl=False)
        while follow and log_files[0].parent.name in opened.signs.running():
            time.sleep(LOOK_EVERY_S)
            typer.echo(log.read(), nl=False)


def _only_failure(store: "Store", fingerprint: str) -> "Failure | None":
    """The last failure of the one trial whose fingerprint begins so."""
    failures = store.rows.last_failures()
    found = [failure for fp, failure in failures.items() if fp.startswith(fingerprint)]
    return found[0] if len(found) == 1 else None


def stop(job: JobId, address: DashboardAddress = None) -> None:
    """Ask a submitted sweep to save what runs and leave, and wait until it has."""
    cluster = _jobs_of(job, address)
    before = cluster.one(job)
    if before.is_over:
        stdout().print(f"{job} is over already: {before.status.lower()}", soft_wrap=True)
        return
    cluster.stop(job)
    stdout().print("asked to stop; what runs is saved", soft_wrap=True)
    after = cluster.wait(job)
    on = "; submitted again, it goes on" if after.status == "STOPPED" else ""
    stdout().print(f"{job}: {after.status.lower()}{on}", soft_wrap=True)
