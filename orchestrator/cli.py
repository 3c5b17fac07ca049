"""The command `kdsweep`. Each command wires; what it needs is imported when it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.cluster import Cluster
    from orchestrator.plan import Plan
    from orchestrator.store import Store
    from orchestrator.sweep import Sweep

DONE, SOME_FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3

app = typer.Typer(
    name="kdsweep",
    help="Sweeps of knowledge distillation with data augmentation: does T. stddev predict S. test loss?",
    epilog="Exit codes: 0 done, 1 some trial failed, 2 bad input, 3 stopped before it was finished.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
StoreFolder = Annotated[
    str, typer.Argument(metavar="STORE", help="The results: a folder, or an address (s3://...).")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="KDSWEEP_DATA", help="The folder of data sets."),
]
Cpus = Annotated[
    int | None, typer.Option(min=1, help="CPUs that this machine's Ray may use; all by default.")
]
Gpus = Annotated[
    int | None, typer.Option(min=0, help="GPUs that this machine's Ray may use; all by default.")
]
Address = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of a running Ray cluster, or auto for this machine's."),
]
Deadline = Annotated[
    str | None,
    typer.Option(help="Save everything and leave within this time: 11h, 90m, 45s. Exit code 3."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

DEFAULT_STORE = "kdsweep-store"
DEFAULT_DATA = Path("data")


def main() -> None:
    """The entry point: a user's mistake ends in one line and exit code 2, never in a traceback."""
    from trainer.problems import UserError

    try:
        app()
    except UserError as error:
        _stderr().print(str(error), markup=False, highlight=False, soft_wrap=True, style="red")
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        _stderr().print("left at once; the same command goes on from the last checkpoints")
        sys.exit(STOPPED)


def _stdout() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _stderr() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=1))


def _open(sweep_file: Path, store: str | Path | None) -> "tuple[Sweep, Store]":
    from orchestrator.store import Store
    from orchestrator.sweep import load_sweep

    sweep = load_sweep(sweep_file)
    return sweep, Store(store or sweep.store or DEFAULT_STORE)


def _existing(address: str) -> "Store":
    from orchestrator.store import Store
    from trainer.problems import UserError

    store = Store(address)
    if not store.is_remote and not store.root.is_dir():
        raise UserError(f"{address}: no such folder; kdsweep run SWEEP makes a store")
    return store


def _plan(sweep: "Sweep", store: "Store", retry_failed: bool) -> "Plan":
    from orchestrator.plan import make_plan

    return make_plan(sweep, store, retry_failed=retry_failed)


@app.command(epilog="Example: `kdsweep plan sweeps/quickstart.yaml`")
def plan(sweep: SweepFile, store: StoreOption = None, as_json: Json = False) -> None:
    """Show what would run, and what the store already has."""
    from orchestrator.reports import plan_as_json, plan_table

    made = _plan(*_open(sweep, store), retry_failed=False)
    if as_json:
        _print_json(plan_as_json(made))
    else:
        _stdout().print(plan_table(made))


@app.command(epilog="Example: `kdsweep run sweeps/quickstart.yaml`")
def run(
    sweep: SweepFile,
    store: StoreOption = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Address = None,
    deadline: Deadline = None,
) -> None:
    """Run what is missing, then print the correlation tables. Running it again goes on."""
    opened, where = _open(sweep, store), _cluster(cpus, gpus, address)
    made = _plan(*opened, retry_failed=False)
    _run(sweep, made, opened[1], data, where, _seconds(deadline))


@app.command(epilog="Example: `kdsweep resume sweeps/quickstart.yaml --only cutmix`")
def resume(
    sweep: SweepFile,
    store: StoreOption = None,
    data: DataOption = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Address = None,
    deadline: Deadline = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A fingerprint, pair or augmentation; may be given several times."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start them over, without their checkpoints.")
    ] = False,
) -> None:
    """As run, and also retry trials that failed by an error of the program."""
    from orchestrator import selection

    opened, where = _open(sweep, store), _cluster(cpus, gpus, address)
    made = _plan(*opened, retry_failed=True)
    if only:
        made = selection.only(made, only)
    until = _seconds(deadline)
    if from_scratch:
        dropped = selection.start_over(made, opened[1])
        _stdout().print(f"{dropped} trials start over, without their checkpoints")
    _run(sweep, made, opened[1], data, where, until)


