"""The commands that run a sweep, and show what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli.again import Again, RepeatedFilters, RepeatOption, again_of
from orchestrator.cli.confirmation import confirm
from orchestrator.cli.console import (
    DONE,
    SOME_FAILED,
    STOPPED,
    as_command,
    lasting_stdout,
    stderr,
)
from orchestrator.cli.notifying import Ending, Notify, notifying
from orchestrator.cli.opening import check_writable, data_folder, open_sweep, set_again
from orchestrator.cli.options import (
    Changes,
    Cpus,
    DataOption,
    Deadline,
    Gpus,
    Prometheus,
    RayAddress,
    ScaleTo,
    StoreOption,
    SweepFile,
    Yes,
)
from trainer.ending import leave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from orchestrator.cluster.connection import Place
    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store
    from trainer.trial import Trial


@dataclass(frozen=True)
class Asked:
    """How a plan is to be run: `data` and `place` as they were given, so that the same can be asked for again."""

    sweep_file: Path
    changes: "Sequence[str] | None"
    store: "Store"
    data: str | None
    place: "Place"
    deadline_s: float | None
    has_metrics: bool
    ending: Ending
    """Where it is taken down how the run ends."""
    afresh: "Sequence[Trial]" = ()
    again: Again | None = None


def add_commands(app: typer.Typer) -> None:
    """Add them to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep run sweeps/quickstart.yaml`")(run)
    app.command(epilog="Example: `kdsweep resume sweeps/quickstart.yaml --only cutmix`")(resume)


def run(
    sweep: SweepFile,
    store: StoreOption = None,
    changes: Changes = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: RayAddress = None,
    scale_to: ScaleTo = None,
    deadline: Deadline = None,
    prometheus: Prometheus = False,
    notify: Notify = None,
    again: RepeatOption = False,
    filters: RepeatedFilters = None,
    yes: Yes = False,
) -> None:
    """Run what is missing, then print the correlation tables. Running it again goes on."""
    from orchestrator.planning.lost_weights import with_lost_weights
    from orchestrator.planning.plan import make_plan
    from trainer.problems import UserError

    with notifying(notify) as ending, _leaving_at_once():
        opened, where = open_sweep(sweep, store, changes), _cluster(cpus, gpus, address, scale_to)
        plan, until = make_plan(*opened, retry_failed=False), _seconds(deadline)
        repeated = again_of(plan, opened[1], filters) if again else None
        if repeated is not None:
            plan = repeated.repetition.plan
        elif filters:
            raise UserError(f"--filter {filters[0]}: goes with --again")
        else:
            plan = with_lost_weights(plan, opened[1])
        confirm(plan, opened[1], yes=yes)
        asked = Asked(sweep, changes, opened[1], data, where, until, prometheus, ending)
        _run(plan, replace(asked, again=repeated))


def resume(
    sweep: SweepFile,
    store: StoreOption = None,
    changes: Changes = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: RayAddress = None,
    scale_to: ScaleTo = None,
    deadline: Deadline = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A fingerprint, pair or augmentation; may be given several times."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start them over, without their checkpoints.")
    ] = False,
    prometheus: Prometheus = False,
    notify: Notify = None,
    yes: Yes = False,
) -> None:
    """As run, and also retry trials that failed by an error of the program."""
    from orchestrator.planning import selection
    from orchestrator.planning.lost_weights import with_lost_weights
    from orchestrator.planning.plan import make_plan

    with notifying(notify) as ending, _leaving_at_once():
        opened, where = open_sweep(sweep, store, changes), _cluster(cpus, gpus, address, scale_to)
        plan = with_lost_weights(make_plan(*opened, retry_failed=True), opened[1])
        if only:
            plan = selection.only(plan, only)
        until = _seconds(deadline)
        confirm(plan, opened[1], yes=yes)
        afresh = selection.to_start_over(plan, only or ()) if from_scratch else ()
        _run(plan, Asked(sweep, changes, opened[1], data, where, until, prometheus, ending, afresh))


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """A second Ctrl-C, one before anything runs, a Ray that dies, a store or a disk that fails for good end in a line too."""
    from orchestrator.cluster.interruption import all_is_done, lost
    from orchestrator.driver.guard import MachineFailedError

    try:
        yield
        return
    except MachineFailedError as error:
        why = str(error)
    except KeyboardInterrupt:
        if all_is_done():
            leave(DONE)
        why = lost() or "left at once"
    told = f"{why}; the same command goes on from the last checkpoints"
    with suppress(OSError, SystemExit):  # the latter is rich's, where nobody reads
        stderr().print(told, markup=False, highlight=False, soft_wrap=True)
    leave(STOPPED)


def _cluster(
    cpus: int | None, gpus: int | None, address: str | None, scale_to: str | None
) -> "Place":
    from orchestrator.cli.scaling import most_of
    from orchestrator.cluster.connection import ExistingCluster, LocalCluster
    from trainer.problems import UserError

    if address is None:
        if scale_to is not None:
            raise UserError("--scale-to is for the autoscaler of a cluster: add its --address")
        return LocalCluster(cpus, gpus)
    if cpus is not None or gpus is not None:
        raise UserError("--cpus and --gpus size a Ray of our own; the one of --address has its own")
    return (
        ExistingCluster(address)
        if scale_to is None
        else ExistingCluster(address, most_of(scale_to))
    )


def _seconds(deadline: str | None) -> float | None:
    from orchestrator.cli.durations import seconds

    return None if deadline is None else seconds(deadline, "--deadline")


def _run(plan: "Plan", asked: Asked) -> NoReturn:
    from orchestrator.cluster.interruption import all_is_done

    console = lasting_stdout()
    try:
        code = _run_and_show(plan, asked, console)
    except KeyboardInterrupt:
        if not all_is_done():
            raise
        code = DONE
        told = f"all is done; the tables: {as_command('table', asked.store.address)}"
        console.print(told, soft_wrap=True)
    leave(code)


def _run_and_show(plan: "Plan", asked: Asked, console: "Console") -> int:
    """The exit code."""
    from orchestrator.cluster.interruption import tell_all_is_done
    from trainer.problems import UserError

    code = DONE
    ending = asked.ending
    ending.sweep, ending.store = plan.sweep.name, asked.store.address
    ending.finished, ending.failed = len(plan.done), len(plan.failed)
    ending.blocked, ending.missing = len(plan.blocked), len(plan.missing)
    for warning in plan.warnings:
        console.print(f"WARNING: {warning}", style="yellow", markup=False, soft_wrap=True)
    if plan.missing:
        code = _run_missing(plan, asked, console)
    elif plan.failed:
        code = SOME_FAILED
        told = f"{len(plan.failed)} trials failed before: {as_command('resume', *_here(asked))}"
        console.print(told, soft_wrap=True)
    elif asked.again is None:
        tell_all_is_done()
        console.print(f"all {len(plan.trials)} trials are finished already")
    if asked.again is not None and code != STOPPED:
        asked.again.settle(console)
        if code == DONE:
            tell_all_is_done()
    try:
        _show_results(asked.again.repetition.whole if asked.again else plan, asked.store, console)
    except (OSError, UserError) as error:
        # Damage is told by the exit code too, unless that has more to tell.
        if code == DONE and isinstance(error, UserError):
            raise
        told = f"WARNING: the results cannot be read: {error}"
        console.print(told, style="yellow", markup=False, soft_wrap=True)
    _tell_what_next(code, asked, console)
    return code


def _tell_what_next(code: int, asked: Asked, console: "Console") -> None:
    from orchestrator.cluster.slurm.allocation import PREFIX
    from orchestrator.cluster.submission import own_job_id

    job = own_job_id() or ""
    if code == SOME_FAILED and asked.again is None:
        status = as_command("status", *_sweep_and_store(asked))
        console.print(f"\nthe reasons: {status}", soft_wrap=True)
    elif code == STOPPED and not job:
        console.print(f"\nto go on: {as_command('run', *_here(asked))}", soft_wrap=True)
    elif code == STOPPED and not job.startswith(PREFIX):
        # Of Slurm's jobs the launcher tells: they may go on by themselves.
        console.print("\nto go on: submit it again")


def _sweep_and_store(asked: Asked) -> tuple[object, ...]:
    return (asked.sweep_file, *set_again(asked.changes), "--store", asked.store.address)


def _here(asked: Asked) -> tuple[object, ...]:
    """The words by which the same sweep is run again: its file, its store, then where its data and nodes are."""
    from orchestrator.cli.scaling import written
    from orchestrator.cluster.connection import ExistingCluster
    from orchestrator.cluster.nodes import NOTHING

    place = asked.place
    words: tuple[object, ...] = _sweep_and_store(asked)
    if asked.data is not None:
        words += ("--data", asked.data)
    if isinstance(place, ExistingCluster):
        words += ("--address", place.address)
        if place.most != NOTHING:
            words += ("--scale-to", written(place.most))
    return words if asked.again is None else (*words, *asked.again.words)


def _run_missing(plan: "Plan", asked: Asked, console: "Console") -> int:
    from orchestrator.driver.run import run_plan
    from orchestrator.driver.view import make_view

    folder = data_folder(plan.sweep, asked.data)
    check_writable(asked.store)
    repetition = asked.again.repetition if asked.again else None
    with repetition.weights_lent() if repetition else nullcontext():
        summary = run_plan(
            plan,
            repetition.beside if repetition else asked.store,
            folder,
            asked.place,
            make_view(console),
            asked.deadline_s,
            asked.afresh,
            has_metrics=asked.has_metrics,
        )
    ending = asked.ending
    ending.finished += summary.finished
    ending.failed, ending.blocked = summary.failed, summary.blocked
    ending.missing = summary.missing
    counts = [f"{summary.finished} finished"]
    for number, word in (
        (summary.failed, "failed"),
        (summary.blocked, "blocked by them"),
        (summary.missing, "not finished"),
    ):
        if number:
            counts.append(f"{number} {word}")
    console.print(", ".join(counts))
    if summary.missing:
        return STOPPED
    return SOME_FAILED if summary.failed else DONE


def _show_results(plan: "Plan", store: "Store", console: "Console") -> None:
    """The tables of a sweep's own trials, and its scatter plot beside the results."""
    from analysis.evidence import weigh
    from analysis.formats import terminal
    from analysis.order import arranged, arranged_teachers, order_of
    from analysis.plots import draw_scatter
    from analysis.points import panels
    from analysis.rows import read_rows
    from analysis.tables import table_grids
    from analysis.teachers import teachers_alone
    from orchestrator.reports.models import teacher_lines
    from orchestrator.worker.foreign import first_line

    fingerprints = {trial.fingerprint for trial in plan.trials}
    for line in teacher_lines(store.results(fingerprints).to_pylist()):
        console.print(line, soft_wrap=True)
    rows = read_rows(store, trials=plan.trials)
    order = order_of(plan.sweep)
    shown = arranged(panels(rows), order)
    findings = weigh(shown)
    teachers = arranged_teachers(teachers_alone(rows, shown), order)
    grids = table_grids(shown, findings, teachers=teachers)
    for part in terminal(grids, console.width):
        console.print(part)
    if any(panel.complete for panel in shown) and not store.is_remote:
        picture = store.root / "plots" / f"{plan.sweep.name}.png"
        try:
            draw_scatter(findings, picture)
        except Exception as error:  # noqa: BLE001 - whatever it is, the results are there
            told = f"WARNING: {picture} could not be drawn: {first_line(error)}"
            console.print(told, style="yellow", markup=False, soft_wrap=True)
        else:
            console.print(f"plot:  {picture}", soft_wrap=True)
    console.print(f"store: {store.address}", soft_wrap=True)
