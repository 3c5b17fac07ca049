"""`kdsweep track`: finished trials as runs of TensorBoard and Weights & Biases, each once, from the store alone."""

import importlib.util
import json
import signal
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.reports.tracking.runs import tracked_runs
from orchestrator.store.store import Store
from tests.analysis.stores import add, fill, paper_trials
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.sweeps import write_sweep
from trainer.trial import Trial

TRIALS = paper_trials(pairs=["vgg13/vgg8"], datasets=["cifar100"], seeds=[0])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return fill(Store(tmp_path / "store"), TRIALS)


def student() -> Trial:
    return next(trial for trial in TRIALS if trial.kind == "student")


def events(file: Path) -> Iterator[Event]:
    """The events of a file, by TensorFlow's own framing: a length, its checksum, the event, its checksum."""
    content = file.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[12 + length + 4 :]


def scalars(file: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for event in events(file):
        for value in event.summary.value:
            if not value.HasField("metadata"):
                found[value.tag].append((event.step, value.simple_value))
    return found


def hparams(file: Path) -> dict[str, Any]:
    for event in events(file):
        for value in event.summary.value:
            if value.tag == "_hparams_/session_start_info":
                content = value.metadata.plugin_data.content
                return dict(HParamsPluginData.FromString(content).session_start_info.hparams)
    raise AssertionError(file)


def test_a_board_has_each_finished_trial_with_its_curve_and_its_outcome(
    store: Store, tmp_path: Path
) -> None:
    code, output = run(tmp_path, "track", store.root, "--to", "tensorboard:board")
    assert code == 0, output
    assert output == "tensorboard:board: 19 runs, 19 of them new; tensorboard --logdir board\n"
    trial = student()
    folder = f"student-{trial.augmentation}-seed0-{trial.fingerprint[:8]}"
    (file,) = (tmp_path / "board" / "cifar100" / "vgg13_vgg8" / folder).iterdir()
    assert file.name.startswith("events.out.tfevents.")
    found = scalars(file)
    rows = {row["fingerprint"]: row for row in store.results().to_pylist()}
    curve = [e for e in store.epochs().to_pylist() if e["fingerprint"] == trial.fingerprint]
    assert [step for step, _ in found["test_loss"]] == [epoch["epoch"] for epoch in curve]
    assert found["final/s_test_loss"] == [
        (24, pytest.approx(rows[trial.fingerprint]["test_loss"], rel=1e-6))
    ]
    settings = hparams(file)
    assert settings["augmentation"].string_value == trial.augmentation
    assert settings["learning_rate"].number_value == pytest.approx(0.05)
    assert settings["data.name"].string_value == "cifar100"
    assert "data.checksum" not in settings
    stddevs = list((tmp_path / "board").rglob("stddev-*/events*"))
    assert len(stddevs) == 9
    assert all("final/t_stddev" in scalars(file) for file in stddevs)


def test_again_nothing_is_written_and_what_is_new_is_added(store: Store, tmp_path: Path) -> None:
    to = ("track", store.root, "--to", "tensorboard:board", "--json")
    _, output = run(tmp_path, *to)
    assert json.loads(output) == [{"to": "tensorboard:board", "runs": 19, "new": 19}]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "board").rglob("events*")}
    more = paper_trials(pairs=["vgg13/vgg8"], datasets=["cifar100"], seeds=[1])
    fill(store, [trial for trial in more if trial.kind != "teacher"])
    _, output = run(tmp_path, *to)
    assert json.loads(output) == [{"to": "tensorboard:board", "runs": 37, "new": 18}]
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "board").rglob("events*")}
    assert before.items() <= after.items()
    assert not list((tmp_path / "board").rglob(".*")), "nothing half-written"


def test_a_trial_that_was_made_again_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    store, trial = Store(tmp_path / "store"), student()
    add(store, trial)
    run(tmp_path, "track", store.root, "--to", "tensorboard:board")
    strangers = next((tmp_path / "board").rglob("student-*")) / "notes.txt"
    strangers.write_text("mine")
    store.forget([trial.fingerprint])
    add(store, trial, test_loss=0.5, test_accuracy=0.9)
    _, output = run(tmp_path, "track", store.root, "--to", "tensorboard:board")
    assert "1 runs, 1 of them new" in output
    (file,) = (tmp_path / "board").rglob("events*")
    assert scalars(file)["final/s_test_loss"] == [(24, 0.5)]
    assert strangers.read_text() == "mine"


