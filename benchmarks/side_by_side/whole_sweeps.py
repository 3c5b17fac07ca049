"""A sweep of the quickstart's kind from its first process to its last, by `kdsweep run` and by the plain loop.

The plain loop runs the sweep's own trials, one process each, two at a time on one thread; the teacher, for which
all others wait, has two threads, as in the sweep. kdsweep's time includes Ray. T. stddev is measured without a
student's idle passes. Both sides start from nothing and must have shown the same number of images at the end.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.side_by_side.cpu_watch import CpuWatch
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from trainer.trial import TRIAL, Trial

TOP = Path(__file__).resolve().parents[2]
QUICKSTART = TOP / "sweeps" / "quickstart.yaml"
CORES = 2
SWEEP_FILE = "sweep.yaml"

SweepSide = Literal["plain", "kdsweep"]
SweepSize = Literal["quickstart", "small", "tiny"]
CHANGES: Mapping[SweepSize, Mapping[str, Any]] = {
    "quickstart": {},
    "small": {
        "dataset": {"name": "fashion_mini", "train_images": 1000, "test_images": 300},
        "seeds": [0],
        "teachers": {"epochs": 2, "milestones": [1]},
        "student": {"epochs": 2, "milestones": [1]},
        "stddev": {"epochs": 2},
    },
    "tiny": {
        "dataset": {"name": "fashion_mini", "train_images": 64, "test_images": 20},
        "pairs": ["resnet8/resnet8"],
        "augmentations": ["identity", "cutmixpick_s"],
        "seeds": [0],
        "teachers": {"epochs": 1, "milestones": []},
        "student": {"epochs": 1, "milestones": []},
        "stddev": {"epochs": 2, "batches_per_window": 1},
    },
}
"""What a sweep says otherwise than the quickstart does."""


@dataclass(frozen=True)
class SweepCost:
    """Seconds from the command to its end; CPU seconds are those of all its processes, Ray's too."""

    wall_s: float
    cpu_s: float
    train_images: int
    test_images: int


class UnequalWorkError(Exception):
    """A side has not shown the images that the sweep's trials say."""


def measure_sweep(side: SweepSide, size: SweepSize) -> SweepCost:
    """Run a sweep by one side; to be called once in a fresh process, whose other children it would count.

    Raises:
        UnequalWorkError: it has not shown the images that its trials say.
        subprocess.CalledProcessError: a process failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sweep = {"extends": str(QUICKSTART), "name": size, **CHANGES[size]}
        (folder / SWEEP_FILE).write_text(yaml.safe_dump(sweep))
        trials = expand(load_sweep(folder / SWEEP_FILE))
        run = _run_plainly if side == "plain" else _run_kdsweep
        with CpuWatch() as watch:
            begun = time.perf_counter()
            shown = run(trials, folder)
            wall_s = time.perf_counter() - begun
    expected = _expected(trials)
    if shown != expected:
        raise UnequalWorkError(
            f"{side} showed {shown} images in training and tests, not {expected}"
        )
    return SweepCost(wall_s, watch.seconds, *shown)


def _expected(trials: Sequence[Trial]) -> tuple[int, int]:
    trained = sum(trial.epochs * trial.data.train_images for trial in trials)
    tested = sum(t.epochs * t.data.test_images for t in trials if t.kind != "stddev")
    return trained, tested


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(TOP)}


def _run_kdsweep(trials: Sequence[Trial], folder: Path) -> tuple[int, int]:
    store = folder / "store"
    command = [sys.executable, "-m", "orchestrator", "run", SWEEP_FILE, "--store", str(store)]
    command += ["--data", str(folder), "--cpus", str(CORES), "--gpus", "0", "--yes"]
    subprocess.run(command, check=True, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL)
    data = {trial.fingerprint: (trial.kind, trial.data) for trial in trials}
    epochs = [data[fp] for fp in Store(store).epochs().column("fingerprint").to_pylist()]
    trained = sum(data.train_images for _, data in epochs)
    return trained, sum(data.test_images for kind, data in epochs if kind != "stddev")


def _run_plainly(trials: Sequence[Trial], folder: Path) -> tuple[int, int]:
    """Teachers, then all others, two at a time; a trial waits for the student that it asks."""
    ended: dict[str, Future[tuple[int, int]]] = {}

    def run_one(trial: Trial) -> tuple[int, int]:
        for fingerprint in trial.depends_on:
            ended[fingerprint].result()
        return _run_plain_trial(trial, folder, CORES if trial.kind == "teacher" else 1)

    # What others wait for comes first, so that no process slot is held by one that waits.
    asked = {fingerprint for trial in trials for fingerprint in trial.depends_on}
    in_order = sorted(
        trials, key=lambda t: (t.kind != "teacher", t.fingerprint not in asked, t.kind == "stddev")
    )
    with ThreadPoolExecutor(CORES) as pool:
        for trial in in_order:
            ended[trial.fingerprint] = pool.submit(run_one, trial)
        shown = [future.result() for future in ended.values()]
    trained, tested = map(sum, zip(*shown, strict=True))
    return trained, tested


def _run_plain_trial(trial: Trial, folder: Path, threads: int) -> tuple[int, int]:
    path = folder / f"{trial.fingerprint}.json"
    path.write_bytes(TRIAL.dump_json(trial))
    command = [sys.executable, "-m", "benchmarks.side_by_side.plain_trial", str(path)]
    command += ["--weights", str(folder), "--data", str(folder), "--threads", str(threads)]
    # As under Ray, which sets it too: else numpy starts a thread per core.
    environment = _environment() | {"OMP_NUM_THREADS": str(threads)}
    answer = subprocess.run(
        command, check=True, cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True
    )
    result = json.loads(answer.stdout)
    return result["train_images"], result["test_images"]
