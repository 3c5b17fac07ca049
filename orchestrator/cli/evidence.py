"""The commands that show what a store says: table, plot, report.

Bodies only wire: statistics, tables and plots are in `analysis`, whose heavy libraries are imported here when a
command runs.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import as_command, stderr, stdout
from orchestrator.cli.opening import Shown, open_shown, set_again, shown_order
from orchestrator.cli.options import (
    Changes,
    Filters,
    GroupBy,
    Json,
    Metrics,
    Predictor,
    Samples,
    SamplesOfForest,
    Source,
    StatisticsSeed,
    StoreOfSweep,
)
from orchestrator.cli.output import (
    Format,
    FormatOption,
    Output,
    chosen_format,
    write_grids,
    write_json,
    write_records,
    write_text,
    writing,
)

if TYPE_CHECKING:
    import pandas as pd

    from analysis.contest import Contest
    from analysis.evidence import Findings
    from analysis.filters import Filter
    from analysis.grid import Record
    from analysis.plots import Sheet
    from analysis.points import Panel
    from analysis.report import Report
    from analysis.teachers import Measured
    from orchestrator.store.store import Store

USUAL = "t_stddev"
"""The predictor that is shown where none is named."""

WATCH_EVERY_S = 10
"""A page takes seconds to make, and a trial minutes."""


class PlotKind(enum.StrEnum):
    """What is drawn."""

    SCATTER = "scatter"
    GRID = "grid"
    CURVES = "curves"
    RANK = "rank"
    FOREST = "forest"
    POOLED = "pooled"


class NumbersFormat(enum.StrEnum):
    """How the numbers of a picture are written."""

    CSV = "csv"
    JSON = "json"


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to an application."""
    for name, command, example in (
        ("table", table, "kdsweep table kdsweep-store --format latex --filter dataset=cifar100"),
        ("plot", plot, "kdsweep plot kdsweep-store --kind forest --output forest.pdf"),
        ("report", report, "kdsweep report kdsweep-store -o report.html"),
    ):
        app.command(name, epilog=f"Example: `{example}`")(command)


def table(
    source: Source,
    store: StoreOfSweep = None,
    changes: Changes = None,
    filters: Filters = None,
    group_by: GroupBy = "dataset",
    metric: Metrics = None,
    predictor: Predictor = USUAL,
    contest: Annotated[
        bool,
        typer.Option(
            "--contest", help="All predictors side by side, and the differences of each two."
        ),
    ] = False,
    format_: FormatOption = None,
    output: Output = None,
    as_json: Json = False,
    compare_paper: Annotated[
        bool, typer.Option("--compare-paper", help="Beside the paper's published points.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --compare-paper: what differs by less than so many standard deviations of the published "
            "values over augmentations is the same. [default: 0.5]",
        ),
    ] = None,
    coefficient_margin: Annotated[
        float | None,
        typer.Option(min=0, help="With --compare-paper: the same of coefficients. [default: 0.1]"),
    ] = None,
    samples: Samples = 10_000,
    seed: StatisticsSeed = 0,
) -> None:
    """Print S. test loss, accuracy, T. stddev and their correlations, with honest uncertainty."""
    from analysis.metrics import check_metrics, names_with
    from analysis.predictors import chosen as chosen_predictor
    from analysis.rows import read_rows
    from analysis.tables import as_json as tables_as_json
    from analysis.tables import table_grids

    _check_margins(margin, coefficient_margin, compare_paper=compare_paper)
    _check_alone(predictor, metric, contest=contest, compare_paper=compare_paper)
    chosen = chosen_format(format_, output, as_json)
    parsed, keys = _parsed(filters), _keys(group_by)
    shown = open_shown(source, store, changes)
    if compare_paper:
        from analysis.published import (
            COMPARED_NAMES,
            Margins,
            check_comparable,
            compare,
            comparison_grids,
        )

        usual = Margins()
        margins = Margins(
            usual.cells if margin is None else margin,
            usual.coefficients if coefficient_margin is None else coefficient_margin,
        )
        check_comparable(metric or ())
        panels = _panels(shown, read_rows(shown.store, parsed, shown.trials), keys, predictor)
        _tell_of_unfinished_sweeps(shown)
        grids = comparison_grids(compare(panels, seed, samples, margins), metric or COMPARED_NAMES)
        write_records(grids, chosen, output)
        return
    rows = read_rows(shown.store, parsed, shown.trials)
    if contest:
        from analysis.contest_tables import contest_grids, contests_as_json

        held = _contests(shown, rows, keys, samples, seed)
        _tell_of_unfinished_sweeps(shown)
        if not held:
            stderr().print("no contest yet: no two predictors have three augmentations in common")
        if chosen is Format.JSON:
            write_json({"contests": contests_as_json(held)}, output)
        else:
            write_grids(contest_grids(held), chosen, output)
        return
    metrics = metric or names_with(chosen_predictor(rows, predictor))
    check_metrics(metrics, chosen_predictor(rows, predictor))
    panels = _panels(shown, rows, keys, predictor)
    teachers = _teachers_alone(shown, rows, panels, parsed, predictor)
    _tell_of_unfinished_sweeps(shown)
    if not panels:
        at = set_again(changes) + (("--store", store) if store else ())
        stderr().print(_no_student(source, at, bool(teachers)), markup=False, soft_wrap=True)
    findings = _weigh(panels, keys, samples, seed)
    if chosen is Format.JSON:
        write_json(tables_as_json(panels, findings, metrics, teachers), output)
    else:
        write_grids(table_grids(panels, findings, metrics, keys, teachers), chosen, output)


