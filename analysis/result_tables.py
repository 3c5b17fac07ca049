"""Result tables as the paper prints them: a row per augmentation, a column per pair.

Cells are mean ± std over seeds. A group of one pair has one table, with a column per metric;
teachers without a student have tables of T. stddev alone.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from analysis.evidence import grouped
from analysis.grid import MISSING, Entry, Grid, Record, Row, emphasised
from analysis.metrics import Metric, metric_of, metrics_of
from analysis.points import Mean, Panel, Point, in_order, names_shown
from analysis.teacher_columns import by_teacher, is_absent, t_stddev_of, teacher_rows
from analysis.teachers import Measured

TEACHER_KEYS = ("dataset", "teacher", "source")
"""By which tables of teachers alone are grouped: they have no student."""


def result_grids(
    panels: Sequence[Panel], metrics: Sequence[str], group_by: Sequence[str]
) -> Iterator[Grid]:
    """Per group a table for each metric; where a group has one pair, one table with a column per metric."""
    *_, chosen_predictor = known = metrics_of(panels)
    chosen = [metric for metric in known if metric.name in metrics]
    for title, group in grouped(panels, group_by).items():
        if not chosen:
            continue
        if len(group) == 1:
            (panel,) = group
            yield _grid(panel.title, [(m.title, panel, m) for m in chosen])
            continue
        columns_of_teachers = by_teacher(group)
        for metric in chosen:
            if metric is chosen_predictor and len(columns_of_teachers) < len(group):
                yield _grid_by_teacher(title, columns_of_teachers, metric, group_by)
                continue
            columns = [(_column(panel, group_by), panel, metric) for panel in group]
            yield _grid(f"{metric.title}, {title}", columns)


def teacher_grids(teachers: Sequence[Measured], group_by: Sequence[str]) -> Iterator[Grid]:
    """T. stddev of teachers that have no finished student yet: a column per teacher, a table per group."""
    keys = [key for key in group_by if key in TEACHER_KEYS]
    groups: dict[str, list[Measured]] = {}
    for teacher in teachers:
        groups.setdefault(" ".join(getattr(teacher, key) for key in keys), []).append(teacher)
    for title, group in groups.items():
        cells = [teacher.cells() for teacher in group]
        metric = metric_of(group[0].predictor)
        names = in_order((name for column in cells for name in column), group[0].order)
        yield _grid_of(
            metric.title + (f", {title}" if title else "") + ": no student yet",
            [teacher.column if "dataset" in keys else teacher.title for teacher in group],
            names,
            [(metric, [column.get(name) for name in names]) for column in cells],
            [
                _teacher_record(teacher, name, column.get(name))
                for teacher, column in zip(group, cells, strict=True)
                for name in names
            ],
            extra_note="no S. test loss yet: no student of these teachers has finished; "
            "kdsweep rank tells which augmentations differ",
        )


def _column(panel: Panel, group_by: Sequence[str]) -> str:
    return panel.column if "dataset" in group_by else panel.title


def _grid(title: str, columns: Sequence[tuple[str, Panel, Metric]]) -> Grid:
    names = names_shown([panel for _, panel, _ in columns])
    cells = [[metric.of(_point(panel, name)) for name in names] for _, panel, metric in columns]
    records = [
        _record(panel, metric, name, mean)
        for (_, panel, metric), column in zip(columns, cells, strict=True)
        for name, mean in zip(names, column, strict=True)
    ]
    headings = [heading for heading, _, _ in columns]
    of_metrics = [(m, column) for (_, _, m), column in zip(columns, cells, strict=True)]
    return _grid_of(title, headings, names, of_metrics, records)


def _grid_by_teacher(
    title: str, columns: Sequence[Sequence[Panel]], metric: Metric, group_by: Sequence[str]
) -> Grid:
    """A predictor with a column per teacher; its records are those of every pair."""
    panels = [panel for column in columns for panel in column]
    rows = teacher_rows(panels)
    names = names_shown(panels)
    return _grid_of(
        f"{metric.title}, {title}",
        [_teacher(column[0], group_by) for column in columns],
        [row.heading for row in rows],
        [(metric, [t_stddev_of(row, column) for row in rows]) for column in columns],
        [
            _record(panel, metric, name, metric.of(_point(panel, name)))
            for panel in panels
            for name in names
        ],
        extra_note=f"pairs of a teacher share its {metric.title}, but for what a student picks",
        absent={
            (i, j)
            for i, column in enumerate(columns)
            for j, row in enumerate(rows)
            if is_absent(row, column)
        },
    )


def _teacher(panel: Panel, group_by: Sequence[str]) -> str:
    name = panel.teacher + (f" ({panel.variant})" if panel.variant else "")
    return name if "dataset" in group_by else f"{panel.dataset} {name}"


def _grid_of(
    title: str,
    headings: Sequence[str],
    names: Sequence[str],
    columns: Sequence[tuple[Metric, Sequence[Mean | None]]],
    records: Sequence[Record],
    extra_note: str = "",
    absent: Collection[tuple[int, int]] = (),
) -> Grid:
    """`absent` are the (column, row) that stay empty: there is no such cell, so it is not missing."""
    cells = [
        [mean for j, mean in enumerate(column) if (i, j) not in absent]
        for i, (_, column) in enumerate(columns)
    ]
    counts = Counter(mean.n for column in cells for mean in column if mean)
    most = max(counts, default=0)
    written = [
        emphasised(
            [
                Entry("") if (i, j) in absent else entry(mean, metric, most)
                for j, mean in enumerate(column)
            ],
            [mean.mean if mean else None for mean in column],
            lower_is_better=metric.lower_is_better,
        )
        for i, (metric, column) in enumerate(columns)
    ]
    rows = tuple(Row(name, tuple(column[i] for column in written)) for i, name in enumerate(names))
    notes = (*_notes(cells, most), *([extra_note] if extra_note else []))
    return Grid(title, "augmentation", tuple(headings), rows, notes, tuple(records))


def _point(panel: Panel, augmentation: str) -> Point | None:
    return next((p for p in panel.points if p.augmentation == augmentation), None)


def entry(mean: Mean | None, metric: Metric, usual_n: int = 0) -> Entry:
    """`1.2345 ± 0.0012`; with its n where that is not the table's usual one; `missing (n=0)`; `3 not finite`."""
    if mean is None:
        return Entry(f"{MISSING} (n=0)", is_missing=True)
    undefined = f"{mean.num_undefined} not finite" if mean.num_undefined else ""
    if not mean.n:
        return Entry(undefined, is_missing=True)
    text = metric.cell(mean)
    remarks = [f"n={mean.n}"] if mean.n != usual_n or undefined else []
    remarks += [undefined] if undefined else []
    return Entry(text + (f" ({', '.join(remarks)})" if remarks else ""))


