"""The commands that read a store: table, plot, report, rank; and import-logs, which fills one.

Bodies only wire: statistics, tables and plots are in `analysis`, whose heavy libraries are imported here when a
command runs.
"""

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import DEFAULT_STORE, existing_store, print_json, stderr, stdout

if TYPE_CHECKING:
    import pandas as pd

    from analysis.evidence import Findings
    from analysis.grid import Grid
    from analysis.points import Panel
    from analysis.rows import Filter
    from orchestrator.store.store import Store

StoreFolder = Annotated[
    str, typer.Argument(metavar="STORE", help="The results: a folder, or an address (s3://...).")
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only these rows: KEY=VALUE[,VALUE] or KEY!=VALUE; * and ? match anything. "
        "Keys: dataset, teacher, student, pair, augmentation, seed, source. Repeat to narrow.",
    ),
]
GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="KEY[,KEY]",
        help="One table, and one pooled estimate, per dataset, teacher, student, pair or source; "
        "plots keep a group's panels together.",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="s_test_loss, s_accuracy, t_stddev or correlation; repeat for several. All by default.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write a file; its ending names the format.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Samples = Annotated[
    int,
    typer.Option(
        "--bootstrap", min=100, max=1_000_000, help="Samples of each interval or simulation."
    ),
]
StatisticsSeed = Annotated[
    int, typer.Option("--statistics-seed", min=0, help="Of bootstrap and permutation samples.")
]


class Format(enum.StrEnum):
    """How tables are written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"
    JSON = "json"


class PlotKind(enum.StrEnum):
    """What is drawn."""

    SCATTER = "scatter"
    GRID = "grid"
    CURVES = "curves"
    RANK = "rank"
    FOREST = "forest"


FormatOption = Annotated[
    Format | None, typer.Option("--format", help="Of the tables; text by default.")
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to an application."""
    for name, command, example in (
        ("table", table, "kdsweep table kdsweep-store --format latex --filter dataset=cifar100"),
        ("plot", plot, "kdsweep plot kdsweep-store --kind forest --output forest.pdf"),
        ("report", report, "kdsweep report kdsweep-store -o report.html"),
        ("rank", rank, "kdsweep rank sweeps/quickstart.yaml"),
        ("import-logs", import_logs, "kdsweep import-logs Experiments --store kdsweep-store"),
    ):
        app.command(name, epilog=f"Example: `{example}`")(command)


def table(
    store: StoreFolder,
    filters: Filters = None,
    group_by: GroupBy = "dataset",
    metric: Metrics = None,
    format_: FormatOption = None,
    output: Output = None,
    as_json: Json = False,
    compare_paper: Annotated[
        bool, typer.Option("--compare-paper", help="Beside the paper's published points.")
    ] = False,
    samples: Samples = 10_000,
    seed: StatisticsSeed = 0,
) -> None:
    """Print S. test loss, accuracy, T. stddev and their correlations, with honest uncertainty."""
    from analysis.result_tables import METRIC_NAMES, check_metrics
    from analysis.rows import read_rows
    from analysis.tables import as_json as tables_as_json
    from analysis.tables import table_grids
    from analysis.teachers import teachers_alone

    check_metrics(metric or ())
    chosen = _format(format_, output, as_json)
    parsed, keys = _parsed(filters), _keys(group_by)
    opened = existing_store(store)
    if compare_paper:
        from analysis.published import METRICS, check_comparable, compare, comparison_grids

        check_comparable(metric or ())
        found = _panels(read_rows(opened, parsed), keys)
        _tell_of_unfinished_sweeps(opened)
        grids = comparison_grids(compare(found, seed, samples), metric or METRICS)
        _write_records(grids, chosen, output)
        return
    metrics = metric or METRIC_NAMES
    rows = read_rows(opened, parsed)
    found = _panels(rows, keys)
    teachers = teachers_alone(rows, found, parsed)
    _tell_of_unfinished_sweeps(opened)
    if not found:
        stderr().print(_no_student(store, bool(teachers)), markup=False, soft_wrap=True)
    findings = _weigh(found, keys, samples, seed)
    if chosen is Format.JSON:
        _write_json(tables_as_json(found, findings, metrics, teachers), output)
    else:
        _write(table_grids(found, findings, metrics, keys, teachers), chosen, output)


def _no_student(store: str, has_t_stddev: bool) -> str:
    if has_t_stddev:
        return f"no student has finished yet: no S. test loss; kdsweep rank {store} orders by T. stddev"
    return "no student has finished yet: the tables are empty"


