"""Tables: what is marked, what is missing, and every format."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from analysis.bootstrap import Bootstrap, Interval
from analysis.correlation_tables import interval, number, p_equals, p_value
from analysis.correlations import correlate
from analysis.evidence import weigh
from analysis.filters import parse_filters
from analysis.formats import (
    LATEX_COLUMNS,
    LATEX_LINES,
    WRITERS,
    csv_lines,
    escaped_latex,
    html_page,
    latex,
    markdown,
    terminal,
)
from analysis.grid import DASH, Entry, Grid, Row, emphasised
from analysis.metrics import METRIC_NAMES, T_STDDEV, check_metrics
from analysis.points import Panel, panels
from analysis.result_tables import result_grids
from analysis.rows import read_rows
from analysis.tables import as_json, coefficient_lines, table_grids
from orchestrator.store.store import Store
from tests.analysis.stores import add, fill, made_up_metrics, paper_trials
from trainer.catalog import AUGMENTATIONS
from trainer.problems import UserError

FEW = Bootstrap(200)
PAIRS = ("vgg13/vgg8", "wrn_40_2/wrn_16_2")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(Store(tmp_path_factory.mktemp("store")), paper_trials(PAIRS))


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two seeds of one pair, one seed of half of the other."""
    trials = paper_trials(PAIRS, ["cifar100"], seeds=[0, 1])
    kept = [
        t
        for t in trials
        if t.kind == "teacher"
        or t.teacher == "vgg13"
        or (t.seed == 0 and t.augmentation in ("identity", "flip", "mixup", "cutmix"))
    ]
    return fill(Store(tmp_path_factory.mktemp("partial")), kept)


def grids_of(store: Store, **choices: object) -> list[Grid]:
    found = panels(read_rows(store))
    return table_grids(found, weigh(found, bootstrap=FEW), **choices)  # type: ignore[arg-type]


def test_rows_are_augmentations_and_columns_pairs(store: Store) -> None:
    grid = grids_of(store)[0]
    assert grid.title == "S. test loss, cifar100"
    assert grid.headings == PAIRS
    assert [row.heading for row in grid.rows][0::8] == ["identity", "cutmixpick_t"]
    assert re.fullmatch(r"\d\.\d{4} ± 0\.\d{4}", grid.rows[0].entries[0].text)
    assert "over n = 3 seeds" in grid.notes[0]
    assert not any("partial" in note for note in grid.notes)


def test_the_best_is_marked_and_the_second_best() -> None:
    entries = [Entry(str(i)) for i in range(4)]
    marked = emphasised(entries, [3.0, 1.0, None, 2.0], lower_is_better=True)
    assert [entry.emphasis for entry in marked] == [None, "best", None, "second"]
    marked = emphasised(entries, [3.0, 1.0, 3.0, 2.0], lower_is_better=False)
    assert [entry.emphasis for entry in marked] == ["best", None, "best", "second"]
    marked = emphasised(entries[:2], [3.0, 1.0], lower_is_better=True)
    assert [entry.emphasis for entry in marked] == [None, None]


def test_losses_are_best_when_low_and_accuracies_when_high(store: Store) -> None:
    by_title = {grid.title: grid for grid in grids_of(store)}
    for title, better in (("S. test loss, cifar100", min), ("S. accuracy %, cifar100", max)):
        for column in range(2):
            entries = [row.entries[column] for row in by_title[title].rows]
            best = better(entries, key=lambda entry: float(entry.text.split()[0]))
            assert best.emphasis == "best"


def test_a_group_of_one_pair_has_a_column_per_metric(store: Store) -> None:
    found = panels(read_rows(store, parse_filters(["dataset=cifar100", "pair=vgg13/vgg8"])))
    (grid,) = result_grids(found, METRIC_NAMES, ["dataset"])
    assert grid.headings == ("S. test loss", "S. accuracy %", "T. stddev")


