"""Sweeps through real Ray: from the command to the rows, undisturbed and disturbed."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.rows import MANY_FILES
from orchestrator.store.store import Store
from tests.analysis.stores import fill, paper_trials
from tests.orchestrator.commands import finish, run, start, trial_workers, wait_until
from tests.orchestrator.results import assert_same_results, comparable, is_clean, written
from tests.orchestrator.sweeps import write_sweep
from trainer.checkpoint import CheckpointFolder
from trainer.datasets.dataset import load_dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.positions import newest_position

pytestmark = pytest.mark.slow


def test_every_trial_has_one_row_with_its_numbers(undisturbed: Store, sweep: Path) -> None:
    trials = expand(load_sweep(sweep))
    assert undisturbed.finished() == {trial.fingerprint for trial in trials}
    for row in undisturbed.results().to_pylist():
        metric = row["t_stddev"] if row["kind"] == "stddev" else row["test_loss"]
        assert metric > 0
        assert row["ray_version"]
        assert row["device"] == "cpu"
        assert row["num_threads"] == 1
        assert row["finished_at"] >= row["started_at"]
    epochs = undisturbed.epochs().to_pylist()
    assert len(epochs) == 1 + 3 * 8 + 3 * 4
    assert is_clean(undisturbed)
    assert undisturbed.failures().num_rows == 0


def test_a_finished_sweep_is_not_run_again(home: Path, sweep: Path, undisturbed: Store) -> None:
    before = comparable(undisturbed)
    start_time = time.monotonic()
    code, output = run(home, "run", sweep, "--store", undisturbed.root)
    assert code == 0
    assert "all 7 trials are finished already" in output
    assert "Pearson" in output
    assert "Ray" not in output
    assert comparable(undisturbed) == before
    assert time.monotonic() - start_time < 60


def test_the_other_commands_read_what_was_run(
    home: Path, sweep: Path, undisturbed: Store, tmp_path: Path
) -> None:
    store = undisturbed.root
    code, output = run(home, "status", sweep, "--store", store, "--json")
    assert code == 0
    assert json.loads(output)["counts"]["student"]["done"] == 3
    code, output = run(home, "plan", sweep, "--store", store, "--json")
    assert {trial["state"] for trial in json.loads(output)["trials"]} == {"done"}
    code, output = run(home, "table", store, "--json")
    (panel,) = json.loads(output)["panels"]
    assert panel["correlation"]["n"] == 3
    assert [point["augmentation"] for point in panel["points"]] == (
        ["identity", "cutmix", "cutmixpick_s"]
    )
    for ending in ("png", "svg", "pdf"):
        code, output = run(home, "plot", store, "-o", tmp_path / f"scatter.{ending}")
        assert code == 0, output
        assert (tmp_path / f"scatter.{ending}").stat().st_size > 5000
    assert (store / "plots" / "tiny.png").exists()


def test_the_same_trials_without_ray_give_the_same_bits(
    sweep: Path, undisturbed: Store, tmp_path: Path
) -> None:
    keeper = FolderKeeper(tmp_path)
    rows = comparable(undisturbed)
    for trial in expand(load_sweep(sweep)):
        run_group([trial], keeper, load_dataset(trial.data), torch.device("cpu"))
        metrics = keeper.result(trial)["metrics"]
        assert written(metrics, set()).items() <= rows[trial.fingerprint].items()
        if trial.kind != "stddev":
            stored = CheckpointFolder(undisturbed.checkpoint_folder(trial.fingerprint)).weights()
            for name, tensor in keeper.weights(trial.fingerprint).items():
                assert torch.equal(tensor, stored[name])


def students_are_at_work(store: Store) -> bool:
    """Half-way through the students, with a checkpoint behind them."""
    return any(entry.epochs == 8 and entry.epoch > 2 for entry in store.signs.running().values())


def students_saved_behind_an_epoch(store: Store) -> list[str]:
    """Those at work that would not begin anew."""
    students = [sign.fingerprint for sign in store.signs.running().values() if sign.epochs == 8]
    saved = {fp: newest_position(store.checkpoint_folder(fp)) for fp in students}
    return [fp for fp, position in saved.items() if position and position.epoch > 1]


def test_a_worker_killed_in_the_middle(home: Path, sweep: Path, undisturbed: Store) -> None:
    store = Store(home / "worker-killed")
    process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
    wait_until(lambda: students_are_at_work(store))
    for worker in trial_workers(process.pid):
        os.kill(worker, signal.SIGKILL)
    code, output = finish(process)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)


def test_a_driver_killed_in_the_middle(home: Path, sweep: Path, undisturbed: Store) -> None:
    store = Store(home / "driver-killed")
    process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
    wait_until(lambda: students_saved_behind_an_epoch(store))
    cut_off = students_saved_behind_an_epoch(store)
    workers = trial_workers(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert len(store.finished()) < 7
    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    for fingerprint in cut_off:
        log = (store.trial_folder(fingerprint) / "log.txt").read_text()
        assert log.count(" epoch 1  ") == 1, "it went on, and did not begin anew"
        assert log.count("to repeat: ") == 2


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_and_run_again(
    signal_number: signal.Signals, home: Path, sweep: Path, undisturbed: Store
) -> None:
    store = Store(home / f"stopped-by-{signal_number.name}")
    process = start(home, "run", sweep, "--store", store.root, "--cpus", 2)
    wait_until(lambda: students_are_at_work(store))
    process.send_signal(signal_number)
    code, output = finish(process)
    assert code == 3, output
    assert f"to go on: kdsweep run {sweep}" in output
    assert "Traceback" not in output
    assert list(store.root.glob("checkpoints/*/step-*"))
    assert not store.signs.running()
    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 0, output
    assert_same_results(store, undisturbed)
    assert is_clean(store)


def test_a_trial_that_fails_blocks_only_what_depends_on_it(home: Path, tmp_path: Path) -> None:
    """With this rate every student diverges; of the stddev trials only the picking one needs a student."""
    sweep = write_sweep(tmp_path, student={"epochs": 1, "learning_rate": 1e30})
    store = Store(tmp_path / "store")
    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 1, output
    assert "3 finished, 3 failed, 1 blocked by them" in output
    assert output.count("failed: student ") == 3
    assert "DivergedError: the loss is not finite" in output
    code, output = run(home, "status", sweep, "--store", store.root)
    assert output.count("DivergedError: the loss is not finite after epoch 1") == 3
    assert "✗ 3 failed" in output
    assert "○ 1 blocked" in output

    code, output = run(home, "run", sweep, "--store", store.root, "--cpus", 2)
    assert code == 1
    assert "3 trials failed before: kdsweep resume" in output
    assert store.failures().num_rows == 3

    code, output = run(home, "resume", sweep, "--store", store.root, "--cpus", 2)
    assert code == 1
    assert store.failures().num_rows == 6
    assert len(store.finished()) == 3


def test_logical_gpus_are_given_out_in_shares(home: Path, tmp_path: Path) -> None:
    resources = {"student": {"gpu": 0.5}, "stddev": {"gpu": 0.25}, "teacher": {"gpu": 1}}
    sweep = write_sweep(tmp_path, resources=resources)
    there = ("--store", tmp_path / "s", "--cpus", 4, "--gpus", 1)
    code, output = run(home, "run", sweep, *there, environment={"KDSWEEP_PRETEND_GPUS": "1"})
    assert code == 0, output
    assert len(Store(tmp_path / "s").finished()) == 7


def test_a_run_ends_by_merging_many_small_files(home: Path, tmp_path: Path) -> None:
    """Reading them is what takes time: 200 files of a table or more become few, and no row is lost."""
    store = fill(
        Store(tmp_path / "s"),
        paper_trials(["vgg13/vgg8", "vgg13/MobileNetV2"], ["cifar100"], seeds=range(8)),
    )
    before = store.finished()
    assert len(list((store.root / "results").glob("*.parquet"))) == len(before) >= MANY_FILES
    code, output = run(home, "run", write_sweep(tmp_path), "--store", store.root, "--cpus", 2)
    assert code == 0, output
    assert len(list((store.root / "results").glob("*.parquet"))) < 10
    assert len(list((store.root / "epochs").glob("*.parquet"))) < 10
    assert before < store.finished()
    assert len(store.finished()) == len(before) + 7


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"student": {"gpu": 1}}, "resources.student: no node has 1 CPU and 1 GPU"),
        ({"teacher": {"cpu": 3}}, "resources.teacher: no node has 3 CPU and 0 GPU"),
    ],
)
def test_a_request_that_no_node_can_meet_starts_nothing(
    resources: dict[str, Any], expected: str, home: Path, tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path, resources=resources)
    code, output = run(home, "run", sweep, "--store", tmp_path / "s", "--cpus", 2, "--gpus", 0)
    assert code == 2
    assert expected in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "s").exists()
