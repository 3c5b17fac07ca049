"""Results from elsewhere: which tables are read, what of them is refused, and what they are in a store."""

import csv
import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdsweep
from analysis.points import panels
from analysis.predictors import chosen, measured
from analysis.rows import read_rows
from orchestrator.store.store import Store
from orchestrator.upkeep import table_files
from orchestrator.upkeep.importing_tables import import_table
from orchestrator.upkeep.result_tables import Record, runs_of
from orchestrator.upkeep.table_files import parse_columns
from tests.orchestrator.commands import run
from trainer.problems import UserError

AUGMENTATIONS = ("none", "flip", "mixup", "cutmixpick_s", "my-own")
HEADER = ("dataset", "teacher", "student", "augmentation", "seed", "s_test_loss", "t_stddev")


def results(teachers: Sequence[str] = ("vit_b",), seeds: Sequence[int] = (0, 1)) -> list[list[str]]:
    """A line per teacher, student, augmentation and seed; T. stddev is of the teacher, but for a student's picks."""
    rng = random.Random(7)
    lines = []
    for teacher in teachers:
        for place, augmentation in enumerate(AUGMENTATIONS):
            for seed in seeds:
                of_teacher = f"{0.005 - 0.0003 * place + 1e-5 * rng.random():.7f}"
                for student in ("tiny", "small"):
                    picked = augmentation == "cutmixpick_s"
                    stddev = f"{0.004 + 1e-5 * rng.random():.7f}" if picked else of_teacher
                    loss = f"{2 - 0.1 * place + 0.02 * rng.random():.4f}"
                    lines.append(["birds", teacher, student, augmentation, str(seed), loss, stddev])
    return lines


def write_csv(path: Path, lines: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path


def said(store: Store) -> list[dict[str, Any]]:
    """What a store says of imported runs, without which file said it and when."""
    where = ("origin", "log_sha256", "started_at")
    return [
        {name: value for name, value in row.items() if name not in where}
        for row in store.imported().to_pylist()
    ]


def test_a_table_becomes_panels_of_its_own_marked_as_imported(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "results.csv", results())
    store = Store(tmp_path / "store")
    report = import_table(path, store, {})
    # 2 students x 5 augmentations x 2 seeds, and T. stddev of 4 of them, of the fifth for each student
    assert (report.imported, report.known, report.replaced) == (20 + 8 + 4, 0, 0)
    rows = store.imported().to_pylist()
    assert {(row["source"], row["form"], row["origin"]) for row in rows} == {
        ("imported", "table", "results.csv")
    }
    assert {row["log_sha256"] for row in rows} == {hashlib.sha256(path.read_bytes()).hexdigest()}
    assert store.finished() == frozenset()
    panels = kdsweep.panels(store)
    assert [panel.title for panel in panels] == [
        "birds vit_b/small (imported)",
        "birds vit_b/tiny (imported)",
    ]
    for panel in panels:
        assert len(panel.complete) == 5
        assert panel.correlation.n == 5
    loss = {p.augmentation: p.test_loss for p in panels[1].points}["flip"]
    told = [float(line[5]) for line in results() if line[2:4] == ["tiny", "flip"]]
    assert loss is not None
    assert loss.values == tuple(told)


def test_the_same_table_twice_adds_nothing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "results.csv", results())
    store = Store(tmp_path / "store")
    import_table(path, store, {})
    before = store.imported().to_pylist()
    report = import_table(path, store, {})
    assert (report.imported, report.known) == (0, 32)
    assert store.imported().to_pylist() == before
    assert len(store.tables["imported"].files()) == 1