def test_group_by_and_metric_choose(store: Store) -> None:
    found = panels(read_rows(store))
    by_teacher = list(result_grids(found, ["t_stddev"], ["teacher"]))
    assert [grid.title for grid in by_teacher] == ["T. stddev, vgg13", "T. stddev, wrn_40_2"]
    assert by_teacher[0].headings == ("cifar100 vgg13/vgg8", "tinyimagenet vgg13/vgg8")
    titles = [grid.title for grid in grids_of(store, metrics=["correlation"])]
    assert titles == [
        "Correlation of T. stddev and S. test loss",
        "Pooled over pairs, each teacher counted once",
        "Without seed noise: coefficients and reliabilities",
    ]
    with pytest.raises(UserError, match="tstddev: unknown metric; did you mean 't_stddev'"):
        check_metrics(["tstddev"])


def test_a_partial_store_says_so_in_its_cells_and_notes(partial: Store) -> None:
    grids = grids_of(partial)
    losses = grids[0]
    column = [row.entries[1] for row in losses.rows]
    assert [entry.is_missing for entry in column].count(True) == 5
    assert {entry.text for entry in column if entry.is_missing} == {"missing (n=0)"}
    assert all(entry.text.endswith("(n=1)") for entry in column if not entry.is_missing)
    assert "partial: 5 of 18 cells missing, 4 with fewer seeds" in losses.notes
    correlation = next(grid for grid in grids if grid.title.startswith("Correlation"))
    assert any("partial: 1 of 2 panels" in note for note in correlation.notes)
    assert any(
        note.startswith("* T. stddev or S. test loss has too few seeds")
        for note in correlation.notes
    )


def test_a_panel_without_a_correlation_is_visibly_missing(partial: Store) -> None:
    found = panels(read_rows(partial))
    short = replace(found[1], points=found[1].points[:2])
    grid = table_grids([short], weigh([short], bootstrap=FEW), ["correlation"])[0]
    (row,) = grid.rows
    assert any(entry.is_missing and "n=2, 3 are needed" in entry.text for entry in row.entries)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.5, "50%"),
        (0.0314, "3.1%"),
        (0.00456, "0.46%"),
        (2 / 362_880, "<0.001%"),
        (1.0, "100%"),
        (0.099, "9.9%"),
        (math.nan, "\N{EN DASH}"),
    ],
)
def test_p_values_have_two_digits_in_percent(p: float, text: str) -> None:
    assert p_value(p) == text


def test_markdown(store: Store) -> None:
    lines = markdown(grids_of(store)).splitlines()
    assert lines[0] == "### S. test loss, cifar100"
    assert lines[2] == "| augmentation | vgg13/vgg8 | wrn\\_40\\_2/wrn\\_16\\_2 |"
    body = "\n".join(lines[4:13])
    assert len(re.findall(r"\*\*\d\.\d{4} ± \d\.\d{4}\*\*", body)) == 2
    assert len(re.findall(r"<ins>\d\.\d{4} ± \d\.\d{4}</ins>", body)) == 2
    widths = {line.count("|") - line.count("\\|") for line in lines[2:13]}
    assert widths == {4}


def test_csv_has_unrounded_numbers_one_per_line(partial: Store) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_lines(grids_of(partial)))))
    results = [row for row in rows if row["table"] == "results"]
    assert len(results) == 3 * 2 * 9
    missing = [row for row in results if row["n"] == "0"]
    assert {row["mean"] for row in missing} == {""}
    (cell,) = [
        row
        for row in results
        if (row["pair"], row["augmentation"], row["metric"])
        == ("vgg13/vgg8", "flip", "s_test_loss")
    ]
    (panel, _) = panels(read_rows(partial))
    loss = next(p.test_loss for p in panel.points if p.augmentation == "flip")
    assert loss is not None
    assert float(cell["mean"]) == loss.mean
    assert sum(row["table"] == "correlations" for row in rows) == 6


def test_json_has_no_nan_and_all_evidence(partial: Store) -> None:
    found = panels(read_rows(partial))
    data = json.loads(
        json.dumps(as_json(found, weigh(found, bootstrap=FEW)), allow_nan=False, sort_keys=True)
    )
    full, short = data["panels"]
    assert full["correlation"]["n"] == 9
    assert set(full["evidence"]["kendall"]["influence"]) == {
        p["augmentation"] for p in full["points"]
    }
    assert short["points"][1]["test_loss"]["std"] is None
    assert {"p", "holm", "bh", "p_printed", "over_seeds"} <= set(full["evidence"]["pearson"])


