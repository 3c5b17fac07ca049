"""--predictor and --contest as a user types them."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.store import Store
from tests.analysis.stores import add, made_up_metrics, paper_trials
from tests.orchestrator.cli.conftest import Command

FEW = ("--bootstrap", "100")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Store(tmp_path_factory.mktemp("measured"))
    for trial in paper_trials(["wrn_40_2/wrn_16_2", "vgg13/vgg8"], ["cifar100"], [0, 1]):
        metrics: dict[str, Any] = made_up_metrics(trial)
        if trial.kind == "stddev":
            metrics |= {"entropy": 3 - 100 * metrics["t_stddev"], "entropy_stderr": 0.01}
        add(made, trial, **metrics)
    return made.root


def test_tables_by_another_predictor_name_it(kd: Command, measured: Path) -> None:
    code, out, _ = kd("table", measured, "--predictor", "entropy", *FEW)
    assert code == 0
    assert "T. stddev" not in out
    for words in ("T. entropy, cifar100", "Correlation of T. entropy and S. test loss"):
        assert words in out
    assert "choice: of highest T. entropy" in out
    told = json.loads(kd("table", measured, "--predictor", "entropy", "--json", *FEW)[1])
    first = told["panels"][0]
    assert first["predictor"] == "entropy"
    assert first["points"][0]["entropy"]["mean"] > 1
    assert "t_stddev" not in first["points"][0]
    usual = json.loads(kd("table", measured, "--json", *FEW)[1])["panels"][0]
    assert first["correlation"]["kendall"] == pytest.approx(-usual["correlation"]["kendall"])
    assert first["regret"]["choice"]["value"] == usual["regret"]["choice"]["value"]


def test_rankings_and_plots_take_one_too(kd: Command, measured: Path, tmp_path: Path) -> None:
    _, by_stddev, _ = kd("rank", measured, "--json")
    _, by_entropy, _ = kd("rank", measured, "--predictor", "entropy", "--json")
    orders = [
        [row["augmentation"] for row in json.loads(out) if row["rank"]]
        for out in (by_stddev, by_entropy)
    ]
    assert orders[0] == orders[1]
    picture = tmp_path / "scatter.svg"
    told = ("--predictor", "entropy", "--data", "csv", "-o", picture)
    assert kd("plot", measured, *told)[0] == 0
    assert "T. entropy" in picture.read_text()
    assert "entropy_std" in picture.with_suffix(".csv").read_text()


def test_a_contest_is_a_table_of_its_own(kd: Command, measured: Path) -> None:
    code, out, _ = kd("table", measured, "--contest", *FEW)
    assert code == 0
    assert "T. stddev - T. entropy" in out
    assert "pooled: cifar100" in out
    told = json.loads(kd("table", measured, "--contest", "--json", *FEW)[1])["contests"]
    assert [contest["title"] for contest in told][-1] == "pooled: cifar100"


def test_a_report_shows_the_contest_and_takes_a_predictor(
    kd: Command, measured: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    assert kd("report", measured, "-o", page, *FEW)[0] == 0
    usual = page.read_text()
    assert "Does T. stddev predict S. test loss?" in usual
    assert "Predictors of S. test loss, side by side" in usual
    assert kd("report", measured, "--predictor", "entropy", "-o", page, *FEW)[0] == 0
    assert "Does T. entropy predict S. test loss?" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--predictor", "entrop"), "--predictor entrop: unknown predictor"),
        (("--contest", "--predictor", "entropy"), "leave --predictor entropy out"),
        (("--contest", "--compare-paper"), "choose one"),
        (("--compare-paper", "--predictor", "entropy"), "points of t_stddev alone"),
        (("--predictor", "entropy", "--metric", "t_stddev"), "--metric t_stddev: unknown metric"),
    ],
)
def test_what_says_two_things_is_refused(
    arguments: tuple[str, ...], problem: str, kd: Command, measured: Path
) -> None:
    code, _, err = kd("table", measured, *arguments)
    assert code == 2
    assert problem in err
