"""One flipped bit anywhere in what a store keeps is found, and read by nobody as another value."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from analysis.points import panels
from analysis.rows import read_rows
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.upkeep.verification import verify
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.test_maintenance import ImpatientKeeper, work
from trainer.problems import UserError

FLIPS_PER_FILE = 64


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
    store.rows.add_predictors(finished[0].fingerprint, [{"name": "entropy", "value": 1.0}])
    return store


def kept_files(root: Path) -> list[Path]:
    """All but logs and signs of life."""
    patterns = ("*/*.parquet", "checkpoints/*/*.safetensors", "trials/*/trial.yaml", "sweeps/*")
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
