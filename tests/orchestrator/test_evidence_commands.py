"""table, plot, report, rank and import-logs as a user runs them, in one process."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.plan import expand
from orchestrator.store import Store
from orchestrator.sweep import load_sweep
from tests.analysis.stores import add, fill, paper_trials
from tests.conftest import GOLDEN
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kd(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run a command: exit code, output, errors."""
    monkeypatch.delenv("KDSWEEP_STORE", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["kdsweep", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


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
        (("table", "{}", "--metric", "loss"), "--metric loss: unknown metric"),
        (("table", "{}", "-o", "x.doc"), "x.doc: unknown format 'doc'"),
        (("table", "nowhere"), "nowhere: no such folder"),
        (("plot", "{}", "-o", "x.bmp"), "x.bmp: unknown format 'bmp'"),
        (("plot", "{}", "--filter", "augmentation=cutmx"), "no augmentation 'cutmx'"),
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
    assert "of 18 cells inside seed noise" in out
    assert "vgg13" not in out
    code, out, _ = kd("table", paper, "--compare-paper", "--json")
    assert {row["verdict"] for row in json.loads(out)} <= {"inside", "outside", "unknown"}
    code, _, err = kd("table", paper, "--compare-paper", "--filter", "teacher=vgg13")
    assert (code, "nothing to compare" in err) == (2, True)


@pytest.mark.parametrize("kind", ["scatter", "grid", "curves", "rank", "forest"])
def test_plots(kind: str, kd: Command, paper: Path, tmp_path: Path) -> None:
    code, out, _ = kd("plot", paper, "--kind", kind, "-o", tmp_path / "p.svg", *FEW)
    assert (code, out.strip()) == (0, str(tmp_path / "p.svg"))
    assert (tmp_path / "p.svg").stat().st_size > 5000


def test_an_empty_store_is_told_of_and_never_a_traceback(kd: Command, tmp_path: Path) -> None:
    code, out, err = kd("table", tmp_path)
    assert (code, out.strip()) == (0, "")
    assert "no student has finished yet" in err
    code, _, err = kd("plot", tmp_path)
    assert (code, "nothing to draw" in err) == (2, True)
    code, _, err = kd("rank", tmp_path)
    assert (code, "no T. stddev is measured yet" in err) == (0, True)
    assert kd("report", tmp_path, "-o", tmp_path / "r.html")[0] == 0


def test_an_unfinished_sweep_is_told_of(kd: Command, tmp_path: Path) -> None:
    store, sweep = Store(tmp_path / "store"), load_sweep(write_sweep(tmp_path))
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    trials = expand(sweep)
    fill(store, trials[:4])
    code, _, err = kd("table", store.root, *FEW)
    assert (code, f"partial: tiny: 4 of {len(trials)} trials finished" in err) == (0, True)
    code, _, err = kd("plot", store.root, "-o", tmp_path / "x.svg", *FEW)
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