def test_the_terminal_has_colours_only_on_a_terminal(store: Store) -> None:
    plain = Console(width=200, file=io.StringIO(), record=True)
    for part in terminal(grids_of(store), 120):
        plain.print(part)
    text = plain.export_text()
    assert "Kendall" in text
    assert "Pooled over pairs" in text
    assert "\x1b" not in plain.file.getvalue()  # type: ignore[attr-defined]


NASTY = r"a_b & 50% $x$ #1 {c} ~ ^ \cmd <tag> ± | *z*"


@pytest.fixture
def nasty() -> Grid:
    row = Row(
        NASTY, (Entry(NASTY, "best"), Entry("x", "second"), Entry("missing", is_missing=True))
    )
    return Grid(NASTY, NASTY, (NASTY, "b", "c"), (row,), (NASTY,))


def test_html_is_escaped_and_loads_nothing(nasty: Grid, store: Store) -> None:
    page = html_page([nasty, *grids_of(store)])
    assert "<tag>" not in page
    assert "&lt;tag&gt;" in page
    assert '<td class="missing">missing</td>' in page
    assert not re.search(r'(?:src|href)=(?!"data:)|@import|url\(', page)


def test_latex_has_booktabs_and_escapes(nasty: Grid) -> None:
    text = latex([nasty])
    assert r"\toprule" in text
    assert r"\textbf{a\_b \& 50\% \$x\$" in text
    assert r"\underline{x}" in text
    assert escaped_latex("±") == r"$\pm$"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is installed")
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_latex_compiles(
    columns: str, nasty: Grid, store: Store, partial: Store, tmp_path: Path
) -> None:
    tables = latex([nasty, *grids_of(store), *grids_of(partial)])
    document = "\n".join(
        (
            rf"\documentclass[{columns}]{{article}}",
            r"\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}",
            r"\begin{document}",
            tables,
            r"\end{document}",
        )
    )
    (tmp_path / "t.tex").write_text(document)
    run = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "t.pdf").read_bytes().startswith(b"%PDF")
    assert "Missing character" not in run.stdout
    assert "Overfull" not in run.stdout


def test_lines_of_coefficients(store: Store) -> None:
    panel: Panel = panels(read_rows(store))[0]
    lines = coefficient_lines(panel.correlation)
    assert lines[0].startswith("Pearson ")
    assert all("n = 9" in line for line in lines)