def _cluster(cpus: int | None, gpus: int | None, address: str | None) -> "Cluster":
    from orchestrator.cluster import ExistingCluster, LocalCluster
    from trainer.problems import UserError

    if address is None:
        return LocalCluster(cpus, gpus)
    if cpus is not None or gpus is not None:
        raise UserError("--cpus and --gpus size a Ray of our own; the one of --address has its own")
    return ExistingCluster(address)


def _seconds(deadline: str | None) -> float | None:
    from orchestrator.durations import seconds

    return None if deadline is None else seconds(deadline, "--deadline")


def _run(
    sweep_file: Path,
    made: "Plan",
    store: "Store",
    data_folder: Path | None,
    cluster: "Cluster",
    deadline_s: float | None,
) -> NoReturn:
    console = _stdout()
    code = DONE
    for warning in made.warnings:
        console.print(f"WARNING: {warning}", style="yellow", markup=False, soft_wrap=True)
    if made.missing:
        folder = data_folder or (Path(made.sweep.data) if made.sweep.data else DEFAULT_DATA)
        data = folder.expanduser().absolute()
        code = _run_missing(made, store, data, cluster, deadline_s, console)
    elif made.failed:
        code = SOME_FAILED
    else:
        console.print(f"all {len(made.trials)} trials are finished already")
    if made.failed and not made.missing:
        console.print(f"{len(made.failed)} trials failed before: kdsweep resume {sweep_file}")
    _show_results(made, store, console)
    here = f"{sweep_file} --store {store.address}"
    if code == STOPPED:
        console.print(f"\nto go on: kdsweep run {here}", soft_wrap=True)
    elif code == SOME_FAILED:
        console.print(f"\nthe reasons: kdsweep status {here}", soft_wrap=True)
    sys.exit(code)


def _run_missing(
    made: "Plan",
    store: "Store",
    data_folder: Path,
    cluster: "Cluster",
    deadline_s: float | None,
    console: "Console",
) -> int:
    from orchestrator.driver import run_plan
    from orchestrator.view import make_view

    summary = run_plan(made, store, data_folder, cluster, make_view(console), deadline_s)
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


def _show_results(made: "Plan", store: "Store", console: "Console") -> None:
    """The tables of a sweep's own trials, and its scatter plot beside the results."""
    from analysis.plots import scatter
    from analysis.points import panels
    from analysis.tables import panel_tables
    from orchestrator.reports import teacher_lines

    results = store.results({trial.fingerprint for trial in made.trials})
    for line in teacher_lines(results.to_pylist()):
        console.print(line, soft_wrap=True)
    found = panels(results)
    for table in panel_tables(found):
        console.print(table)
    if any(panel.complete for panel in found) and not store.is_remote:
        picture = store.root / "plots" / f"{made.sweep.name}.png"
        scatter(found, picture)
        console.print(f"plot:  {picture}", soft_wrap=True)
    console.print(f"store: {store.address}", soft_wrap=True)


@app.command(epilog="Example: `kdsweep status sweeps/quickstart.yaml`")
def status(sweep: SweepFile, store: StoreOption = None, as_json: Json = False) -> None:
    """Show what is done, running, failed and waiting; with the reason of every failure."""
    from orchestrator.reports import status_as_json, status_report

    loaded, opened = _open(sweep, store)
    made = _plan(loaded, opened, retry_failed=False)
    if as_json:
        _print_json(status_as_json(made, opened.running()))
    else:
        for part in status_report(made, opened.running()):
            _stdout().print(part)