def test_a_longer_table_adds_what_is_new(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    import_table(write_csv(tmp_path / "a.csv", results(seeds=[0])), store, {})
    more = import_table(write_csv(tmp_path / "b.csv", results(["vit_b", "cnn"], [0])), store, {})
    assert (more.imported, more.known) == (16, 16)


def test_a_changed_value_is_told_and_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    lines = results()
    import_table(write_csv(tmp_path / "results.csv", lines), store, {})
    before = said(store)
    old = lines[3][5]
    lines[3][5] = "9.5"
    changed = write_csv(tmp_path / "results.csv", lines)
    with pytest.raises(UserError) as told:
        import_table(changed, store, {})
    assert str(told.value) == (
        f"{changed}:5: s_test_loss: 9.5, but {float(old)} was imported before; --replace takes the new one"
    )
    assert said(store) == before
    report = import_table(changed, store, {}, replace=True)
    assert (report.imported, report.known, report.replaced) == (0, 31, 1)
    assert sum(row["test_loss"] == 9.5 for row in said(store)) == 1
    assert len(said(store)) == len(before)
    assert import_table(changed, store, {}).known == 32


def test_what_two_tables_say_of_one_run_is_put_together(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    names = ("dataset", "teacher", "student", "augmentation", "seed")
    line = ["birds", "vit", "tiny", "flip", "0"]
    import_table(
        write_csv(tmp_path / "a.csv", [[*line, "1.5"]], (*names, "s_test_loss")), store, {}
    )
    both = (*names, "s_test_loss", "s_accuracy", "predictor.entropy")
    import_table(write_csv(tmp_path / "b.csv", [[*line, "1.5", "0.5", "2.25"]], both), store, {})
    student, stddev = sorted(said(store), key=lambda row: str(row["kind"]), reverse=True)
    assert (student["test_loss"], student["test_accuracy"]) == (1.5, 0.5)
    assert (stddev["kind"], stddev["t_stddev"], stddev["student"]) == ("stddev", None, None)
    assert stddev["entropy"] == 2.25
    # A T. stddev that nobody measured is missing, and did not diverge.
    (point,) = kdsweep.panels(store)[0].points
    assert point.t_stddev is None


def test_columns_are_mapped_and_others_are_named(tmp_path: Path) -> None:
    header = ("data", "teacher", "model", "augmentation", "run", "loss", "std", "entropy", "note")
    lines = [[*line, "1.0", "x"] for line in results()]
    mapped = "data=dataset,model=student, run=seed,loss=s_test_loss,std=t_stddev,entropy=predictor.entropy"
    store, plain = Store(tmp_path / "store"), Store(tmp_path / "plain")
    path = write_csv(tmp_path / "a.csv", lines, header)
    report = import_table(path, store, parse_columns(mapped))
    assert report.ignored == ("note",)
    named = [[*line, "1.0"] for line in results()]
    import_table(write_csv(tmp_path / "b.csv", named, (*HEADER, "predictor.entropy")), plain, {})
    assert said(store) == said(plain)


def test_other_predictors_stand_in_tables_and_contests_as_one_s_own_do(tmp_path: Path) -> None:
    lines = [[*line, str(2 * float(line[-1])), "0.5"] for line in results()]
    header = (*HEADER, "predictor.margin", "predictor.confidence")
    store = Store(tmp_path / "store")
    path = write_csv(tmp_path / "a.csv", lines, header)
    report = import_table(path, store, {})
    assert import_table(path, store, {}).known == report.imported
    rows = read_rows(store)
    assert [p.name for p in measured(rows)] == ["t_stddev", "confidence", "margin"]
    usual, other = panels(rows), panels(rows, predictor=chosen(rows, "margin"))
    assert len(usual) == len(other) == 2
    for panel, of_margin in zip(usual, other, strict=True):
        for point, twice in zip(panel.points, of_margin.points, strict=True):
            assert point.t_stddev is not None
            assert twice.t_stddev is not None
            assert twice.t_stddev.mean == pytest.approx(2 * point.t_stddev.mean)
    from_python = kdsweep.panels_from(pd.read_csv(path), predictor="margin")
    assert [panel.points for panel in from_python] == [panel.points for panel in other]
    with pytest.raises(UserError, match="unknown predictor"):
        kdsweep.panels_from(pd.read_csv(path), predictor="mragin")


def test_a_mapping_goes_before_a_column_that_has_our_name(tmp_path: Path) -> None:
    header = (*HEADER[:-2], "s_test_loss", "best_loss")
    path = write_csv(tmp_path / "a.csv", [["d", "t", "s", "flip", "0", "1.0", "0.5"]], header)
    store = Store(tmp_path / "store")
    report = import_table(path, store, {"best_loss": "s_test_loss"})
    assert [row["test_loss"] for row in said(store)] == [0.5]
    assert report.ignored == ("s_test_loss",)


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        ("loss", "--columns loss: expected THEIRS=OURS, as in loss=s_test_loss"),
        ("studnt=teacher", "no such column in .*; did you mean 'student'"),
        ("seed=teachr", "--columns seed=teachr: unknown; did you mean 'teacher'"),
        ("seed=teacher,student=teacher", "both 'seed' and 'student' are to be teacher"),
        ("seed=student,seed=teacher", "'seed' is named twice"),
        ("seed=predictor.", "--columns seed=predictor.: unknown"),
        ("seed=predictor.t_stddev", r"predictor.t_stddev: unknown; did you mean 't_stddev'\?"),
    ],
)
def test_a_wrong_mapping_is_refused(mapped: str, expected: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", results())
    with pytest.raises(UserError, match=expected):
        import_table(path, Store(tmp_path / "store"), parse_columns(mapped))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("dataset", "", "dataset: expected a name, there is nothing"),
        ("teacher", "ResNet 34", "'ResNet 34' is no name: .*; 'ResNet_34' would do"),
        ("student", "../up", "'../up' is no name"),
        ("student", "", "student: an s_test_loss needs the student's name"),
        ("augmentation", "x" * 65, "is no name: up to 64 letters"),
        ("seed", "1.5", "seed: expected a whole number from 0, below 2\\*\\*63, not '1.5'"),
        ("seed", "-1", "seed: expected a whole number"),
        ("seed", str(2**63), "seed: expected a whole number"),
        ("s_test_loss", "nan", "s_test_loss: expected a finite number, or nothing, not 'nan'"),
        ("s_test_loss", "1,5", "s_test_loss: expected a finite number, or nothing, not '1,5'"),
        ("s_test_loss", "-0.1", "s_test_loss: expected 0 or more, not -0.1"),
        ("t_stddev", "inf", "t_stddev: expected a finite number"),
    ],
)
def test_a_line_that_cannot_be_is_told_and_nothing_is_imported(
    column: str, value: str, expected: str, tmp_path: Path
) -> None:
    lines = results()
    lines[2][HEADER.index(column)] = value
    path = write_csv(tmp_path / "results.csv", lines)
    store = Store(tmp_path / "store")
    with pytest.raises(UserError, match=expected) as told:
        import_table(path, store, {})
    assert str(told.value).startswith(f"{path}:4: ")
    assert store.imported().num_rows == 0


