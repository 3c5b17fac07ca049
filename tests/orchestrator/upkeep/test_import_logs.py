"""Logs of the authors' own code: what is read, what is refused, and where it goes."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.filters import parse_filters
from analysis.points import panels
from analysis.ranking import rank
from analysis.rows import read_rows
from orchestrator.store.store import Store
from orchestrator.upkeep.author_logs import parse_log
from orchestrator.upkeep.importing import import_logs
from tests.analysis.stores import fill, paper_trials
from tests.conftest import GOLDEN
from trainer.problems import UserError

LOGS = GOLDEN / "author_logs"
CUTMIX = (LOGS / "distill_cutmix.txt").read_text()
PICK = (LOGS / "distill_cutmix_pick_student_entropy.txt").read_text()
STDDEV = (LOGS / "tstddev_mixup.txt").read_text()


def test_a_distillation() -> None:
    run = parse_log(CUTMIX, "x")
    assert (run.kind, run.dataset, run.teacher, run.student) == (
        *("student", "cifar100", "resnet20", "resnet8"),
    )
    assert (run.augmentation, run.epochs, run.run_id) == ("cutmix", 2, "SERVER015-20261123-014719")
    assert run.seed == 15_20261123_014719
    assert (run.test_loss, run.test_accuracy) == (15.924652, 0.0)
    assert run.best_accuracy == pytest.approx(0.015625)
    assert run.best_epoch == 1
    assert run.t_stddev is None
    assert [point["test_loss"] for point in run.curve] == [12.750453, 15.924652]


def test_a_pick_by_the_students_entropy() -> None:
    assert parse_log(PICK, "x").augmentation == "cutmixpick_s"
    by_teacher = PICK.replace(
        "('cutmix_pick_criterion': student_entropy)", "('cutmix_pick_criterion': teacher_entropy)"
    )
    assert parse_log(by_teacher, "x").augmentation == "cutmixpick_t"


def test_the_criterion_means_nothing_without_a_pick() -> None:
    assert "('cutmix_pick_criterion': kld)" in CUTMIX
    assert parse_log(CUTMIX, "x").augmentation == "cutmix"


def test_a_stddev_run_is_told_by_its_fixed_student_and_the_last_value_counts() -> None:
    run = parse_log(STDDEV, "x")
    assert (run.kind, run.augmentation) == ("stddev", "mixup")
    assert (run.t_stddev, run.num_windows) == (0.000317, 4)
    assert run.test_loss is None
    assert run.curve == ()


def test_released_logs_differ_in_their_head() -> None:
    """No hostname line, more options, options behind a prefix, a warning before them."""
    released = CUTMIX.split("\n", 1)[1].replace(
        "('alpha'", "[014719 7927 2026/11/23-01:47:19] ('alpha'"
    )
    released = released.replace(" ('amp': False)", " ('amp': False) ('brand_new': a (b) [c])")
    assert "hostname" not in released
    run, plain = parse_log(released, "x"), parse_log(CUTMIX, "x")
    assert run.settings == {**plain.settings, "brand_new": "a (b) [c]"}
    assert replace(run, settings=plain.settings) == plain


def test_epochs_are_multiplied_by_their_factor_once() -> None:
    """The options line has the product, the command line both factors."""
    longer = CUTMIX.replace("('epochs': 2)", "('epochs': 4)").replace(
        "('epoch_factor': 0)", "('epoch_factor': 2.0)"
    )
    with pytest.raises(UserError, match="ends after epoch 2; its run was to reach epoch 4"):
        parse_log(longer.replace("--epochs 2", "--epochs 2 --epoch_factor 2.0"), "x")
    done = longer.replace("Epoch 2 (after", "Epoch 4 (after")
    for asked in ("--epochs 2 --epoch_factor 2.0", "--epoch_factor 2.0"):
        assert parse_log(done.replace("--epochs 2", asked), "x").epochs == 4


@pytest.mark.parametrize("asked", ["--epochs 2..", "--epochs 99999999999999999999", "--epochs two"])
def test_a_head_that_cannot_be_read_is_no_crash(asked: str) -> None:
    assert parse_log(CUTMIX.replace("--epochs 2", asked), "x").epochs == 2


def test_a_server_with_a_long_number_is_told_by_its_start() -> None:
    run = parse_log(CUTMIX.replace("_SERVER015-", "_SERVER1234567-"), "x")
    assert run.seed < 2**63


def test_equal_numbers_are_equal_however_written(tmp_path: Path) -> None:
    other = CUTMIX.replace("('weight_decay': 0.0005)", "('weight_decay': 5e-4)")
    assert num_cells(tmp_path, CUTMIX, other.replace("('kd_T': 4)", "('kd_T': 4.0)")) == 1


def test_an_untrained_student_and_a_trained_one_pick_otherwise(tmp_path: Path) -> None:
    pick = STDDEV.replace("('mix_mode': mixup)", "('mix_mode': cutmix_pick)")
    pick = pick.replace("_criterion': kld", "_criterion': student_entropy")
    trained = pick.replace("('finetune_student': )", "('finetune_student': a.pth)")
    assert num_cells(tmp_path / "student", pick, trained) == 2
    kld = pick.replace("_criterion': student_entropy", "_criterion': kld")
    assert num_cells(tmp_path / "kld", kld, kld.replace("('kd_T': 4)", "('kd_T': 8)")) == 2


def test_two_names_of_tiny_imagenet_are_two_options(tmp_path: Path) -> None:
    one, other = (
        CUTMIX.replace("('dataset': cifar100)", f"('dataset': {name})")
        for name in ("tinyimagenet", "tinyimagenet_v2")
    )
    assert num_cells(tmp_path, one, other) == 2


@pytest.mark.parametrize("runs", ["0", "100"])
def test_a_pick_of_impossibly_many_runs_is_refused(runs: str) -> None:
    log = PICK.replace("('mix_n_run': 2)", f"('mix_n_run': {runs})")
    with pytest.raises(UserError, match=f"mix_n_run: no pick is of {runs} runs"):
        parse_log(log, "x")


@pytest.mark.parametrize(
    ("key", "old", "new", "expected"),
    [
        ("kd_S", "4", "8", 2),
        ("model_s_pretrained", "None", "x.pth", 2),
        ("finetune_student", "", "x.pth", 2),
        ("resume_student", "", "x.pth", 2),
        ("reinit_student", "False", "True", 2),
        ("test_loader_in_train", "False", "True", 2),
        ("amp", "False", "True", 2),
        ("branch_width_S", "256", "128", 2),
        ("num_workers", "0", "8", 1),
        ("print_interval", "100", "7", 1),
        ("tb_path", "./save/student_tensorboards", "/elsewhere", 1),
        ("CodeID", "GitNotFound", "abc", 1),
        ("project_name", "kd__resnet20resnet8__cifar100__cutmix", "again", 1),
    ],
)
def test_runs_that_differ_in_an_option_that_can_act_are_never_averaged(
    key: str, old: str, new: str, expected: int, tmp_path: Path
) -> None:
    """What cannot act makes no cell of its own."""
    other = CUTMIX.replace(f"('{key}': {old})", f"('{key}': {new})")
    assert other != CUTMIX
    assert num_cells(tmp_path, CUTMIX, other) == expected


def test_an_address_in_memory_and_a_seed_s_own_student_are_no_settings(tmp_path: Path) -> None:
    assert " object at 0x" in STDDEV
    other = STDDEV.replace("0x7febdcf8dbe0", "0x7f0000000000")
    assert num_cells(tmp_path / "address", STDDEV, other) == 1
    pick = STDDEV.replace("('mix_mode': mixup)", "('mix_mode': cutmix_pick)")
    pick = pick.replace("_criterion': kld", "_criterion': student_entropy")
    named = [pick.replace("('finetune_student': )", f"('finetune_student': {i}.pth)") for i in "ab"]
    assert num_cells(tmp_path / "pick", *named) == 1


def num_cells(folder: Path, *logs: str) -> int:
    """In how many cells runs are that differ in their time and in what is given."""
    (folder / "logs").mkdir(parents=True)
    for i, log in enumerate(logs):
        (folder / "logs" / f"{i}.txt").write_text(log.replace("-20261123-", f"-2026112{i}-"))
    store = Store(folder / "store")
    assert import_logs(folder / "logs", store).refused == []
    rows = store.imported().to_pylist()
    assert len(rows) == len(logs)
    return len({row["cell"] for row in rows})


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (PICK, r"x:\d+: another options line: more than one run; a file of its own for each"),
        (CUTMIX, r"x:\d+: another options line"),
    ],
)
def test_two_runs_in_one_file_are_refused(second: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_log(CUTMIX + second, "x")


def test_two_runs_without_a_second_options_line_are_refused() -> None:
    body = CUTMIX.splitlines()
    start = next(i for i, line in enumerate(body) if "('" in line) + 1
    with pytest.raises(UserError, match=r"x:\d+: epoch 1 after 2: more than one run"):
        parse_log("\n".join([*body, *(x for x in body[start:] if "_SERVER" not in x)]), "x")
    again = [line.replace("-20261123-", "-20261124-") for line in body[start:]]
    with pytest.raises(UserError, match=r"x:\d+: another run's id, SERVER015-20261124-014719"):
        parse_log("\n".join([*body, *again]), "x")


def test_a_teachers_log_is_told_in_a_line() -> None:
    teacher = CUTMIX.replace("('model_s': resnet8)", "('model': resnet20)").replace(
        "('model_t': resnet20) ", ""
    )
    with pytest.raises(UserError, match=r"x:\d+: the log of a teacher's training \(resnet20\)"):
        parse_log(teacher, "x")


def test_what_an_older_version_made_of_a_log_is_replaced(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    import_logs(folder, store)
    rows = store.imported().to_pylist()
    store.forget_imported([row["fingerprint"] for row in rows])
    assert store.imported().num_rows == store.imported_epochs().num_rows == 0
    for i, row in enumerate(rows):
        older = {k: v for k, v in row.items() if v is not None and k != "written_at"}
        store.add_imported(older | {"fingerprint": f"{i:064x}"}, [])
    report = import_logs(folder, store)
    assert report.imported == 3
    now = store.imported().to_pylist()
    assert sorted(row["fingerprint"] for row in now) == sorted(row["fingerprint"] for row in rows)


def test_without_the_line_that_names_its_folder_a_run_is_told_by_its_start() -> None:
    bare = "\n".join(line for line in CUTMIX.splitlines() if "_SERVER" not in line)
    assert parse_log(bare, "x").run_id == "20261123-014719-7927"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "('dataset': cifar100)",
            "('dataset': cifar10)",
            "x:{line}: dataset: unknown 'cifar10'; did you",
        ),
        (
            "('model_s': resnet8)",
            "('model_s': resnt8)",
            "x:{line}: model_s: unknown 'resnt8'; did you mean",
        ),
        ("('mix_mode': cutmix)", "('mix_mode': puzzle)", "x:{line}: mix_mode: unknown 'puzzle'"),
        (" ('mix_mode': cutmix)", "", "x:{line}: the options line has no 'mix_mode'"),
        ("('epochs': 2)", "('epochs': two)", "x:{line}: epochs: expected a number, not 'two'"),
        ("TestLoss 15.924652", "TestLoss what", "x:{line}: expected a number, not 'what'"),
        (
            "TestLoss 15.924652 Epoch",
            "TestLoss 15.9",
            "x:{line}: an accuracy line that cannot be read",
        ),
        ("('", "(", "x:1: no line with options"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_and_line(old: str, new: str, message: str) -> None:
    line = next(i for i, text in enumerate(CUTMIX.splitlines(), start=1) if old in text)
    with pytest.raises(UserError, match=re.escape(message.format(line=line))):
        parse_log(CUTMIX.replace(old, new), "x")


def test_a_run_that_was_cut_off_is_refused() -> None:
    lines = CUTMIX.splitlines()
    first = next(i for i, line in enumerate(lines) if "Epoch 1 (after" in line)
    with pytest.raises(UserError, match=rf"x:{first + 1}: ends after epoch 1; .* reach epoch 2"):
        parse_log("\n".join(lines[: first + 1]), "x")
    with pytest.raises(UserError, match="has no accuracy line"):
        parse_log("\n".join(lines[:first]), "x")


def test_a_stddev_of_fewer_than_two_windows_is_refused() -> None:
    with pytest.raises(UserError, match=r"T\. stddev is nan: fewer than two windows"):
        parse_log(STDDEV.replace("MeanStd 0.000317", "MeanStd nan"), "x")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the authors' code lays it out, and two bare files, one of them no log."""
    root = tmp_path / "Experiments"
    for name, text in (("cutmix_SERVER015-20261123-014719", CUTMIX), ("pick_SERVER015", PICK)):
        (root / name / "log").mkdir(parents=True)
        (root / name / "log" / "log.txt").write_text(text)
    (root / "bare.txt").write_text(STDDEV)
    (root / "notes.txt").write_text("to do\n")
    return root