def _notes(cells: Sequence[Sequence[Mean | None]], most: int) -> Iterator[str]:
    filled = [mean for column in cells for mean in column if mean]
    total = sum(len(column) for column in cells)
    what = "mean ± std" if most > 1 else "single values"
    yield f"{what} over n = {most} seed{'s' if most != 1 else ''} unless a cell says otherwise"
    # A cell that lacks seeds because they came out not finite is done, not partial.
    missing = total - len(filled)
    fewer = sum(mean.n + mean.num_undefined < most for mean in filled)
    if missing or fewer:
        yield f"partial: {missing} of {total} cells missing, {fewer} with fewer seeds"
    if any(mean.is_adjusted for mean in filled):
        yield "a mean of other seeds than the rest is set to theirs (augmentation + seed, least squares)"
    yield from undefined_notes(filled)


def undefined_notes(cells: Iterable[Mean]) -> Iterator[str]:
    """What to say of trials that finished with a value that is not finite; nothing where there are none."""
    hit = [cell for cell in cells if cell.num_undefined]
    if hit:
        count, empty = sum(cell.num_undefined for cell in hit), sum(not cell.n for cell in hit)
        yield (
            f"not finite: {count} finished trial{'s' if count > 1 else ''}, left out of {len(hit)} "
            f"cell{'s' if len(hit) > 1 else ''}{_emptied(empty)}; what is left is of the seeds that did not diverge"
        )


def _emptied(count: int) -> str:
    if not count:
        return ""
    return f", {count} of which ha{'s' if count == 1 else 've'} no other"


def _record(panel: Panel, metric: Metric, augmentation: str, mean: Mean | None) -> Record:
    return {
        "table": "results",
        **panel.names,
        **_numbers(augmentation, metric, mean),
    }


def _teacher_record(teacher: Measured, augmentation: str, mean: Mean | None) -> Record:
    return {
        "table": "teachers",
        "dataset": teacher.dataset,
        "teacher": teacher.teacher,
        "variant": teacher.variant,
        "source": teacher.source,
        **_numbers(augmentation, metric_of(teacher.predictor), mean),
    }


def _numbers(augmentation: str, metric: Metric, mean: Mean | None) -> Record:
    return {
        "augmentation": augmentation,
        "metric": metric.name,
        "mean": mean.mean if mean and mean.n else None,
        "std": None if mean is None or math.isnan(mean.std) else mean.std,
        "n": mean.n if mean else 0,
        "not_finite": mean.num_undefined if mean else 0,
    }