def test_all_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    lines = results()
    for line in (lines[0], lines[4]):
        line[4] = "first"
    with pytest.raises(UserError) as told:
        import_table(write_csv(tmp_path / "results.csv", lines), Store(tmp_path / "store"), {})
    assert [line.partition(": ")[0][-2:] for line in str(told.value).splitlines()] == [":2", ":6"]


def test_lines_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    lines = results(seeds=[0])
    lines[1][6] = "0.1"
    path = write_csv(tmp_path / "results.csv", lines)
    with pytest.raises(UserError, match=r":3: t_stddev: 0\.1 of the same run as in .*:2, where"):
        import_table(path, Store(tmp_path / "store"), {})


def test_an_accuracy_is_a_share_and_stands_beside_a_loss(tmp_path: Path) -> None:
    header = (*HEADER[:5], "s_accuracy", "s_test_loss")
    names = ["d", "t", "s", "flip", "0"]
    store = Store(tmp_path / "store")
    with pytest.raises(UserError, match=r"s_accuracy: expected a share of 1, as 0\.7342, not 73"):
        import_table(write_csv(tmp_path / "a.csv", [[*names, "73", "1"]], header), store, {})
    with pytest.raises(UserError, match="s_accuracy: expected an s_test_loss beside it"):
        import_table(write_csv(tmp_path / "a.csv", [[*names, "0.7", ""]], header), store, {})
    with pytest.raises(UserError, match="neither an s_test_loss nor a t_stddev"):
        import_table(write_csv(tmp_path / "a.csv", [[*names, "", ""]], header), store, {})


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"", "a.csv: empty"),
        ("a.csv", b"dataset,teacher,augmentation,t_stddev\n", "no line below its header"),
        ("a.csv", b"dataset,teacher,augmentation\nd,t,a\n", "no column s_test_loss"),
        ("a.csv", b"dataset;teacher\nd;t\n", "no column 'dataset'; it has 'dataset;teacher'"),
        ("a.csv", b"dataset,dataset\n", "two columns 'dataset'"),
        ("a.csv", b"dataset,teacher,augmentation,t_stddev\nd,t,a\n", "a.csv:2: 3 cells, but 4"),
        ("a.csv", b'dataset,teacher,augmentation,t_stddev\n"d', "a.csv:2: not CSV"),
        ("a.csv", "dataset,tëacher\n".encode("latin-1"), "not UTF-8 at byte 9"),
        ("a.parquet", b"PAR1 but no more", "not a readable Parquet file"),
        ("a.xlsx", b"", r"expected a file named \*.csv or \*.parquet"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    name: str, content: bytes, expected: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected):
        import_table(tmp_path / name, Store(tmp_path / "store"), {})
    assert not (tmp_path / "store").exists()