def test_filters_narrow_and_name_what_is_not_there(store: Store) -> None:
    def kept(*texts: str) -> list[str]:
        return [p.title for p in panels(read_rows(store, parse_filters(texts)))]

    assert kept("pair=vgg13/*") == ["cifar100 vgg13/vgg8", "tinyimagenet vgg13/vgg8"]
    assert kept("dataset!=cifar100", "student=wrn*") == ["tinyimagenet wrn_40_2/wrn_16_2"]
    (panel, *_) = panels(read_rows(store, parse_filters(["augmentation=flip,mixup", "seed!=2"])))
    assert [point.augmentation for point in panel.complete] == ["flip", "mixup"]
    assert panel.points[0].test_loss is not None
    assert panel.points[0].test_loss.seeds == (0, 1)
    for text, message in (
        ("dataset", "expected KEY=VALUE"),
        ("datset=x", "unknown key 'datset'; did you mean 'dataset'"),
        ("augmentation=flp", "has no augmentation 'flp'; did you mean 'flip'"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            kept(text)


@pytest.mark.parametrize("width", [80, 120, 240])
def test_a_grid_that_is_too_wide_goes_on_below(store: Store, width: int) -> None:
    """Nothing is cut off or squeezed: every value of every grid is there, whole."""
    grids = grids_of(store)
    console = Console(width=width, file=io.StringIO(), record=True)
    for part in terminal(grids, width):
        console.print(part)
    text = console.export_text()
    assert "…" not in text
    for grid in grids:
        for heading in grid.headings:
            assert heading in text
        for row in grid.rows:
            assert all(entry.text in text for entry in row.entries)


def test_on_a_usual_terminal_a_panel_is_told_in_three_tables(store: Store) -> None:
    """Its name is a title there, not a column that each table has again."""
    grid = next(g for g in grids_of(store) if g.title.startswith("Correlation"))
    console = Console(width=80, file=io.StringIO(), record=True)
    for part in terminal([grid], 80):
        console.print(part)
    text = console.export_text()
    panels = [row.heading for row in grid.rows if row.begins_section]
    assert text.count("┏") == 3 * len(panels)
    for panel in panels:
        assert f"{grid.title}: {panel}" in " ".join(text.split())


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two pairs of one teacher; all students of mixup diverged, and one of flip; T. stddev of cutout once."""
    store = Store(tmp_path_factory.mktemp("diverged"))
    for trial in paper_trials(["vgg13/vgg8", "vgg13/MobileNetV2"], ["cifar100"]):
        numbers = made_up_metrics(trial)
        is_lost = trial.augmentation == "mixup" or (trial.augmentation, trial.seed) == ("flip", 1)
        if trial.kind == "student" and trial.student == "vgg8" and is_lost:
            numbers["test_loss"] = math.nan
        if trial.kind == "stddev" and (trial.augmentation, trial.seed) == ("cutout", 2):
            numbers["t_stddev"] = math.inf
        add(store, trial, **numbers)
    return store


def test_what_is_not_finite_is_visible_where_it_stands(diverged: Store) -> None:
    losses, _, stddevs, correlation, *_ = grids_of(diverged)
    column = {row.heading: row.entries[1] for row in losses.rows}
    assert (column["mixup"].text, column["mixup"].is_missing) == ("3 not finite", True)
    assert column["flip"].text.endswith("(n=2, 1 not finite)")
    assert not any("partial" in note for note in losses.notes)
    (note,) = [note for note in losses.notes if note.startswith("not finite: ")]
    assert note.startswith("not finite: 4 finished trials, left out of 2 cells, 1 of which has no")
    cutout = next(row for row in stddevs.rows if row.heading == "cutout")
    assert all(entry.text.endswith("(n=2, 1 not finite)") for entry in cutout.entries)
    # The teacher's T. stddev stands in both panels and is counted once.
    assert any(note.startswith("not finite: 5 finished trials") for note in correlation.notes)


def test_what_is_not_finite_is_in_csv_and_json_and_no_nan_is(diverged: Store) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_lines(grids_of(diverged)))))
    (mixup,) = [
        row
        for row in rows
        if (row["pair"], row["augmentation"], row["metric"])
        == ("vgg13/vgg8", "mixup", "s_test_loss")
    ]
    assert (mixup["mean"], mixup["n"], mixup["not_finite"]) == ("", "0", "3")
    found = panels(read_rows(diverged))
    data = json.loads(json.dumps(as_json(found, weigh(found, bootstrap=FEW)), allow_nan=False))
    cell = next(p for p in data["panels"][1]["points"] if p["augmentation"] == "mixup")["test_loss"]
    assert (cell["mean"], cell["seeds"], len(cell["undefined"])) == (None, [], 3)
    assert data["panels"][1]["correlation"]["n"] == 8
    assert all("nan" not in row.values() for row in rows)


def test_with_fewer_than_three_finite_values_nothing_is_marked() -> None:
    entries = [Entry(str(i)) for i in range(3)]
    marked = emphasised(entries, [1.0, 2.0, math.nan], lower_is_better=True)
    assert [entry.emphasis for entry in marked] == [None, None, None]


def test_latex_tables_are_cut_to_what_can_be_read_in_print(
    store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nine pairs squeezed into one line would be of four points; 54 lines in two parts fill no page."""
    (panel, *_) = panels(read_rows(store))
    wide = [replace(panel, student=f"student_{i}") for i in range(18)]
    grids = table_grids(wide, weigh(wide, bootstrap=FEW))
    text = latex(grids)
    for table in re.split(r"\\begin{table\*?}", text)[1:]:
        assert table.count(" \\\\\n") <= LATEX_LINES + 8
        for line in table.splitlines():
            if line.endswith(r" \\"):
                shown = re.sub(r"\\(textbf|underline|emph)|[{}$\\]", "", line).replace("pm", "±")
                assert len(shown) <= LATEX_COLUMNS
    for grid in grids:
        for row in grid.rows:
            assert all(escaped_latex(entry.text) in text for entry in row.entries)
    assert text.count("Pooled over pairs, each teacher counted once") == 1
    assert text.count("Correlation of T. stddev and S. test loss, continued.") >= 1


def test_latex_captions_are_short_and_wide_tables_take_both_columns(store: Store) -> None:
    (narrow,) = result_grids(panels(read_rows(store))[:1], ["s_test_loss"], ["dataset"])
    (_, *wide) = grids_of(store, metrics=["s_test_loss", "correlation"])
    text = latex([narrow])
    assert r"\begin{table}" in text
    assert rf"\caption{{{escaped_latex(narrow.title)}.}}" in text
    assert (
        text.index(r"\end{tabular}}") < text.index("over n = 3 seeds") < text.index(r"\end{table}")
    )
    for grid in wide[1:]:
        assert r"\begin{table*}" in latex([grid])
        assert rf"\caption{{{escaped_latex(grid.title)}.}}" in latex([grid])


def test_t_stddev_stands_once_per_teacher(tmp_path: Path) -> None:
    """Eight of nine cells of a teacher's two pairs are the same trials; what students pick has a row each."""
    pairs = ("vgg13/vgg8", "vgg13/MobileNetV2", "wrn_40_2/vgg8")
    found = panels(read_rows(fill(Store(tmp_path), paper_trials(pairs, ["cifar100"]))))
    (grid,) = result_grids(found, ["t_stddev"], ["dataset"])
    assert grid.headings == ("vgg13", "wrn_40_2")
    rows = {row.heading: row.entries for row in grid.rows}
    assert list(rows) == [
        *AUGMENTATIONS[:7],
        *("cutmixpick_s of MobileNetV2", "cutmixpick_s of vgg8", "cutmixpick_t"),
    ]
    cells = {(p.pair, q.augmentation): q.t_stddev for p in found for q in p.points}
    for heading, column, pair in (
        ("cutmix", 0, "vgg13/vgg8"),
        ("cutmixpick_s of MobileNetV2", 0, "vgg13/MobileNetV2"),
        ("cutmixpick_s of vgg8", 0, "vgg13/vgg8"),
        ("cutmixpick_s of vgg8", 1, "wrn_40_2/vgg8"),
    ):
        cell = cells[pair, heading.split()[0]]
        assert cell is not None
        assert rows[heading][column].text == T_STDDEV.cell(cell)
    assert rows["cutmixpick_s of MobileNetV2"][1] == Entry("")
    assert not any("missing" in note for note in grid.notes)
    assert len(grid.records) == len(pairs) * len(AUGMENTATIONS)


def test_pairs_that_measured_each_for_themselves_stay_apart(store: Store) -> None:
    """Another value of the same teacher, or another setting, is another column."""
    (panel, *_) = panels(read_rows(store))
    (first, *rest) = panel.points
    assert first.t_stddev is not None
    moved = replace(first, t_stddev=replace(first.t_stddev, mean=2 * first.t_stddev.mean))
    others = [
        replace(panel, student="other", points=(moved, *rest)),
        replace(panel, student="other", variant="stddev.pick_size=32"),
        replace(panel, student="other", teacher_fingerprint="another"),
    ]
    for other in others:
        (grid,) = result_grids([panel, other], ["t_stddev"], ["dataset"])
        assert grid.headings == (panel.column, other.column)
    (grid,) = result_grids([panel, replace(panel, student="other")], ["t_stddev"], ["dataset"])
    assert grid.headings == (panel.teacher,)


def test_latex_has_minus_signs() -> None:
    assert escaped_latex("mixup (-0.007)") == "mixup ($-$0.007)"
    assert escaped_latex("-0.051 to 1.000") == "$-$0.051 to 1.000"
    assert escaped_latex("resnet-20 2-3 x_-1") == r"resnet-20 2-3 x\_-1"


def test_small_numbers_are_written_as_a_reader_expects() -> None:
    """A coefficient of -1e-9 is no minus nought, and a tiny p is not "= <"."""
    assert p_equals(1e-7) == "p < 0.001%"
    assert p_equals(0.0046) == "p = 0.46%"
    assert p_equals(math.nan) == f"p = {DASH}"
    assert number(-1e-9) == "0.0000"
    assert interval(Interval(0.9998, 1.0)) == "0.9998 to 1.0000"
    assert interval(Interval(-1e-9, 0.5)) == "0.000 to 0.500"
    x = np.arange(9.0)
    lines = coefficient_lines(correlate(x, x), [1e-7] * 3)
    assert all("p < 0.001%" in line for line in lines)
    assert all("= <" not in line for line in lines)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *((name, f"'{name}") for name in ("@SUM(1)", "=1+1", "+1", "-1", "-inf", " =1")),
        *((name, f"'{name}") for name in ("\uff1d1", "\uff0b1", "\uff0d1", "\uff201")),
        *(("\t=1", r"\t=1"), ("\r1", r"\r1"), ("\n=1", r"\n=1"), ("\x1b[31m", r"\x1b[31m")),
        *((name, name) for name in ("vgg8", "wrn_40_2/wrn_16_2", "a=b", "0.5")),
    ],
)
def test_no_text_of_a_stranger_s_is_a_formula_in_csv(name: str, shown: str) -> None:
    record = {"table": "results", name: name, "mean": -1.5, "n": 3}
    lines = csv_lines([Grid("", "", (), (), records=(record,))])
    head, values = csv.reader(io.StringIO(lines, newline=""))
    assert head == ["table", shown, "mean", "n"]
    assert values == ["results", shown, "-1.5", "3"], "numbers stay numbers"


