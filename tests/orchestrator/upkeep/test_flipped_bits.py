"""One flipped bit anywhere in what a store keeps is found, and read by nobody as another value.

`FLIPS_PER_KIND=50` flips as many bits of each kind of file under all commands; it takes a quarter of an hour.
"""

import os
import random
import shutil
import traceback
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from analysis.points import panels
from analysis.rows import read_rows
from orchestrator.cli.main import app
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.lost_weights import with_lost_weights
from orchestrator.planning.plan import expand, make_plan
from orchestrator.store.signs import Run, sign_of_life
from orchestrator.store.store import Store
from orchestrator.upkeep.pruning import carry_out, removals
from orchestrator.upkeep.verification import verify
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import ImpatientKeeper, work
from trainer.problems import UserError
from trainer.trial_file import read_trial

FLIPS_PER_FILE = 64
FLIPS_PER_KIND = int(os.environ.get("FLIPS_PER_KIND", "1"))
GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every kind of file: rows loose and merged, curves, failures, weights, checkpoints, trials, sweeps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("flips")
    sweep = load_sweep(write_sweep(folder, augmentations=["identity", "cutmix"]))
    store = Store(folder / "store")
    *finished, last = expand(sweep)
    work(store, finished[:3])
    store.compact()
    work(store, finished[3:])
    work(store, [last], ImpatientKeeper)
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    store.add_failure({"fingerprint": last.fingerprint, "error": "e"})
    store.add_failure({"fingerprint": finished[0].fingerprint, "error": "e"})
    store.tables["failures"].drop([finished[0].fingerprint])
    return store


def add_signs(store: Store) -> None:
    """Of a run that is at work on the last trial."""
    (last,) = [path.parent.name for path in store.root.glob("checkpoints/*/step-*")][:1]
    trial = read_trial(store.trial_folder(last) / "trial.yaml")
    store.signs.set_running(sign_of_life(trial, "run", step=0))
    store.signs.set_run(Run("run", "tiny", "elsewhere", "2026-01-01"))
    for marks in (store.stops, store.begun, store.probes):
        marks.set("run")


def kinds_of_files(root: Path) -> dict[object, list[Path]]:
    """All files, by the folder of the store and what tells their form."""
    kinds: dict[object, list[Path]] = defaultdict(list)
    for path in (p for p in sorted(root.rglob("*")) if p.is_file()):
        place = path.relative_to(root).parts
        in_table = path.parent.name if len(place) == 3 and path.suffix == ".json" else ""
        kinds[place[0], path.suffix, in_table == "_dropped"].append(path)
    return kinds


def kept_files(root: Path) -> list[Path]:
    """All but logs and signs of life."""
    patterns = (
        "*/*.parquet",
        "*/_dropped/*",
        "checkpoints/*/*.safetensors",
        "checkpoints/*/attempts.json",
        "trials/*/trial.yaml",
        "sweeps/*",
    )
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def test_no_flipped_bit_is_silent(made: Store, tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert verify(store) == []
    files = kept_files(store.root)
    assert len({path.parent.parts[-2:] for path in files}) > 8
    draw = random.Random(0)
    num_flips = 0
    for path in files:
        content = path.read_bytes()
        header = range(min(len(content), 2000))
        footer = range(max(0, len(content) - 500), len(content))
        spots = [
            *draw.choices(range(len(content)), k=FLIPS_PER_FILE),
            *draw.choices(header, k=FLIPS_PER_FILE // 2),
            *draw.choices(footer, k=FLIPS_PER_FILE // 2),
        ]
        for spot in spots:
            flipped = bytearray(content)
            flipped[spot] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
            findings = [f for f in verify(store) if not f.is_note]
            assert findings, f"{path}: bit {spot} was not found"
            num_flips += 1
        path.write_bytes(content)
    assert num_flips > 2000
    assert verify(store) == []


def test_no_reader_ends_in_a_traceback_or_with_another_value(made: Store, tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    right = repr(panels(read_rows(store)))
    draw = random.Random(1)
    for path in (p for p in kept_files(store.root) if p.parent.name in ("results", "epochs")):
        content = path.read_bytes()
        for _ in range(FLIPS_PER_FILE):
            flipped = bytearray(content)
            flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
            try:
                store.epochs()
                assert repr(panels(read_rows(store))) == right
            except UserError as error:
                assert str(path) in str(error)  # noqa: PT017
        path.write_bytes(content)


@pytest.mark.parametrize("name", ["made", "store_v1", "store_v2"])
def test_no_command_ends_in_a_traceback_and_prune_mends(
    name: str, made: Store, tmp_path: Path
) -> None:
    """Whatever kind of file it is: also signs of life, marks, logs, what was dropped, files of older names."""
    whole, root = tmp_path / "whole", tmp_path / "store"
    shutil.copytree(made.root if name == "made" else GOLDEN / name, whole)
    if name == "made":
        add_signs(Store(whole))
    sweep_file = write_sweep(tmp_path, augmentations=["identity", "cutmix"])
    sweep = load_sweep(sweep_file)
    of_sweep = (str(sweep_file), "--store", str(root))
    commands = [
        *(["status", *of_sweep], ["status", str(root)], ["plan", *of_sweep], ["table", str(root)]),
        *(["verify", str(root)], ["compact", str(root)]),
        ["export", str(root), "-o", str(tmp_path / "bundle.zip")],
        ["report", str(root), "-o", str(tmp_path / "report.html")],
    ]
    draw = random.Random(2)
    for kind, files in kinds_of_files(whole).items():
        for _ in range(FLIPS_PER_KIND):
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(whole, root)
            path = root / draw.choice(files).relative_to(whole)
            content = bytearray(path.read_bytes() or b" ")
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(content)
            for command in draw.sample(commands, k=2):
                ended = CliRunner().invoke(app, command)
                is_told = isinstance(ended.exception, UserError | OSError | SystemExit | None)
                trace = "".join(traceback.format_exception(ended.exception)) if not is_told else ""
                assert is_told, (kind, path, command, trace)
            store = Store(root)
            carry_out(removals(store, ["damaged"]))
            carry_out(removals(store, ["failures", "checkpoints"]))
            left = [finding for finding in verify(store) if finding.file or finding.fingerprint]
            assert left == [], (kind, path)
            with_lost_weights(make_plan(sweep, store, retry_failed=False), store)