@app.command(epilog="Example: `kdsweep schema > sweep.schema.json`")
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors."""
    from orchestrator.sweep_schema import sweep_schema

    _print_json(sweep_schema())


@app.command(epilog="Example: `kdsweep models`")
def models(as_json: Json = False) -> None:
    """List the architectures, with parameters (100 classes) and multiply-adds (a 32x32 image)."""
    from orchestrator.reports import model_table
    from trainer.catalog import MODELS

    if as_json:
        _print_json({name: facts._asdict() for name, facts in MODELS.items()})
    else:
        _stdout().print(model_table())


@app.command(epilog="Example: `kdsweep table kdsweep-store`")
def table(store: StoreFolder, as_json: Json = False) -> None:
    """Print S. test loss, T. stddev and their correlations, per data set and pair."""
    from analysis.points import panels
    from analysis.tables import as_json as tables_as_json
    from analysis.tables import panel_tables

    found = panels(_existing(store).results())
    if as_json:
        _print_json(tables_as_json(found))
        return
    if not found:
        _stdout().print("no student has finished yet")
    for result_table in panel_tables(found):
        _stdout().print(result_table)


@app.command(epilog="Example: `kdsweep plot kdsweep-store --output scatter.svg`")
def plot(
    store: StoreFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture; its ending names the format.")
    ] = Path("scatter.png"),
) -> None:
    """Draw T. stddev against S. test loss, one panel per pair."""
    from analysis.plots import FORMATS, scatter
    from analysis.points import panels
    from trainer.problems import UserError, did_you_mean

    ending = output.suffix.lstrip(".")
    if ending not in FORMATS:
        raise UserError(f"{output}: unknown format {ending!r}{did_you_mean(ending, FORMATS)}")
    found = [panel for panel in panels(_existing(store).results()) if panel.complete]
    if not found:
        raise UserError(f"{store}: nothing to draw: no augmentation has both values yet")
    scatter(found, output)
    _stdout().print(f"{output}", soft_wrap=True)


@app.command(epilog="Example: `kdsweep verify kdsweep-store`")
def verify(store: StoreFolder, as_json: Json = False) -> None:
    """Re-check every file, fingerprint, dependency and checksum; say what is broken and how to mend it."""
    from orchestrator import verification

    opened = _existing(store)
    findings = verification.verify(opened)
    if as_json:
        _print_json(verification.as_json(findings))
    else:
        for finding in findings:
            text = f"{finding.where}: {finding.problem}\n    mend: {finding.mend}"
            _stdout().print(text, markup=False, soft_wrap=True)
        told = f"{len(findings)} findings" if findings else "nothing is broken"
        _stdout().print(f"{len(opened.finished())} finished trials, {told}")
    sys.exit(SOME_FAILED if findings else DONE)


@app.command(epilog="Example: `kdsweep export kdsweep-store -o bundle.zip`")
def export(
    store: StoreFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip file to write.")] = Path(
        "bundle.zip"
    ),
) -> None:
    """Make one evidence bundle: Parquet, resolved sweeps, environment, tables, plots and checksums."""
    from orchestrator import evidence

    names = evidence.export(_existing(store), output)
    _stdout().print(f"{output}: {len(names)} files", soft_wrap=True)


@app.command(epilog="Example: `kdsweep compact kdsweep-store`")
def compact(store: StoreFolder) -> None:
    """Merge the many small files of a store; runs and readers may go on meanwhile."""
    for name, done in _existing(store).compact().items():
        files = f"{done.files_before} files are now {done.files_after}"
        _stdout().print(f"{name}: {done.rows} rows; {files}")


@app.command(epilog="Example: `kdsweep prune kdsweep-store checkpoints --dry-run`")
def prune(
    store: StoreFolder,
    what: Annotated[
        list[str],
        typer.Argument(
            help="checkpoints, student-weights, teacher-weights, failures, damaged, or a fingerprint."
        ),
    ],
    dry_run: DryRun = False,
) -> None:
    """Remove what you name from a store."""
    from orchestrator.retention import removals

    found = removals(_existing(store), what)
    for removal in found:
        _stdout().print(f"{removal.what} ({removal.num_bytes:,} bytes)", soft_wrap=True)
        if not dry_run:
            removal.carry_out()
    freed = sum(removal.num_bytes for removal in found)
    verb = "would be removed" if dry_run else "removed"
    _stdout().print(f"{len(found)} {verb}, {freed:,} bytes")