def _check_margins(
    margin: float | None, coefficient_margin: float | None, *, compare_paper: bool
) -> None:
    """Raises UserError of a margin where nothing is compared."""
    from trainer.problems import UserError

    for name, value in (("--margin", margin), ("--coefficient-margin", coefficient_margin)):
        if value is not None and not compare_paper:
            raise UserError(f"{name} is of --compare-paper: add that, or leave it out")


def _check_alone(
    predictor: str, metrics: list[str] | None, *, contest: bool, compare_paper: bool
) -> None:
    """Raises UserError of options that say two things at once."""
    from trainer.problems import UserError

    if contest and compare_paper:
        raise UserError("--contest and --compare-paper are tables of their own: choose one")
    if contest and (predictor != USUAL or metrics):
        other = f"--predictor {predictor}" if predictor != USUAL else "--metric"
        raise UserError(f"--contest shows all predictors: leave {other} out")
    if compare_paper and predictor != USUAL:
        raise UserError(f"--predictor {predictor}: the paper published points of {USUAL} alone")


def _no_student(source: str, at: Sequence[str], has_t_stddev: bool) -> str:
    if has_t_stddev:
        rank = as_command("rank", source, *at)
        return f"no student has finished yet: no S. test loss; {rank} orders by T. stddev"
    return "no student has finished yet: the tables are empty"


def plot(
    source: Source,
    store: StoreOfSweep = None,
    changes: Changes = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The picture; its ending names the format. By default plots/KIND.png in the store's folder.",
        ),
    ] = None,
    kind: Annotated[PlotKind, typer.Option("--kind", help="What to draw.")] = PlotKind.SCATTER,
    width: Annotated[
        float | None,
        typer.Option(
            min=2.5,
            max=40.0,
            help="For print: exactly so many inches wide, its text readable at that width. "
            "A column of two takes 3.25, a page 6.75.",
        ),
    ] = None,
    dpi: Annotated[
        int | None,
        typer.Option(
            min=50, max=1200, help="Dots per inch of a PNG: 150 by default, 300 with --width."
        ),
    ] = None,
    data: Annotated[
        NumbersFormat | None,
        typer.Option("--data", help="Beside the picture, a file of the numbers in it."),
    ] = None,
    predictor: Predictor = USUAL,
    filters: Filters = None,
    group_by: GroupBy = "dataset",
    samples: SamplesOfForest = None,
    seed: StatisticsSeed = 0,
) -> None:
    """Draw T. stddev against S. test loss, or curves, ranks, coefficients (png, svg, pdf)."""
    from analysis.formats import csv_of
    from analysis.plots import FORMATS, Sheet
    from analysis.rows import read_rows
    from trainer.problems import UserError, did_you_mean

    if output and (ending := output.suffix.lstrip(".")) not in FORMATS:
        raise UserError(f"{output}: unknown format {ending!r}{did_you_mean(ending, FORMATS)}")
    if samples is not None and kind is not PlotKind.FOREST:
        raise UserError(
            f"--bootstrap {samples}: goes with --kind forest, which alone shows intervals"
        )
    parsed, keys = _parsed(filters), _keys(group_by)
    shown = open_shown(source, store, changes)
    picture = output or _usual_picture(shown.store, kind)
    panels = _panels(shown, read_rows(shown.store, parsed, shown.trials), keys, predictor)
    try:
        with writing(picture):
            drawing = _drawing(kind, shown.store, panels, keys, samples or 10_000, seed)
            drawing.draw(picture, Sheet(width, dpi))
    except ValueError as error:
        raise UserError(f"{source}: {error} as {kind}: {_too_little(kind)}") from error
    _tell_of_unfinished_sweeps(shown)
    stdout().print(f"{picture}", soft_wrap=True)
    if data is not None:
        beside = picture.with_suffix(f".{data}")
        records = list(drawing.numbers())
        if data is NumbersFormat.JSON:
            write_json(records, beside)
        else:
            write_text(csv_of(records), beside)


