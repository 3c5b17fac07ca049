"""table, plot, report, rank and import-logs as a user runs them, in one process."""

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.order import PAPER
from orchestrator.cli.opening import shown_order
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.store.store import Store
from tests.analysis.stores import add, fill, paper_trials
from tests.conftest import GOLDEN
from tests.orchestrator.cli.conftest import Command
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paper")
    fill(Store(root), paper_trials(["wrn_40_2/wrn_16_2", "vgg13/vgg8"], ["cifar100"]))
    return root


FEW = ("--bootstrap", "100")


@pytest.mark.parametrize(
    ("chosen", "start"),
    [
        ("text", "S. test loss, cifar100"),
        ("markdown", "### S. test loss, cifar100"),
        ("latex", "% \\usepackage{booktabs,graphicx}"),
        ("csv", "table,dataset,pair"),
        ("html", "<!doctype html>"),
        ("json", "{"),
    ],
)
def test_tables_in_every_format(chosen: str, start: str, kd: Command, paper: Path) -> None:
    code, out, _ = kd("table", paper, "--format", chosen, *FEW)
    assert code == 0
    assert out.startswith(start)
    assert "\x1b" not in out


def test_the_ending_of_a_file_names_the_format(kd: Command, paper: Path, tmp_path: Path) -> None:
    for ending, start in (
        ("md", "###"),
        ("tex", "%"),
        ("csv", "table"),
        ("json", "{"),
        ("txt", "S."),
    ):
        code, out, _ = kd("table", paper, "-o", tmp_path / "new" / f"t.{ending}", *FEW)
        assert code == 0
        assert out.strip().endswith(f"t.{ending}")
        assert (tmp_path / "new" / f"t.{ending}").read_text().startswith(start)