def test_a_name_that_leads_elsewhere_leads_nowhere(store: Store) -> None:
    (row, *_) = store.results().to_pylist()
    row |= {"dataset": "../../etc", "teacher": "/root", "student": "..", "augmentation": "a b\n"}
    (tracked,) = tracked_runs([row], [])
    assert ".." not in tracked.path.split("/")
    assert not tracked.path.startswith("/")
    assert tracked.path.isprintable()


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path)


def watching(tmp_path: Path, sweep: Path, store: Store) -> tuple[Any, Callable[[], int]]:
    """A command that watches, and the number of runs that it has written."""
    options = ("--store", store.root, "--to", "tensorboard:board", "--watch", "--every", 1)
    process = start(tmp_path, "track", sweep, *options)
    return process, lambda: len(list((tmp_path / "board").rglob("events*")))


def test_while_a_sweep_runs_what_finishes_is_added(tmp_path: Path, sweep: Path) -> None:
    store, trials = Store(tmp_path / "store"), expand(load_sweep(sweep))
    fill(store, trials[:2])
    process, written = watching(tmp_path, sweep, store)
    wait_until(lambda: written() == 2)
    fill(store, trials[2:])
    code, output = finish(process)
    assert code == 0, output
    assert f"{len(trials)} runs, {len(trials)} of them new" in output
    assert written() == len(trials)


def test_watching_ends_in_order_at_ctrl_c(tmp_path: Path, sweep: Path) -> None:
    store, trials = Store(tmp_path / "store"), expand(load_sweep(sweep))
    fill(store, trials[:2])
    process, written = watching(tmp_path, sweep, store)
    wait_until(lambda: written() == 2)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 0, output
    assert "2 runs, 2 of them new" in output


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_weights_and_biases_offline(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    picked = [student(), next(trial for trial in TRIALS if trial.kind == "stddev")]
    fill(store, picked)
    to = ("track", store.root, "--to", "wandb:distillation", "--json")
    offline = {"WANDB_MODE": "offline"}
    code, output = run(tmp_path, *to, environment=offline)
    assert code == 0, output
    assert json.loads(output) == [{"to": "wandb:distillation", "runs": 2, "new": 2}]
    folders = list((tmp_path / "wandb").glob("offline-run-*"))
    ids = {folder.name.rpartition("-run-")[2].partition("-")[2] for folder in folders}
    assert {run_id[:24] for run_id in ids} == {trial.fingerprint[:24] for trial in picked}
    curves = {}
    for folder in folders:
        records = handed_over(folder)
        (about,) = [record.run for record in records if record.HasField("run")]
        losses = [
            json.loads(item.value_json)
            for record in records
            for item in record.history.item
            if "test_loss" in (item.key, *item.nested_key)
        ]
        curves[about.display_name] = losses
        assert about.project == "distillation"
    name = f"student {picked[0].augmentation} vgg13/vgg8 on cifar100, seed 0"
    assert curves[name] == [
        epoch["test_loss"]
        for epoch in store.epochs().to_pylist()
        if epoch["fingerprint"] == picked[0].fingerprint
    ]
    assert len(curves) == 2
    code, output = run(tmp_path, *to, environment=offline)
    assert json.loads(output) == [{"to": "wandb:distillation", "runs": 2, "new": 0}]
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2


def handed_over(folder: Path) -> list[Any]:
    """The records that `wandb sync` sends: LevelDB's log, of blocks of 32 KiB, behind a header."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("*.wandb")
    content, at, records, begun = file.read_bytes(), 7, [], b""
    while at < len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        begun += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            records.append(Record.FromString(begun))
            begun = b""
    return records


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("tensorbord:x", "unknown tracker 'tensorbord'; did you mean 'tensorboard'?"),
        ("tensorboard", "'tensorboard': expected tensorboard:DIR"),
        ("tensorboard:store/results/../file", "is a file; expected a folder"),
        ("wandb:", "expected wandb:PROJECT"),
        ("wandb:a/b/c", "expected wandb:PROJECT or wandb:ENTITY/PROJECT"),
    ],
)
def test_a_place_that_is_none_is_told_before_anything_is_read(
    to: str, expected: str, store: Store, tmp_path: Path
) -> None:
    (store.root / "file").touch()
    code, output = run(tmp_path, "track", store.root, "--to", to)
    assert (code, output.count("\n")) == (2, 1), output
    assert expected in output


def test_without_wandb_it_is_told_how_to_get_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "wandb.py").write_text("raise ImportError")
    code, output = run(
        tmp_path,
        *("track", store.root, "--to", "wandb:x"),
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert (code, output) == (2, "--to wandb: wandb is not installed: pip install wandb\n")