def _too_little(kind: PlotKind) -> str:
    if kind is PlotKind.POOLED:
        return "no two panels of a group share three augmentations that have both values, and differ in them"
    if kind is PlotKind.FOREST:
        return "no panel has three augmentations that have both values, and differ in them"
    return "no augmentation has both values yet"


def _usual_picture(store: "Store", kind: PlotKind) -> Path:
    """Beside the results or, where those are on no file system, in the current folder."""
    name = f"{kind}.png"
    return Path(name) if store.is_remote else store.root / "plots" / name


@dataclass(frozen=True)
class Drawing:
    """A picture that can be drawn, and the records of the numbers in it."""

    draw: "Callable[[Path, Sheet], None]"
    numbers: "Callable[[], Iterator[Record]]"


def _drawing(
    kind: PlotKind,
    store: "Store",
    panels: "list[Panel]",
    group_by: Sequence[str],
    samples: int,
    seed: int,
) -> Drawing:
    from analysis import plots

    if kind is PlotKind.CURVES:
        from analysis.curves import curves, read_epochs

        epochs = read_epochs(store)
        shown = [(panel, curves(panel, epochs)) for panel in panels]
        return Drawing(partial(plots.draw_curves, shown), partial(plots.curve_numbers, shown))
    # Only the forest shows intervals: the others need no more samples than the least.
    findings = _weigh(panels, group_by, samples if kind is PlotKind.FOREST else 100, seed)
    if kind is PlotKind.POOLED:
        clouds = plots.clouds(findings, group_by)
        return Drawing(partial(plots.draw_pooled, clouds), partial(plots.pooled_numbers, clouds))
    draw, numbers = {
        PlotKind.SCATTER: (plots.draw_scatter, plots.scatter_numbers),
        PlotKind.GRID: (plots.draw_grid, plots.scatter_numbers),
        PlotKind.RANK: (plots.draw_ranks, plots.rank_numbers),
        PlotKind.FOREST: (plots.draw_forest, plots.forest_numbers),
    }[kind]
    return Drawing(partial(draw, findings), partial(numbers, findings))