def _write_records(grids: "Sequence[Grid]", chosen: Format, output: Path | None) -> None:
    """Tables whose JSON is their records."""
    if chosen is Format.JSON:
        _write_json([dict(record) for grid in grids for record in grid.records], output)
    else:
        _write(grids, chosen, output)


def plot(
    store: StoreFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The picture; its ending names the format. By default plots/KIND.png in the store's folder.",
        ),
    ] = None,
    kind: Annotated[PlotKind, typer.Option("--kind", help="What to draw.")] = PlotKind.SCATTER,
    filters: Filters = None,
    group_by: GroupBy = "dataset",
    samples: Samples = 10_000,
    seed: StatisticsSeed = 0,
) -> None:
    """Draw T. stddev against S. test loss, or curves, ranks, coefficients (png, svg, pdf)."""
    from analysis.plots import FORMATS
    from analysis.rows import read_rows
    from trainer.problems import UserError, did_you_mean

    if output and (ending := output.suffix.lstrip(".")) not in FORMATS:
        raise UserError(f"{output}: unknown format {ending!r}{did_you_mean(ending, FORMATS)}")
    parsed, keys = _parsed(filters), _keys(group_by)
    opened = existing_store(store)
    picture = output or _usual_picture(opened, kind)
    found = _panels(read_rows(opened, parsed), keys)
    try:
        _draw(kind, opened, found, keys, samples, seed, picture)
    except ValueError as error:
        raise UserError(
            f"{store}: {error} as {kind}: no augmentation has both values yet"
        ) from error
    except OSError as error:
        raise UserError(
            f"{picture}: cannot be written: {error.strerror}; --output names another place"
        ) from error
    _tell_of_unfinished_sweeps(opened)
    stdout().print(f"{picture}", soft_wrap=True)


def _usual_picture(store: "Store", kind: PlotKind) -> Path:
    """Beside the results or, where those are on no file system, in the current folder."""
    name = f"{kind}.png"
    return Path(name) if store.is_remote else store.root / "plots" / name


def _draw(
    kind: PlotKind,
    store: "Store",
    found: "list[Panel]",
    group_by: Sequence[str],
    samples: int,
    seed: int,
    output: Path,
) -> None:
    from analysis import plots

    if kind is PlotKind.CURVES:
        from analysis.curves import curves, read_epochs

        epochs = read_epochs(store)
        plots.draw_curves([(panel, curves(panel, epochs)) for panel in found], output)
        return
    # Only the forest shows intervals: the others need no more samples than the least.
    findings = _weigh(found, group_by, samples if kind is PlotKind.FOREST else 100, seed)
    draw = {
        PlotKind.SCATTER: plots.draw_scatter,
        PlotKind.GRID: plots.draw_grid,
        PlotKind.RANK: plots.draw_ranks,
        PlotKind.FOREST: plots.draw_forest,
    }[kind]
    draw(findings, output)


def report(
    store: StoreFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    filters: Filters = None,
    group_by: GroupBy = "dataset",
    samples: Samples = 10_000,
    seed: StatisticsSeed = 0,
) -> None:
    """Write one self-contained HTML page: plots, tables, methods, failures, every trial."""
    from analysis.report import render_report
    from analysis.rows import read_rows
    from orchestrator.reports.progress import progress_of
    from orchestrator.store.provenance import git_state

    parsed, keys = _parsed(filters), _keys(group_by)
    opened = existing_store(store)
    found = _panels(read_rows(opened, parsed), keys)
    page = render_report(
        opened,
        parsed,
        _weigh(found, keys, samples, seed),
        group_by=keys,
        progress=progress_of(opened),
        commit=git_state()[0],
    )
    _write_text(page, output)