def test_filter_group_by_and_metric(kd: Command, paper: Path) -> None:
    choices = ("--filter", "augmentation!=cutmix*", "--metric", "s_test_loss", "--format", "csv")
    code, out, _ = kd("table", paper, *choices, "--group-by", "teacher", *FEW)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["metric"] for row in rows} == {"s_test_loss"}
    assert len({row["augmentation"] for row in rows}) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("table", "{}", "--filter", "augmentation=cutmx"),
            "no augmentation 'cutmx'; did you mean",
        ),
        (("table", "{}", "--filter", "cutmix"), "expected KEY=VALUE"),
        (("table", "{}", "--group-by", "colour"), "--group-by colour: unknown key"),
        (
            ("table", "{}", "--compare-paper", "--group-by", "techer"),
            "techer: unknown key; did you mean 'teacher'",
        ),
        (
            ("table", "{}", "--compare-paper", "--metric", "s_accuracy"),
            "--metric s_accuracy: the published points have none; with --compare-paper it is one of",
        ),
        (
            ("plot", "{}", "--kind", "curves", "--group-by", "colour"),
            "--group-by colour: unknown key",
        ),
        (("report", "{}", "--group-by", "colour"), "--group-by colour: unknown key"),
        (("table", "{}", "--metric", "loss"), "--metric loss: unknown metric"),
        (("table", "{}", "-o", "x.doc"), "x.doc: unknown format 'doc'"),
        (("table", "nowhere"), "nowhere: no such folder"),
        (("plot", "{}", "--bootstrap", "100"), "--bootstrap 100: goes with --kind forest"),
        (("plot", "{}", "-o", "x.bmp"), "x.bmp: unknown format 'bmp'"),
        (("plot", "{}", "--filter", "augmentation=cutmx"), "no augmentation 'cutmx'"),
        (("plot", "{}", "-o", "/dev/null/x.png"), "/dev/null/x.png: cannot be written: "),
        (("report", "nowhere"), "nowhere: no such folder"),
        (("report", "{}", "-o", "{}"), "cannot be written"),
        (("rank", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("rank", "{}", "--measure"), "--measure takes a sweep file"),
        (("import-logs", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, kd: Command, paper: Path
) -> None:
    code, out, err = kd(*(argument.format(paper) for argument in arguments))
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_beside_the_paper(kd: Command, paper: Path) -> None:
    code, out, _ = kd("table", paper, "--compare-paper")
    assert code == 0
    assert "cifar100 wrn_40_2/wrn_16_2 beside the paper" in out
    assert re.search(r"cells: \d+ the same, \d+ different, \d+ undecided", out)
    assert "vgg13" not in out
    code, out, _ = kd("table", paper, "--compare-paper", "--json")
    assert {row["verdict"] for row in json.loads(out)} <= {"same", "different", "undecided"}
    code, _, err = kd("table", paper, "--compare-paper", "--filter", "teacher=vgg13")
    assert (code, "nothing to compare" in err) == (2, True)


@pytest.mark.parametrize("kind", ["scatter", "grid", "curves", "rank", "forest", "pooled"])
def test_plots(kind: str, kd: Command, paper: Path, tmp_path: Path) -> None:
    few = FEW if kind == "forest" else ()
    code, out, _ = kd("plot", paper, "--kind", kind, "-o", tmp_path / "p.svg", *few)
    assert (code, out.strip()) == (0, str(tmp_path / "p.svg"))
    assert (tmp_path / "p.svg").stat().st_size > 5000


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_the_plotted_numbers_lie_beside_the_picture(
    ending: str, kd: Command, paper: Path, tmp_path: Path
) -> None:
    options = ("--width", "3.25", "--dpi", "100", "--data", ending)
    code, out, _ = kd("plot", paper, "-o", tmp_path / "p.png", *options)
    assert (code, out.split()) == (0, [str(tmp_path / "p.png"), str(tmp_path / f"p.{ending}")])
    assert int.from_bytes((tmp_path / "p.png").read_bytes()[16:20], "big") == 325
    written = (tmp_path / f"p.{ending}").read_text()
    if ending == "json":
        tables = [record["table"] for record in json.loads(written)]
    else:
        tables = [line.partition(",")[0] for line in written.splitlines()[1:]]
    assert set(tables) == {"points", "coefficients"}


def test_one_sweep_is_shown_in_its_own_order(tmp_path: Path) -> None:
    listed = {"pairs": ["wrn_40_2/vgg8", "vgg13/vgg8"], "augmentations": ["mixup", "identity"]}
    sweep = load_sweep(write_sweep(tmp_path, **listed))
    plan = make_plan(sweep, Store(tmp_path / "store"), retry_failed=False)
    order = shown_order([("one", plan)])
    assert (order.pairs, order.augmentations) == (
        ("wrn_40_2/vgg8", "vgg13/vgg8"),
        ("mixup", "identity"),
    )
    assert shown_order([("one", plan), ("other", plan)]) == shown_order([]) == PAPER


def test_an_empty_store_is_told_of_and_never_a_traceback(kd: Command, tmp_path: Path) -> None:
    store, sweep = Store(tmp_path / "store"), load_sweep(write_sweep(tmp_path))
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    code, out, err = kd("table", store.root)
    assert (code, out.strip()) == (0, "")
    assert "no student has finished yet" in err
    code, _, err = kd("plot", store.root)
    assert (code, "nothing to draw" in err) == (2, True)
    code, _, err = kd("rank", store.root)
    assert (code, "no T. stddev is measured yet" in err) == (0, True)
    assert kd("report", store.root, "-o", tmp_path / "r.html")[0] == 0


@pytest.mark.parametrize("command", ["table", "plot", "report", "rank"])
def test_a_folder_that_is_no_store_is_refused(command: str, kd: Command, tmp_path: Path) -> None:
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    code, out, err = kd(command, tmp_path / "other")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert "other: not a store: neither results/ nor imported/ nor sweeps/ is in it" in err
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["checkpoints"]


def test_a_store_nearby_is_suggested(kd: Command, tmp_path: Path) -> None:
    store = tmp_path / "kdsweep-store"
    fill(Store(store), paper_trials(["vgg13/vgg8"], ["cifar100"], seeds=[0])[:1])
    for folder in (store / "results", tmp_path):
        code, _, err = kd("table", folder)
        assert (code, f"; did you mean {store}?" in err) == (2, True)


def test_an_unfinished_sweep_is_told_of(kd: Command, tmp_path: Path) -> None:
    store, sweep = Store(tmp_path / "store"), load_sweep(write_sweep(tmp_path))
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    trials = expand(sweep)
    fill(store, trials[:4])
    code, _, err = kd("table", store.root, *FEW)
    assert (code, f"partial: tiny: 4 of {len(trials)} trials finished" in err) == (0, True)
    code, _, err = kd("plot", store.root, "-o", tmp_path / "x.svg")
    assert "partial: tiny: 4 of" in err
    fill(store, trials)
    assert "partial" not in kd("table", store.root, *FEW)[2]


@pytest.mark.slow
def test_measuring_for_a_ranking_trains_no_student(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path, augmentations=["identity", "cutmix", "cutmixpick_s"], seeds=[0, 1]
    )
    code, output = run(tmp_path, "rank", sweep, "--store", tmp_path / "store", "--measure")
    assert code == 0, output
    rows = Store(tmp_path / "store").results().to_pylist()
    kinds = [(row["kind"], row["augmentation"]) for row in rows]
    assert sorted(kinds, key=str) == sorted(
        [("teacher", None), *[("stddev", "identity"), ("stddev", "cutmix")] * 2], key=str
    )
    assert "needs its student" in output
    assert "group" in output


def test_a_report(kd: Command, paper: Path, tmp_path: Path) -> None:
    code, out, _ = kd("report", paper, "-o", tmp_path / "r.html", *FEW)
    assert (code, out.strip()) == (0, str(tmp_path / "r.html"))
    assert "Does T. stddev predict S. test loss?" in (tmp_path / "r.html").read_text()


def test_ranking_a_sweep_counts_what_needs_no_student(kd: Command, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, augmentations="all", seeds=[0, 1])
    store = Store(tmp_path / "store")
    code, _, err = kd("rank", sweep, "--store", store.root)
    assert code == 0
    assert "partial: 17 of 17 teacher and T. stddev trials are not finished" in err
    assert "--measure runs them, and trains no student" in err
    for trial in expand(load_sweep(sweep)):
        if trial.kind == "stddev" and trial.student is None:
            place = len(trial.augmentation)
            add(store, trial, t_stddev=0.01 + place / 1000 + trial.seed / 1e6)
    code, out, err = kd("rank", sweep, "--store", store.root)
    assert "partial: 1 of 17" in err
    assert "needs its student" in out
    assert "train first with flip" in out
    code, out, _ = kd("rank", store.root, "--json")
    rows = json.loads(out)
    assert [row["rank"] for row in rows] == list(range(1, 9))
    assert rows[0]["augmentation"] == "flip"


def test_importing_logs(kd: Command, tmp_path: Path) -> None:
    logs = GOLDEN / "author_logs"
    code, out, _ = kd("import-logs", logs, "--store", tmp_path / "s")
    assert code == 0
    assert "3 imported, 0 known already, 0 refused" in out
    code, out, _ = kd("import-logs", logs, "--store", tmp_path / "s")
    assert "0 imported, 3 known already" in out
    code, out, _ = kd("table", tmp_path / "s")
    assert (code, "resnet20/resnet8" in out) == (0, True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "log.txt").write_text("nonsense")
    code, _, err = kd("import-logs", tmp_path / "bad", "--store", tmp_path / "s")
    assert (code, "log.txt:1: no line with options" in err) == (2, True)


def test_metric_and_group_by_act_beside_the_paper_too(kd: Command, paper: Path) -> None:
    code, out, _ = kd("table", paper, "--compare-paper", "--metric", "s_test_loss", *FEW)
    assert code == 0
    assert "S. test loss: mixup" in out
    assert (
        sum(map(int, re.findall(r"cells: (\d+) the same, (\d+) different, (\d+) und", out)[0])) == 9
    )
    assert "T. stddev: mixup" not in out
    assert "Kendall" not in out
    _, out, _ = kd("table", paper, "--compare-paper", "--metric", "correlation", "--json", *FEW)
    assert [row["what"] for row in json.loads(out)] == ["pearson", "spearman", "kendall"]
    _, out, _ = kd("table", paper, "--compare-paper", "--metric", "correlation", *FEW)
    assert "cells inside" not in out


def test_a_margin_is_the_users_to_state(kd: Command, paper: Path) -> None:
    stated = ("--margin", "0.2", "--coefficient-margin", "0.02")
    _, out, _ = kd("table", paper, "--compare-paper", "--json", *stated, *FEW)
    own = {row["what"]: row["margin"] for row in json.loads(out)}
    _, out, _ = kd("table", paper, "--compare-paper", "--json", *FEW)
    usual = {row["what"]: row["margin"] for row in json.loads(out)}
    assert own["t_stddev:flip"] == pytest.approx(0.4 * usual["t_stddev:flip"])
    assert (own["kendall"], usual["kendall"]) == (0.02, 0.1)
    code, _, err = kd("table", paper, "--margin", "0.2")
    assert (code, "--margin is of --compare-paper" in err) == (2, True)


def test_metric_acts_in_json_too(kd: Command, paper: Path) -> None:
    _, out, _ = kd("table", paper, "--json", "--metric", "s_accuracy", *FEW)
    data = json.loads(out)
    assert set(data) == {"panels"}
    assert {*data["panels"][0]["points"][0]} == {"augmentation", "test_accuracy"}
    assert "evidence" not in data["panels"][0]
    _, out, _ = kd("table", paper, "--json", "--metric", "correlation", *FEW)
    data = json.loads(out)
    assert {"panels", "pooled", "num_tests", "bootstrap"} == set(data)
    assert {*data["panels"][0]["points"][0]} == {"augmentation"}
    assert data["panels"][0]["correlation"]["n"] == 9


def test_a_groups_panels_stand_together(kd: Command, tmp_path: Path) -> None:
    pairs = ["vgg13/vgg8", "wrn_40_2/vgg8", "vgg13/MobileNetV2"]
    store = fill(Store(tmp_path / "s"), paper_trials(pairs, ["cifar100"], seeds=[0]))
    for kind in ("scatter", "grid", "curves", "rank", "forest"):
        picture = tmp_path / f"{kind}.svg"
        code, _, _ = kd("plot", store.root, "--kind", kind, "-o", picture, "--group-by", "student")
        assert code == 0
        drawn = picture.read_text()
        places = [drawn.index(f">cifar100 {pair}<") for pair in pairs]
        assert sorted(range(3), key=places.__getitem__) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["scatter", "grid", "curves", "rank", "forest", "pooled"])
def test_a_plot_is_called_by_its_kind_and_lies_beside_the_results(
    kind: str, kd: Command, paper: Path, tmp_path: Path
) -> None:
    code, out, _ = kd("plot", paper, "--kind", kind, *(FEW if kind == "forest" else ()))
    assert (code, out.strip()) == (0, str(paper / "plots" / f"{kind}.png"))
    assert (paper / "plots" / f"{kind}.png").read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def teachers_only(tmp_path: Path) -> Store:
    """T. stddev of two teachers, no student; the second teacher with one seed fewer."""
    trials = paper_trials(["vgg13/vgg8", "wrn_40_2/wrn_16_2"], ["cifar100"], seeds=[0, 1])
    cheap = [t for t in trials if t.kind == "teacher" or (t.kind == "stddev" and not t.student)]
    kept = [t for t in cheap if t.kind == "teacher" or t.teacher == "vgg13" or t.seed == 0]
    return fill(Store(tmp_path / "store"), kept)


def test_t_stddev_alone_makes_its_table(kd: Command, teachers_only: Store, tmp_path: Path) -> None:
    root = teachers_only.root
    code, out, err = kd("table", root)
    assert code == 0
    assert f"no S. test loss; kdsweep rank {root} orders by T. stddev" in err
    assert out.startswith("T. stddev, cifar100")
    assert "no S. test loss yet" in out
    code, out, _ = kd("table", root, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {(row["table"], row["metric"]) for row in rows} == {("teachers", "t_stddev")}
    assert {(row["teacher"], row["n"]) for row in rows} == {("vgg13", "2"), ("wrn_40_2", "1")}
    _, out, _ = kd("table", root, "--json")
    vgg, wrn = json.loads(out)["teachers"]
    assert (vgg["teacher"], len(vgg["t_stddev"]), wrn["teacher"]) == ("vgg13", 8, "wrn_40_2")
    _, out, _ = kd("table", root, "--group-by", "teacher", "--format", "markdown")
    assert [line for line in out.splitlines() if line.startswith("#")] == [
        "### T. stddev, vgg13: no student yet",
        "### T. stddev, wrn_40_2: no student yet",
    ]
    assert kd("report", root, "-o", tmp_path / "r.html")[0] == 0
    assert "T. stddev, cifar100" in (tmp_path / "r.html").read_text()


def test_a_teacher_whose_students_are_not_yet_trained_is_shown_beside_others(
    kd: Command, teachers_only: Store
) -> None:
    """Unless a filter asks for students."""
    fill(teachers_only, paper_trials(["vgg13/vgg8"], ["cifar100"], seeds=[0]))
    code, out, err = kd("table", teachers_only.root, "--metric", "t_stddev", "--format", "csv")
    assert (code, err) == (0, "")
    by_table = {(row["table"], row["teacher"]) for row in csv.DictReader(io.StringIO(out))}
    assert by_table == {("results", ""), ("teachers", "wrn_40_2")}
    chosen = ("--filter", "student=vgg8")
    _, out, _ = kd("table", teachers_only.root, *chosen, "--metric", "t_stddev", "--format", "csv")
    assert "wrn_40_2" not in out


def two_sweeps(folder: Path) -> tuple[Path, Store]:
    """One store of two sweeps that differ in a temperature, and something imported; the first sweep's file."""
    store, sweeps = Store(folder / "store"), []
    for name, temperature in (("warm", 2), ("hot", 8)):
        (folder / name).mkdir()
        path = write_sweep(folder / name, name=name, student={"temperature": temperature})
        sweeps.append(path)
        sweep = load_sweep(path)
        store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
        fill(store, expand(sweep))
    code, output = run(folder, "import-logs", GOLDEN / "author_logs", "--store", store.root)
    assert store.imported().num_rows, output
    assert code in (0, 1)
    return sweeps[0], store


def test_a_sweep_file_shows_exactly_its_trials(kd: Command, tmp_path: Path) -> None:
    sweep, store = two_sweeps(tmp_path)
    mine = {trial.fingerprint for trial in expand(load_sweep(sweep))}
    where = (sweep, "--store", store.root)

    code, out, err = kd("table", *where, "--json", *FEW)
    assert (code, err) == (0, "")
    (panel,) = json.loads(out)["panels"]
    assert panel["source"] == "own"
    code, out, _ = kd("table", store.root, "--json", *FEW)
    assert len(json.loads(out)["panels"]) > 2

    code, out, err = kd("rank", *where, "--json")
    assert (code, err) == (0, "")

    code, _, err = kd("plot", *where, "-o", tmp_path / "p.svg")
    assert (code, err) == (0, "")
    assert "temperature" not in (tmp_path / "p.svg").read_text()

    code, _, err = kd("report", *where, "-o", tmp_path / "r.html", *FEW)
    assert (code, err) == (0, "")
    page = (tmp_path / "r.html").read_text()
    shown = set(re.findall(r'id="t-([0-9a-f]{64})"', page))
    assert shown == mine
    assert "hot:" not in page

    code, _, err = kd("export", *where, "-o", tmp_path / "b.zip")
    assert (code, err) == (0, "")
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        assert [n for n in bundle.namelist() if n.startswith("sweeps/")] == ["sweeps/warm.json"]
        rows = pq.read_table(io.BytesIO(bundle.read("results.parquet")))
        assert set(rows["fingerprint"].to_pylist()) == mine
        assert pq.read_table(io.BytesIO(bundle.read("imported.parquet"))).num_rows == 0
        epochs = pq.read_table(io.BytesIO(bundle.read("epochs.parquet")))
        assert set(epochs["fingerprint"].to_pylist()) <= mine


def test_the_store_of_a_sweep_file_may_come_from_the_environment(
    kd: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, store = two_sweeps(tmp_path)
    monkeypatch.setenv("KDSWEEP_STORE", str(store.root))
    assert kd("table", sweep, "--json", *FEW)[0] == 0
    assert kd("table", store.root, "--json", *FEW)[0] == 0


@pytest.mark.parametrize("command", ["table", "plot", "report", "rank", "export"])
def test_a_store_of_a_store_is_refused(command: str, kd: Command, paper: Path) -> None:
    code, _, err = kd(command, paper, "--store", "another")
    assert code == 2
    assert err.strip().count("\n") == 0
    assert "--store another goes with" in err


@pytest.mark.parametrize("command", ["table", "plot", "report", "rank", "export"])
def test_neither_a_store_nor_a_sweep(command: str, kd: Command, tmp_path: Path) -> None:
    for name in ("nowhere", "nowhere.yaml"):
        code, _, err = kd(command, name)
        assert code == 2
        assert "nowhere" in err
        assert err.strip().count("\n") == 0
    assert list(tmp_path.iterdir()) == []