@pytest.mark.parametrize("name", ["[/x]", "[red]x", "\x1b[31mx", "a\nb", "a\rb", "\x9bx"])
@pytest.mark.parametrize("column", ["dataset", "teacher", "student", "augmentation"])
def test_no_name_of_a_stranger_s_steers_a_terminal_or_breaks_a_table(
    column: str, name: str, tmp_path: Path
) -> None:
    trials = paper_trials(["vgg13/vgg8"], ["cifar100"], [0], ["identity"])
    hostile = Store(tmp_path / "hostile")
    for row in fill(Store(tmp_path / "store"), trials).results().to_pylist():
        hostile.add_result({**row, column: row[column] and name}, [])
    grids = grids_of(hostile)
    console = Console(file=io.StringIO(), width=200, color_system=None)
    for part in terminal(grids, 200):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    texts = [console.file.getvalue(), *(write(grids) for write in WRITERS.values())]
    for text in texts:
        assert {c for c in text if not c.isprintable()} <= {"\n"}
    assert name.partition("\n")[0][-1] in texts[0]


def test_what_a_study_could_have_found_stands_in_notes_records_and_json(store: Store) -> None:
    shown = panels(read_rows(store, parse_filters(["dataset=cifar100"])))
    findings = weigh(shown, bootstrap=FEW)
    smallest = [e.estimates["kendall"].smallest_found for e in findings.evidence]
    # With no noise it would be 0.65 for nine points.
    assert all(0.64 < value < 0.75 for value in smallest)
    (grid,) = [g for g in table_grids(shown, findings) if g.title.startswith("Correlation")]
    (note,) = [note for note in grid.notes if note.startswith("with 9 augmentations, 3 seeds")]
    low, high = (f"{value:.2f}" for value in (min(smallest), max(smallest)))
    told = low if low == high else f"{low} to {high}"
    assert f"in 80% of studies a true coefficient of at least: Kendall {told}, Spearman" in note
    records = [r for r in grid.records if r["coefficient"] == "kendall"]
    assert [r["smallest_found"] for r in records] == smallest
    written = as_json(shown, findings)["panels"][0]["evidence"]["kendall"]
    assert written["smallest_found"] == smallest[0]


def test_a_study_of_one_seed_does_not_say_what_it_could_have_found(tmp_path: Path) -> None:
    store = fill(Store(tmp_path), paper_trials(PAIRS[:1], ["cifar100"], seeds=[0]))
    shown = panels(read_rows(store))
    findings = weigh(shown, bootstrap=FEW)
    assert math.isnan(findings.evidence[0].estimates["pearson"].smallest_found)
    notes = [note for grid in table_grids(shown, findings) for note in grid.notes]
    assert not any("of studies a true coefficient" in note for note in notes)
    written = as_json(shown, findings)["panels"][0]["evidence"]["pearson"]
    assert written["smallest_found"] is None