def rank(
    source: Annotated[
        str,
        typer.Argument(metavar="SWEEP|STORE", help="A sweep file, or a store's folder or address."),
    ],
    store: Annotated[
        str | None,
        typer.Option("--store", envvar="KDSWEEP_STORE", help="Of a sweep: where the results are."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="First measure what a sweep lacks; no student is trained."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", envvar="KDSWEEP_DATA", help="The folder of data sets."),
    ] = None,
    filters: Filters = None,
    format_: FormatOption = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Order augmentations by T. stddev, from the teacher alone, before any student is trained."""
    from analysis.ranking import rank as rank_rows
    from analysis.ranking import ranking_grids
    from analysis.rows import read_rows
    from orchestrator.cli.rank import open_teacher_plan, run_teacher_plan
    from trainer.problems import UserError

    chosen = _format(format_, output, as_json)
    wanted = None
    if "://" in source or Path(source).is_dir():
        if measure:
            raise UserError(f"{source}: a store cannot be measured; --measure takes a sweep file")
        opened = existing_store(source)
    else:
        plan, opened = open_teacher_plan(Path(source), store)
        if measure and plan.missing:
            run_teacher_plan(plan, opened, data)
            plan, opened = open_teacher_plan(Path(source), store)
        wanted = {trial.fingerprint for trial in plan.trials}
        left = [trial for trial in plan.trials if trial.fingerprint not in plan.done]
        if left:
            stderr().print(
                f"partial: {len(left)} of {len(plan.trials)} teacher and T. stddev trials are not finished; "
                f"kdsweep rank {source} --measure runs them, and trains no student",
                soft_wrap=True,
            )
    rows = read_rows(opened, _parsed(filters), wanted)
    grids = ranking_grids(rank_rows(rows))
    if not grids:
        stderr().print("no T. stddev is measured yet")
    _write_records(grids, chosen, output)


def import_logs(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder with log.txt files of the authors' code."),
    ],
    store: Annotated[
        str,
        typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
    ] = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Bring log.txt files of the authors' own code into a store, marked as imported."""
    from dataclasses import asdict

    from orchestrator.store.store import Store
    from orchestrator.upkeep.importing import import_logs as import_into

    outcome = import_into(folder, Store(store))
    if as_json:
        print_json(asdict(outcome))
    else:
        for message in outcome.refused:
            stderr().print(message, markup=False, highlight=False, soft_wrap=True, style="red")
        stdout().print(
            f"{outcome.imported} imported, {outcome.known} known already, "
            f"{len(outcome.refused)} refused; store: {store}",
            soft_wrap=True,
        )
    if outcome.refused:
        sys.exit(1 if outcome.imported or outcome.known else 2)


# What the commands share


def _parsed(filters: list[str] | None) -> "tuple[Filter, ...]":
    from analysis.rows import parse_filters

    return parse_filters(filters or ())


def _keys(group_by: str) -> tuple[str, ...]:
    """Raises UserError if one is unknown."""
    from analysis.evidence import check_group_keys

    keys = tuple(key.strip() for key in group_by.split(","))
    check_group_keys(keys)
    return keys


def _panels(rows: "pd.DataFrame", group_by: Sequence[str]) -> "list[Panel]":
    """The panels of a group side by side, wherever they are shown."""
    from analysis.evidence import grouped
    from analysis.points import panels

    return [panel for group in grouped(panels(rows), group_by).values() for panel in group]


def _tell_of_unfinished_sweeps(store: "Store") -> None:
    """On stderr, so that it is in no file and no JSON."""
    from orchestrator.reports.progress import progress_of

    for sweep in progress_of(store):
        if sweep.done is not None and sweep.done != sweep.total:
            stderr().print(
                f"partial: {sweep.name}: {sweep.done} of {sweep.total} trials finished",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _weigh(
    found: "Sequence[Panel]", group_by: Sequence[str], samples: int, seed: int
) -> "Findings":
    from analysis.bootstrap import Bootstrap
    from analysis.evidence import weigh

    return weigh(found, group_by=group_by, bootstrap=Bootstrap(samples, seed))


def _format(given: Format | None, output: Path | None, as_json: bool) -> Format:
    """The format asked for: by --json, by --format, by the ending of the file, else text."""
    from analysis.formats import ENDINGS
    from trainer.problems import UserError, did_you_mean

    if as_json:
        return Format.JSON
    if given is not None:
        return given
    if output is None:
        return Format.TEXT
    ending = output.suffix.lstrip(".")
    if ending == "txt":
        return Format.TEXT
    if ending not in ENDINGS:
        raise UserError(
            f"{output}: unknown format {ending!r}{did_you_mean(ending, [*ENDINGS, 'txt'])}"
        )
    return Format(ENDINGS[ending])


def _write(grids: "Sequence[Grid]", chosen: Format, output: Path | None) -> None:
    from analysis.formats import WRITERS, terminal

    if chosen is not Format.TEXT:
        _write_text(WRITERS[chosen](grids), output)
        return
    console = stdout(wide=True)
    if output is None:
        for part in terminal(grids, console.width):
            console.print(part)
        return
    with console.capture() as captured:
        for part in terminal(grids, console.width):
            console.print(part)
    _write_text(captured.get(), output)


def _write_json(value: object, output: Path | None) -> None:
    import json

    if output is None:
        print_json(value)
    else:
        _write_text(json.dumps(value, indent=1) + "\n", output)


def _write_text(text: str, output: Path | None) -> None:
    from trainer.problems import UserError

    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from error
    stdout().print(f"{output}", soft_wrap=True)