def test_what_can_be_read_is_imported_and_the_rest_named(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    report = import_logs(folder, store)
    assert (report.imported, report.known) == (3, 0)
    assert report.refused == [
        "notes.txt:1: no line with options ('key': value); not a log of the authors' code"
    ]
    rows = {row["augmentation"]: row for row in store.imported().to_pylist()}
    assert {row["source"] for row in rows.values()} == {"imported"}
    assert rows["mixup"]["origin"] == "bare.txt"
    assert rows["cutmix"]["origin"] == "cutmix_SERVER015-20261123-014719/log/log.txt"
    assert rows["mixup"]["student"] is None
    assert len(rows["cutmix"]["log_sha256"]) == 64
    assert store.imported_epochs().num_rows == 4


def test_importing_again_or_a_copy_changes_nothing(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    import_logs(folder, store)
    before = store.imported()
    shutil.copytree(folder, tmp_path / "moved" / "deeper")
    for again in (folder, tmp_path / "moved"):
        report = import_logs(again, store)
        assert (report.imported, report.known) == (0, 3)
    assert store.imported().equals(before)


def test_another_value_of_a_known_run_is_refused(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    import_logs(folder, store)
    (folder / "bare.txt").write_text(STDDEV.replace("MeanStd 0.000317", "MeanStd 0.000999"))
    report = import_logs(folder, store)
    assert any(
        "was imported from bare.txt with t_stddev 0.000317" in text for text in report.refused
    )


def test_an_imported_run_never_stands_in_for_a_trial(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    import_logs(folder, store)
    assert store.finished() == frozenset()
    assert store.results().num_rows == 0
    assert store.epochs().num_rows == 0


def test_own_and_imported_stand_side_by_side_and_are_told_apart(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for augmentation in ("cutmix", "mixup", "flip"):
        for run in range(2):
            for name, text, old in (("d", CUTMIX, "cutmix"), ("s", STDDEV, "mixup")):
                log = text.replace(f"('mix_mode': {old})", f"('mix_mode': {augmentation})")
                log = log.replace("-20261123-0147", f"-20261123-0{run}47")
                (logs / f"{name}-{augmentation}-{run}.txt").write_text(log)
    store = fill(Store(tmp_path / "store"), paper_trials(["vgg13/vgg8"], ["cifar100"], seeds=[0]))
    assert import_logs(logs, store).imported == 12
    own, imported = sorted(panels(read_rows(store)), key=lambda panel: panel.source == "imported")
    assert (own.source, own.pair) == ("own", "vgg13/vgg8")
    assert (imported.source, imported.pair) == ("imported", "resnet20/resnet8")
    assert [p.augmentation for p in imported.complete] == ["flip", "mixup", "cutmix"]
    assert all(p.test_loss and p.test_loss.n == 2 for p in imported.points)
    assert len(panels(read_rows(store, parse_filters(["source=imported"])))) == 1
    rankings = {ranking.source: ranking for ranking in rank(read_rows(store))}
    assert set(rankings) == {"own", "imported"}
    assert rankings["imported"].variant == "imported"


def test_a_pick_stands_in_the_panel_of_its_pair(tmp_path: Path) -> None:
    """Options that act in picks only are not what tells it from the other schemes."""
    (tmp_path / "logs").mkdir()
    for name, log in (("cutmix", CUTMIX), ("pick", PICK)):
        (tmp_path / "logs" / f"{name}.txt").write_text(log)
    store = Store(tmp_path / "store")
    import_logs(tmp_path / "logs", store)
    (panel,) = panels(read_rows(store))
    assert panel.title == "cifar100 resnet20/resnet8 (imported)"
    assert [point.augmentation for point in panel.points] == ["cutmix", "cutmixpick_s"]
    # Other picks are another panel, in which everything else stands too.
    other = PICK.replace("('n_pick': 64)", "('n_pick': 32)").replace("-20261123", "-20261124")
    (tmp_path / "logs" / "other.txt").write_text(other)
    import_logs(tmp_path / "logs", store)
    variants = {panel.variant: len(panel.points) for panel in panels(read_rows(store))}
    assert variants == {"n_pick=32, imported": 2, "n_pick=64, imported": 2}


def test_a_pair_that_is_own_and_imported_makes_two_panels(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = CUTMIX.replace("('model_t': resnet20)", "('model_t': vgg13)")
    (tmp_path / "logs" / "a.txt").write_text(
        log.replace("('model_s': resnet8)", "('model_s': vgg8)")
    )
    store = fill(Store(tmp_path / "store"), paper_trials(["vgg13/vgg8"], ["cifar100"], seeds=[0]))
    import_logs(tmp_path / "logs", store)
    titles = {panel.source: panel.title for panel in panels(read_rows(store))}
    assert titles["own"] == "cifar100 vgg13/vgg8"
    assert titles["imported"].endswith("imported)")


def test_there_must_be_logs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        import_logs(tmp_path / "nowhere", Store(tmp_path / "store"))
    with pytest.raises(UserError, match=r"no log.txt and no other .txt file"):
        import_logs(tmp_path, Store(tmp_path / "store"))
