"""Grids written for a terminal, and as Markdown, LaTeX (booktabs), HTML and CSV."""

import csv
import html
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from analysis.grid import DASH, Entry, Grid, Record, Row
from analysis.markup import page
from trainer.problems import printable

BORDERS = 3
"""What a column takes beyond its text."""

_STYLES = {"best": "bold green", "second": "underline", None: ""}


MOST_TABLES = 2
"""So many tables one below the other are still read as one."""


def terminal(grids: Sequence[Grid], width: int) -> Iterator[RenderableType]:
    """What rich prints on `width` columns; colours appear on a terminal only.

    A grid that is too wide goes on below, in tables with the same rows.
    """
    for grid in grids:
        for part in _parts(grid, width):
            for block in _blocks(part, width):
                yield _table(part, block)
        yield Text("".join(f"{note}\n" for note in grid.notes), style="dim")


def _parts(grid: Grid, width: int) -> list[Grid]:
    """A grid that would go on below more than once is told section by section, so that its rows get shorter."""
    is_narrow = len(list(_blocks(grid, width))) > MOST_TABLES
    return _sections(grid) if grid.stub and is_narrow else [grid]


def _sections(grid: Grid) -> list[Grid]:
    """Each section as a grid of its own: the heading of its rows goes into the title, the next one takes its place."""
    sections: list[list[Row]] = []
    for row in grid.rows:
        if row.begins_section or not sections:
            sections.append([])
        sections[-1].append(row)
    return [
        Grid(
            title=f"{grid.title}: {rows[0].heading}",
            corner=grid.headings[0],
            headings=grid.headings[1:],
            rows=tuple(Row(row.entries[0].text, row.entries[1:]) for row in rows),
            stub=grid.stub - 1,
        )
        for rows in sections
    ]


def _blocks(grid: Grid, width: int) -> Iterator[list[int]]:
    """The columns of each table that the grid is cut into."""
    stub = list(range(grid.stub))
    sizes = _sizes(grid)
    left = width - _width(grid, stub)
    block: list[int] = []
    for column in range(grid.stub, len(sizes)):
        if block and sum(sizes[i] for i in block) + sizes[column] > left:
            yield stub + block
            block = []
        block.append(column)
    yield stub + block


def _even_blocks(grid: Grid, width: int) -> list[list[int]]:
    """As few tables as `width` allows, of about the same width."""
    blocks = list(_blocks(grid, width))
    for narrower in range(width - 1, 0, -1):
        tried = list(_blocks(grid, narrower))
        if len(tried) > len(blocks):
            break
        blocks = tried
    return blocks


def _sizes(grid: Grid) -> list[int]:
    """What each column takes."""
    return [
        max([len(heading), *(len(row.entries[i].text) for row in grid.rows)]) + BORDERS
        for i, heading in enumerate(grid.headings)
    ]


def _width(grid: Grid, columns: Sequence[int]) -> int:
    """What a table of some columns takes, with the rows' headings."""
    corner = max([len(grid.corner), *(len(row.heading) for row in grid.rows)]) + BORDERS + 1
    sizes = _sizes(grid)
    return corner + sum(sizes[column] for column in columns)


def _table(grid: Grid, columns: Sequence[int]) -> Table:
    goes_on = columns[grid.stub :] and columns[grid.stub] > grid.stub
    # As Text everywhere: in a plain str, rich would take brackets for its markup.
    table = Table(title=None if goes_on else Text(grid.title, "table.title"), title_justify="left")
    table.add_column(Text(grid.corner))
    for column in columns:
        table.add_column(Text(grid.headings[column]), justify="right")
    for i, row in enumerate(grid.rows):
        if row.begins_section and i:
            table.add_section()
        table.add_row(Text(row.heading), *(_styled(row.entries[c]) for c in columns))
    return table


def _styled(entry: Entry) -> Text:
    return Text(entry.text, style="red" if entry.is_missing else _STYLES[entry.emphasis])


