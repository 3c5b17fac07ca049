"""The command that hands a sweep to Slurm; jobs, logs and stop know its jobs by their names."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import as_command, print_json, stderr, stdout
from orchestrator.cli.jobs import look_before
from orchestrator.cli.opening import data_folder, open_sweep, set_again
from orchestrator.cli.options import Changes, DataOption, Json, StoreOption, SweepFile, Yes

if TYPE_CHECKING:
    from orchestrator.cluster.jobs import Handover
    from orchestrator.cluster.slurm.request import Request
    from orchestrator.language.sweep import Sweep
    from orchestrator.planning.plan import Plan

PRINTED_LOG = "kdsweep-%j.log"


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(
        epilog="Example: `kdsweep slurm sweeps/paper_cifar100.yaml --store /mnt/shared/store --nodes 2 "
        "--gpus-per-node 4 --cpus-per-node 16 --time 11h`"
    )(slurm)


def slurm(
    sweep: SweepFile,
    time: Annotated[
        str,
        typer.Option(
            help="How long the job may run, 11h or as Slurm writes it, 1-12:00:00. Before its end what runs is "
            "saved, and the job is queued again."
        ),
    ],
    store: StoreOption = None,
    changes: Changes = None,
    data: DataOption = None,
    nodes: Annotated[int, typer.Option(min=1, help="How many nodes.")] = 1,
    gpus_per_node: Annotated[
        str, typer.Option(help="GPUs on each node, with their type if need be: 4, a100:4.")
    ] = "0",
    cpus_per_node: Annotated[
        int | None, typer.Option(min=1, help="CPUs on each node; what the site gives by default.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="As for sbatch.")] = None,
    account: Annotated[str | None, typer.Option(help="As for sbatch.")] = None,
    setup: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="A shell line that activates the environment on the nodes: module load, source. "
            "By default the job runs in the one of this command.",
        ),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION",
            help="A further option of sbatch, as --sbatch --constraint=a100; repeat for several.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option(help="As resume: also what failed by an error of the program.")
    ] = False,
    prints: Annotated[
        bool, typer.Option("--print", help="Only print the batch script; nothing is submitted.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Hand a sweep to Slurm, as one job over one or several nodes. Submitted again, it goes on."""
    from orchestrator.cluster.jobs import Handover
    from orchestrator.cluster.slurm.request import Request
    from orchestrator.planning.plan import make_plan
    from orchestrator.store.addresses import is_remote
    from orchestrator.worker.preparation import prepare

    loaded, opened = open_sweep(sweep, store, changes)
    address = opened.address if opened.is_remote else str(opened.root.absolute())
    request = Request(
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        cpus_per_node=cpus_per_node,
        time_s=_seconds(time),
        partition=partition,
        account=account,
        setup=setup,
        options=tuple(sbatch or ()),
    )
    request.check()
    handover = Handover(
        store=address,
        data=_data(loaded, data),
        verb="resume" if retry_failed else "run",
    )
    unseen = _unseen(loaded, data)
    if not unseen:
        plan = make_plan(loaded, opened, retry_failed=retry_failed)
        _check_fits(plan, request)
    if prints:
        in_place = replace(handover, changes=tuple(changes or ()))
        typer.echo(_script(sweep, loaded.name, in_place, request), nl=False)
        return
    folder = data_folder(loaded, data)
    if not unseen and not is_remote(folder):
        prepare(plan.missing, folder)
    for place in unseen:
        stderr().print(f"{place}: not seen from here; the nodes are asked", soft_wrap=True)
    state = as_command("status", sweep, *set_again(changes), "--store", handover.store)
    _submit(loaded, handover, request, state, yes=yes, as_json=as_json)


def _seconds(text: str) -> float:
    from orchestrator.cli.durations import seconds
    from orchestrator.cluster.slurm.request import slurm_seconds

    return slurm_seconds(text) or seconds(text, "--time")


def _data(sweep: "Sweep", given: str | None) -> str | None:
    """The folder of data sets, or its address; None where nothing but embedded data is asked for."""
    from trainer.datasets.source import EMBEDDED

    is_asked_for = any(c.path is None and c.name != EMBEDDED for c in sweep.dataset)
    return data_folder(sweep, given) if given or sweep.data or is_asked_for else None


def _unseen(sweep: "Sweep", data: str | None) -> list[str]:
    """The folders of data that are not here: what is given may be a disk that only the nodes have."""
    from orchestrator.store.addresses import is_remote

    places = [choice.path for choice in sweep.dataset if choice.path is not None]
    if data is not None or sweep.data is not None:
        places.append(data_folder(sweep, data))
    return [
        place for place in places if not is_remote(place) and not Path(place).expanduser().exists()
    ]


def _check_fits(plan: "Plan", request: "Request") -> None:
    """Raises UserError of a job that no node could take: the queue is not worth waiting for."""
    from orchestrator.language.resources import job_kind
    from trainer.problems import UserError

    gpus = int(request.gpus_per_node.rpartition(":")[2])
    for kind in sorted({job_kind(trial) for trial in plan.missing}):
        wanted = plan.sweep.resources.of(kind).on(gpus > 0)
        if wanted.custom:
            raise UserError(
                f"resources.{kind}: custom {', '.join(sorted(wanted.custom))}: no node has it, as Slurm knows nothing "
                "of it; --sbatch --constraint=FEATURE chooses nodes"
            )
        if (wanted.gpu or 0) > gpus:
            raise UserError(
                f"resources.{kind}: a job takes {wanted.gpu:g} GPU, and --gpus-per-node is {gpus}"
            )
        if request.cpus_per_node is not None and wanted.cpu > request.cpus_per_node:
            raise UserError(
                f"resources.{kind}: a job takes {wanted.cpu} CPUs, and --cpus-per-node is "
                f"{request.cpus_per_node}"
            )


def _script(sweep: Path, name: str, handover: "Handover", request: "Request") -> str:
    """The batch script of an installed kdsweep, which reads the sweep where it lies."""
    from orchestrator.cluster.slurm.jobs import launch_words
    from orchestrator.cluster.slurm.request import script

    where = str(sweep.absolute()) if sweep.exists() else str(sweep)
    launch = launch_words(where, handover)
    return script(request, f"kdsweep-{name}", launch, sys.executable, None, PRINTED_LOG)


def _submit(
    sweep: "Sweep",
    handover: "Handover",
    request: "Request",
    state: str,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    from orchestrator.cluster.slurm.jobs import alike, submit

    for other in alike(sweep.name, handover.store):
        told = f"{other.job_id} is {other.status.lower()} with this sweep; both will share the work"
        typer.echo(told, err=True)
    look_before(sweep, handover.store, yes=yes, retry_failed=handover.verb == "resume")
    again = f"cd {shlex.quote(str(Path.cwd()))} && {as_command(*sys.argv[1:])}"
    job = submit(sweep, handover, request, again)
    if as_json:
        print_json({"job_id": job, "store": handover.store})
        return
    typer.echo(f"submitted: {job}")
    for what, line in (
        ("follow", as_command("logs", "-f", job)),
        ("state", state),
        ("stop", as_command("stop", job)),
    ):
        stdout().print(f"{what + ':':<8}{line}", soft_wrap=True)