def test_a_table_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "a.csv", results())
    monkeypatch.setattr(table_files, "LARGEST_BYTES", 100)
    with pytest.raises(UserError, match="bytes; up to 100 are read"):
        import_table(path, Store(tmp_path / "store"), {})


def test_parquet_and_csv_say_the_same(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", results())
    frame = pd.read_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet")
    stores = [Store(tmp_path / form) for form in ("of_csv", "of_parquet")]
    import_table(tmp_path / "a.csv", stores[0], {})
    import_table(tmp_path / "a.parquet", stores[1], {})
    assert said(stores[0]) == said(stores[1])


def test_a_wrong_row_of_parquet_is_told_by_its_number(tmp_path: Path) -> None:
    columns = {"dataset": ["d", "d"], "teacher": ["t", "t"], "augmentation": ["a", "b"]}
    pq.write_table(pa.table({**columns, "t_stddev": [True, False]}), tmp_path / "a.parquet")
    with pytest.raises(
        UserError, match=r"row 1: t_stddev: expected a finite number, .* not 'True'"
    ):
        import_table(tmp_path / "a.parquet", Store(tmp_path / "store"), {})


def records_of(lines: Sequence[Sequence[str]]) -> list[Record]:
    return [Record(f"{i}", dict(zip(HEADER, line, strict=True))) for i, line in enumerate(lines)]


def told_by(lines: Sequence[Sequence[str]]) -> Sequence[Mapping[str, Any]]:
    return [run.row() for run in runs_of(records_of(lines))]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_neither_the_order_of_lines_nor_repeating_them_changes_anything(
    data: st.DataObject,
) -> None:
    lines = results()
    shuffled = data.draw(st.permutations(lines))
    again = data.draw(st.lists(st.sampled_from(lines), max_size=5))
    assert told_by([*shuffled, *again]) == told_by(lines)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_table_in_two_parts_says_what_it_says_whole(data: st.DataObject) -> None:
    lines = results()
    first = data.draw(st.lists(st.sampled_from(lines), unique_by=tuple))
    rest = [line for line in lines if line not in first]
    parts = {row["fingerprint"]: row for part in (first, rest) for row in told_by(part)}
    assert sorted(parts.values(), key=lambda row: str(row["fingerprint"])) == told_by(lines)


@given(order=st.permutations(range(20)))
@settings(max_examples=5, deadline=None)
def test_any_order_of_lines_gives_the_same_store(
    order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("order")
    lines = results()
    stores = []
    for name, shown in (("plain", lines), ("shuffled", [lines[i] for i in order])):
        stores.append(Store(folder / name))
        import_table(write_csv(folder / f"{name}.csv", shown), stores[-1], {})
    assert said(stores[0]) == said(stores[1])
    assert kdsweep.panels(stores[0]) == kdsweep.panels(stores[1])


def test_from_python_the_same_panels_without_a_store(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "results.csv", results())
    store = Store(tmp_path / "store")
    import_table(path, store, {})
    frame = pd.read_csv(path)
    assert kdsweep.panels_from(frame) == kdsweep.panels(store)
    theirs = frame.rename(columns={"s_test_loss": "loss"}).convert_dtypes()
    theirs.loc[len(theirs)] = ["birds", "vit_b", pd.NA, "extra", 0, pd.NA, 0.001]
    panels = kdsweep.panels_from(theirs, {"loss": "s_test_loss"})
    assert [len(panel.points) for panel in panels] == [6, 6]
    with pytest.raises(UserError, match="the table: no column 'dataset'"):
        kdsweep.panels_from(frame.drop(columns="dataset"))
    with pytest.raises(UserError, match=r"the table: expected a pandas\.DataFrame, not list"):
        kdsweep.panels_from(frame.to_dict("records"))  # type: ignore[arg-type]
    with pytest.raises(
        UserError, match=r"columns: expected a dictionary, .* not 'loss=s_test_loss'"
    ):
        kdsweep.panels_from(theirs, "loss=s_test_loss")  # type: ignore[arg-type]


def test_whole_commands(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "results.csv", results(["vit_b", "cnn"]))
    store = tmp_path / "store"
    code, out = run(tmp_path, "import-table", path, "--store", store, "--json")
    assert code == 0
    assert json.loads(out) == {"imported": 64, "known": 0, "replaced": 0, "ignored": []}
    code, out = run(tmp_path, "import-table", path, "--store", store)
    assert (code, out.splitlines()) == (0, [f"0 imported, 64 known already; store: {store}"])
    code, out = run(tmp_path, "table", store, "--json")
    assert code == 0
    told = json.loads(out)
    assert {(p["teacher"], p["student"]) for p in told["panels"]} == {
        (teacher, student) for teacher in ("vit_b", "cnn") for student in ("tiny", "small")
    }
    page = tmp_path / "report.html"
    for command in (
        ("rank", store),
        ("plot", store, "-o", tmp_path / "plot.svg"),
        ("report", store, "-o", page),
        ("verify", store),
    ):
        code, out = run(tmp_path, *command)
        assert code == 0, out
    assert "Imported from tables of other software: 64 runs" in page.read_text()
    path.write_text(path.read_text().replace("vit_b,tiny,flip,0,", "vit_b,tiny,flip,0,1"))
    code, out = run(tmp_path, "import-table", path, "--store", store)
    assert code == 2
    assert "was imported before; --replace takes the new one" in out


def test_a_record_of_several_lines_is_told_by_its_first(tmp_path: Path) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [[*HEADER, "note"], *([*line, "two\nlines"] for line in results()[:2]), ["d"] * 8]
    )
    (tmp_path / "a.csv").write_text(text.getvalue(), newline="")
    with pytest.raises(UserError, match=r"a\.csv:6: seed: expected a finite number"):
        import_table(tmp_path / "a.csv", Store(tmp_path / "store"), {})
