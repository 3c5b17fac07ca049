"""Stores and files that are not there or cannot be written: which setting, what to do."""

from pathlib import Path

import pytest

from orchestrator.cli.opening import check_writable
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from tests.orchestrator.cli.conftest import Command
from tests.orchestrator.sweeps import write_sweep

FEW = ("--bootstrap", "100")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two augmentations."""
    root = tmp_path_factory.mktemp("two")
    trials = paper_trials(["vgg13/vgg8"], ["cifar100"], augmentations=["identity", "flip"])
    fill(Store(root), trials)
    return root


def test_a_store_that_cannot_be_written_is_refused_before_anything_starts(
    kd: Command, tmp_path: Path
) -> None:
    code, out, err = kd("run", write_sweep(tmp_path), "--store", "/proc/kdsweep")
    assert (code, out) == (2, "")
    assert err.startswith("/proc/kdsweep: the store cannot be used: ")
    assert "--store, KDSWEEP_STORE or the sweep's key store name another" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (("table", "-o", "/proc/x.csv", *FEW), "--output"),
        (("report", "-o", "/proc/x.html", *FEW), "--output"),
        (("plot", "-o", "/proc/x.png"), "--output"),
        (("export", "-o", "/proc/x.zip"), "--output"),
    ],
)
def test_a_file_that_cannot_be_written_names_its_option(
    arguments: tuple[str, ...], setting: str, kd: Command, two: Path
) -> None:
    code, _, err = kd(arguments[0], two, *arguments[1:])
    assert code == 2
    told = [line for line in err.splitlines() if line.startswith("/proc/x")]
    assert len(told) == 1
    assert told[0].endswith(f"{setting} names another place")


@pytest.mark.parametrize("arguments", [("plan", "SWEEP"), ("status", "SWEEP"), ("table",)])
def test_a_store_without_a_name_is_refused(
    arguments: tuple[str, ...], kd: Command, tmp_path: Path
) -> None:
    sweep = str(write_sweep(tmp_path))
    words = [sweep if word == "SWEEP" else word for word in arguments]
    code, _, err = kd(*words, *(("--store", "") if len(words) > 1 else ("",)))
    assert code == 2
    assert err == "store: expected a folder or an address, not ''\n"


def test_status_says_where_no_store_is(kd: Command, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    code, out, err = kd("status", sweep, "--store", "mistyped")
    assert code == 0
    assert "tiny on fashion_mini" in out
    expected = f"{tmp_path}/mistyped: no store is there yet; kdsweep run {sweep} makes one\n"
    assert err == expected
    assert not (tmp_path / "mistyped").exists()


def test_a_mistyped_shipped_sweep_has_a_suggestion(kd: Command) -> None:
    _, _, err = kd("table", "quickstrat")
    assert err == (
        "quickstrat: no such folder, nor a sweep file; did you mean the sweep 'quickstart'?\n"
    )


def test_a_file_of_another_format_than_its_ending_is_refused(
    kd: Command, two: Path, tmp_path: Path
) -> None:
    code, _, err = kd("table", two, "-o", "x.csv", "--format", "latex", *FEW)
    assert code == 2
    assert err == "x.csv: its ending says csv, and latex is asked for: change one\n"
    code, _, err = kd("table", two, "-o", "x.csv", "--json", *FEW)
    assert err == "x.csv: its ending says csv, and json is asked for: change one\n"
    assert not (tmp_path / "x.csv").exists()
    code, _, _ = kd("table", two, "-o", "x.dat", "--format", "csv", *FEW)
    assert code == 0
    assert (tmp_path / "x.dat").read_text().startswith("table,")


def test_a_folder_that_was_made_is_told(kd: Command, two: Path) -> None:
    _, out, err = kd("table", two, "-o", "a/b/x.csv", *FEW)
    assert out == "a/b/x.csv\n"
    assert "a new folder: a/b\n" in err
    _, _, err = kd("table", two, "-o", "a/b/y.csv", *FEW)
    assert "new folder" not in err


def test_two_augmentations_are_one_line_and_no_empty_tables(kd: Command, two: Path) -> None:
    _, out, _ = kd("table", two, *FEW)
    assert "no correlation yet: 2 augmentations have both values, 3 are needed" in out
    assert "Correlation of T. stddev" not in out
    assert "p as printed" not in out


def test_a_report_names_its_filters(kd: Command, two: Path, tmp_path: Path) -> None:
    kd("report", two, "--filter", "augmentation!=flip", "--filter", "seed=0,1", *FEW)
    page = (tmp_path / "report.html").read_text()
    assert f">{two.name}</span>" in page
    assert "<code>--filter augmentation!=flip</code><code>--filter seed=0,1</code>" in page


def test_the_log_of_a_trial_that_died_before_its_first_line(
    kd: Command, two: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    trial = paper_trials(["vgg13/vgg8"], ["cifar100"])[0]
    store.add_failure({"fingerprint": trial.fingerprint, "error": "ValueError: too early"})
    code, _, err = kd("logs", trial.fingerprint[:8], "--store", store.root)
    assert code == 2
    assert err.startswith(f"{trial.fingerprint[:8]}: it died before the first line of its log: ")
    assert err.endswith("ValueError: too early\n")


def test_a_device_without_a_precision_says_that_it_is_priced_as_fp32(
    kd: Command, tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path, student={"epochs": 1, "precision": "bf16"})
    _, out, _ = kd("plan", sweep, "--device", "t4")
    assert "WARNING: precision bf16: NVIDIA T4 has none, so it is priced as fp32" in out
    _, out, _ = kd("plan", sweep, "--device", "a100")
    assert "priced as fp32" not in out


def test_nothing_is_made_for_a_file_that_is_not_written(kd: Command, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for arguments in (
        ("plot", ".", "-o", "new/x.png"),
        ("export", ".", "-o", "new/x.zip"),
        ("sweeps", "copy", "quickstrat", "new"),
    ):
        code, _, err = kd(*arguments)
        assert code == 2
        assert "new folder" not in err
    assert not (tmp_path / "new").exists()


def test_asking_whether_a_store_can_be_written_makes_none(tmp_path: Path) -> None:
    check_writable(Store(tmp_path / "new" / "store"))
    assert list(tmp_path.iterdir()) == []