def markdown(grids: Sequence[Grid]) -> str:
    """GitHub's tables: best **bold**, second <ins>underlined</ins>."""
    return "\n".join(_markdown(grid) for grid in grids)


def _markdown(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def marked(entry: Entry) -> str:
        text = _escaped_markdown(entry.text)
        if entry.is_missing:
            return f"*{text}*"
        marks = {"best": f"**{text}**", "second": f"<ins>{text}</ins>", None: text}
        return marks[entry.emphasis]

    head = [_escaped_markdown(text) for text in (grid.corner, *grid.headings)]
    lines = [f"### {grid.title}", "", line(head), line(["---", *["---:"] * len(grid.headings)])]
    lines += [line([_escaped_markdown(r.heading), *map(marked, r.entries)]) for r in grid.rows]
    lines += ["", *(f"{_escaped_markdown(note)}  " for note in grid.notes), ""]
    return "\n".join(lines)


def _escaped_markdown(text: str) -> str:
    for character in "\\|*_<":
        text = text.replace(character, f"\\{character}")
    return text


_LATEX = MappingProxyType(
    {
        "\\": r"\textbackslash{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        DASH: "--",
        "<": "$<$",
        ">": "$>$",
    }
)


LATEX_COLUMNS, LATEX_LINES = 116, 44
"""What a table of the smallest font that is still read in print holds, in letters and lines."""

LATEX_COLUMN_OF_TWO = 52
"""Letters that a column of a two-column page holds, in the font of such a table."""

_FONTS = (
    (LATEX_COLUMN_OF_TWO, r"\footnotesize\setlength{\tabcolsep}{3pt}"),
    (62, ""),
    (90, r"\footnotesize\setlength{\tabcolsep}{3pt}"),
    (LATEX_COLUMNS, r"\scriptsize\setlength{\tabcolsep}{3pt}"),
)
"""For tables of up to so many letters a line."""


def latex(grids: Sequence[Grid]) -> str:
    """One `table` per grid, `table*` where a column of two cannot hold it; the document loads booktabs and graphicx.

    A grid that is too wide goes on below, in tabulars with the same rows; one that is too long for a page in
    another `table`.
    """
    tables = [_latex(grid, rows, i) for grid in grids for i, rows in enumerate(_pages(grid))]
    return "% \\usepackage{booktabs,graphicx}\n" + "\n".join(tables)


def _pages(grid: Grid) -> Iterator[list[Row]]:
    """The rows of each table that a long grid is cut into; sections stay whole where a page holds them."""
    most = LATEX_LINES // len(_even_blocks(grid, LATEX_COLUMNS))
    sections: list[list[Row]] = []
    for row in grid.rows:
        if row.begins_section or not sections:
            sections.append([])
        sections[-1].append(row)
    page: list[Row] = []
    for section in (part for whole in sections for part in _evenly(whole, most)):
        if page and len(page) + len(section) > most:
            yield page
            page = []
        page = page + section
    yield page


def _evenly(rows: Sequence[Row], most: int) -> Iterator[list[Row]]:
    """Rows in as few parts of at most so many as can be, of even size."""
    size = -(-len(rows) // -(-len(rows) // most))
    yield from (list(rows[i : i + size]) for i in range(0, len(rows), size))


def _latex(grid: Grid, rows: Sequence[Row], number: int) -> str:
    blocks = _even_blocks(grid, LATEX_COLUMNS)
    width = min(LATEX_COLUMNS, max(_width(grid, block) for block in blocks))
    font = next(font for most, font in _FONTS if width <= most)
    kind = "table" if width <= LATEX_COLUMN_OF_TWO else "table*"
    caption = f"{grid.title}, continued." if number else f"{grid.title}."
    notes = "" if number else " ".join(f"{note}." for note in grid.notes)
    return "\n".join(
        [
            rf"\begin{{{kind}}}",
            r"\centering",
            rf"\caption{{{escaped_latex(caption)}}}",
            r"\medskip",
            *([font] if font else []),
            # One box around all parts, so that they are of one size.
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            r"\begin{tabular}{@{}l@{}}",
            "\\\\[2ex]\n".join(_tabular(grid, rows, block) for block in blocks),
            r"\end{tabular}}",
            # Below the table, so that the caption is what a list of tables can show.
            *(
                [rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {escaped_latex(notes)}}}"]
                if notes
                else []
            ),
            rf"\end{{{kind}}}",
            "",
        ]
    )


def _tabular(grid: Grid, rows: Sequence[Row], block: Sequence[int]) -> str:
    def marked(entry: Entry) -> str:
        text = escaped_latex(entry.text)
        marks = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", None: text}
        return rf"\emph{{{text}}}" if entry.is_missing else marks[entry.emphasis]

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    body = []
    for i, row in enumerate(rows):
        if row.begins_section and i:
            body.append(r"\midrule")
        entries = [marked(row.entries[column]) for column in block]
        body.append(line([escaped_latex(row.heading), *entries]))
    headings = (grid.corner, *(grid.headings[column] for column in block))
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * len(block)}}}",
            r"\toprule",
            line([escaped_latex(text) for text in headings]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def escaped_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return _MINUS.sub("$-$", escaped)


_MINUS = re.compile(r"(?<![\w-])-(?=\d)")


def _html(grid: Grid) -> str:
    caption = f"<figcaption>{html.escape(grid.title)}</figcaption>"
    return f'<figure class="grid">{caption}{html_table(grid)}</figure>'


def html_table(grid: Grid) -> str:
    """A table and its notes; what is wider than the window scrolls in itself, also by keys."""

    def cell(entry: Entry) -> str:
        text = html.escape(entry.text)
        tags = {"best": f"<strong>{text}</strong>", "second": f"<u>{text}</u>", None: text}
        kind = ' class="missing"' if entry.is_missing else ""
        return f"<td{kind}>{tags[entry.emphasis]}</td>"

    head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in (grid.corner, *grid.headings))
    rows = []
    for row in grid.rows:
        kind = ' class="section"' if row.begins_section else ""
        heading = f'<th scope="row">{html.escape(row.heading)}</th>'
        rows.append(f"<tr{kind}>{heading}{''.join(map(cell, row.entries))}</tr>")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in grid.notes)
    label = html.escape(grid.title)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{notes}"
    )


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem; text-align: right; white-space: nowrap }
th:first-child { text-align: left } thead { border-bottom: 1px solid } .section { border-top: 1px solid }
figcaption { font-weight: 600 } .scroll { overflow-x: auto } .missing { font-style: italic; opacity: .7 }
"""


def html_page(grids: Sequence[Grid]) -> str:
    """A page of its own."""
    return page("kdsweep tables", _STYLE, *map(_html, grids))


def csv_lines(grids: Sequence[Grid]) -> str:
    """The unrounded numbers, one per line; the column `table` tells results from correlations."""
    return csv_of([record for grid in grids for record in grid.records])


def csv_of(records: Sequence[Record]) -> str:
    """A line per record, a column for every key that any of them has.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    columns = list(dict.fromkeys(key for record in records for key in record))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writerow({column: _as_text(column) for column in columns})
    writer.writerows({key: _as_text(value) for key, value in row.items()} for row in records)
    return buffer.getvalue()


_FORMULA = re.compile(r" *[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""How a text begins that a spreadsheet computes; also in the full width of East Asian scripts."""


def _as_text(value: str | float | None) -> str | float | None:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(text) else text


WRITERS: Mapping[str, Callable[[Sequence[Grid]], str]] = MappingProxyType(
    {"markdown": markdown, "latex": latex, "html": html_page, "csv": csv_lines}
)
"""By the name of a format; JSON is `analysis.tables.as_json`, of values and not of grids."""

ENDINGS: Mapping[str, str] = MappingProxyType(
    {"md": "markdown", "tex": "latex", "html": "html", "csv": "csv", "json": "json"}
)