def report(
    source: Source,
    store: StoreOfSweep = None,
    changes: Changes = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    predictor: Predictor = USUAL,
    filters: Filters = None,
    group_by: GroupBy = "dataset",
    samples: Samples = 10_000,
    seed: StatisticsSeed = 0,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Write it anew until all is done or Ctrl-C; meanwhile the page reloads itself.",
        ),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, max=86_400, help="With --watch: seconds between. [default: 10]"
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page: the answer, its evidence and doubts, tables, every trial."""
    from orchestrator.cli.watching import keep_writing
    from trainer.problems import UserError

    if every is not None and not watch:
        raise UserError(f"--every {every}: goes with --watch")
    make = partial(
        _report,
        source,
        store,
        changes,
        predictor,
        _parsed(filters),
        _keys(group_by),
        samples,
        seed,
    )
    if not watch:
        made, _ = make()
        _write_page(made.html(), output, is_told=True)
        return
    every_s = every or WATCH_EVERY_S
    written: list[Report] = []

    def write(is_last: bool) -> bool:
        if is_last:
            _write_page(written[-1].html(), output, is_told=False)
            return False
        made, is_going_on = make()
        _write_page(made.html(every_s), output, is_told=not written)
        written[:] = [made]
        return is_going_on

    keep_writing(write, every_s)


def _report(
    source: str,
    store: str | None,
    changes: Sequence[str] | None,
    predictor: str,
    filters: "Sequence[Filter]",
    keys: Sequence[str],
    samples: int,
    seed: int,
) -> "tuple[Report, bool]":
    """The page as the store is now, and whether a sweep of it has trials left to run."""
    from datetime import UTC, datetime

    from analysis.report import render_report
    from analysis.rows import read_rows
    from orchestrator.reports.progress import progress_of
    from orchestrator.store.provenance import git_state

    at = datetime.now(UTC)
    shown = open_shown(source, store, changes)
    rows = read_rows(shown.store, filters, shown.trials)
    panels = _panels(shown, rows, keys, predictor)
    made = render_report(
        shown.store,
        rows,
        _weigh(panels, keys, samples, seed),
        _teachers_alone(shown, rows, panels, filters, predictor),
        _contests(shown, rows, keys, samples, seed),
        group_by=keys,
        filters=filters,
        progress=progress_of(shown.kept),
        commit=git_state()[0],
        at=at,
        fingerprints=shown.fingerprints,
    )
    return made, any(plan.missing for _, plan in shown.kept if plan)


def _write_page(page: str, output: Path, *, is_told: bool) -> None:
    from orchestrator.cli.watching import replace_file

    with writing(output):
        replace_file(output, page.encode())
    if is_told:
        stdout().print(f"{output}", soft_wrap=True)


# What the commands share


def _parsed(filters: list[str] | None) -> "tuple[Filter, ...]":
    from analysis.filters import parse_filters

    return parse_filters(filters or ())


def _keys(group_by: str) -> tuple[str, ...]:
    """Raises UserError if one is unknown."""
    from analysis.evidence import check_group_keys

    keys = tuple(key.strip() for key in group_by.split(","))
    check_group_keys(keys)
    return keys


def _panels(
    shown: Shown, rows: "pd.DataFrame", group_by: Sequence[str], predictor: str
) -> "list[Panel]":
    """The panels of a group side by side, wherever they are shown, in the order of the sweep or the paper."""
    from analysis.combinations import Planned
    from analysis.evidence import grouped
    from analysis.order import arranged
    from analysis.points import panels
    from analysis.predictors import chosen
    from orchestrator.planning.kept_sweeps import together

    planned = Planned(*together(plan for _, plan in shown.kept))
    found = arranged(panels(rows, planned, chosen(rows, predictor)), shown_order(shown.kept))
    return [panel for group in grouped(found, group_by).values() for panel in group]


def _teachers_alone(
    shown: Shown,
    rows: "pd.DataFrame",
    panels: "Sequence[Panel]",
    filters: "Sequence[Filter]",
    predictor: str,
) -> "list[Measured]":
    """Teachers of which no student has finished, in the same order."""
    from analysis.order import arranged_teachers
    from analysis.predictors import chosen
    from analysis.teachers import teachers_alone

    found = teachers_alone(rows, panels, filters, chosen(rows, predictor))
    return arranged_teachers(found, shown_order(shown.kept))


def _contests(
    shown: Shown, rows: "pd.DataFrame", group_by: Sequence[str], samples: int, seed: int
) -> "list[Contest]":
    """All predictors that were measured, against each other."""
    from analysis.bootstrap import Bootstrap
    from analysis.contest import hold
    from analysis.predictors import measured

    found = {p: _panels(shown, rows, group_by, p.name) for p in measured(rows)}
    return hold(found, group_by=group_by, bootstrap=Bootstrap(samples, seed))


def _tell_of_unfinished_sweeps(shown: Shown) -> None:
    """On stderr, so that it is in no file and no JSON."""
    from orchestrator.reports.progress import progress_of

    for sweep in progress_of(shown.kept):
        if sweep.done is not None and sweep.done != sweep.total:
            stderr().print(
                f"partial: {sweep.name}: {sweep.done} of {sweep.total} trials finished",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _weigh(
    panels: "Sequence[Panel]", group_by: Sequence[str], samples: int, seed: int
) -> "Findings":
    from analysis.bootstrap import Bootstrap
    from analysis.evidence import weigh

    return weigh(panels, group_by=group_by, bootstrap=Bootstrap(samples, seed))
