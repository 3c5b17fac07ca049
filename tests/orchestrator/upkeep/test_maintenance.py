"""verify, prune and export on a store that real trials made: what is broken is found, and mended."""

import hashlib
import io
import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.columns import SCHEMA_VERSION, VERSION_KEY
from orchestrator.store.store import Store
from orchestrator.upkeep.bundle import export
from orchestrator.upkeep.pruning import removals
from orchestrator.upkeep.verification import as_json, verify
from orchestrator.worker.keeper import Intervals, Place, StoreKeeper
from tests.orchestrator.parquet import file_of, put, put_bytes
from tests.orchestrator.sweeps import write_sweep
from trainer.datasets.dataset import load_dataset
from trainer.files import LocalFolder
from trainer.keeper import Command, Progress
from trainer.lockstep import run_group
from trainer.problems import UserError
from trainer.trial import Trial

CPU = torch.device("cpu")
DATA = Path("data")


class ImpatientKeeper(StoreKeeper):
    """Stops after a few steps, as SIGTERM would."""

    def after_step(self, progress: Progress) -> Command:
        super().after_step(progress)
        return Command.STOP


def keeper(store: Store, kind: type[StoreKeeper] = StoreKeeper) -> StoreKeeper:
    return kind(
        store,
        "run",
        "job",
        command="kdsweep run",
        place=Place("cpu", num_threads=1, share=1.0, node="", execution="eager"),
        checkpoints=Intervals(seconds=60, epochs=None),
        must_leave=lambda: False,
    )


def work(store: Store, trials: list[Trial], kind: type[StoreKeeper] = StoreKeeper) -> None:
    """What a worker does, without Ray."""
    for trial in trials:
        one = keeper(store, kind)
        one.begin({trial.model_dump_json(): trial}, DATA)
        run_group([trial], one, load_dataset(trial.data, DATA), CPU)
        one.leave([trial])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return load_sweep(write_sweep(tmp_path_factory.mktemp("sweep")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sweep: Sweep) -> Store:
    """A store with all trials of a sweep but one, which was cut off."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("made"))
    *finished, last = expand(sweep)
    work(store, finished)
    work(store, [last], ImpatientKeeper)
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    store.add_failure({"fingerprint": finished[1].fingerprint, "error": "e"})
    return store


@pytest.fixture(scope="module")
def complete(made: Store, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same, and the last trial went on to its end."""
    folder = tmp_path_factory.mktemp("complete") / "store"
    shutil.copytree(made.root, folder)
    work(Store(folder), [expand(sweep)[-1]])
    return Store(folder)


@pytest.fixture
def store(made: Store, tmp_path: Path) -> Store:
    """A copy to break."""
    shutil.copytree(made.root, tmp_path / "store")
    return Store(tmp_path / "store")


def of_kind(store: Store, kind: str, **columns: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = store.results().to_pylist()
    return next(r for r in rows if r["kind"] == kind and columns.items() <= r.items())


def results_file(store: Store, row: dict[str, Any]) -> Path:
    return file_of(store.root / "results", row["fingerprint"])


def weights_file(store: Store, row: dict[str, Any]) -> Path:
    return store.root / "checkpoints" / row["fingerprint"] / "final.safetensors"


def tamper(store: Store, row: dict[str, Any], **changes: Any) -> None:
    path = results_file(store, row)
    schema = pq.read_schema(path)
    put(path, pa.Table.from_pylist([{**row, **changes}], schema=schema))


def test_rows_say_where_they_come_from(made: Store) -> None:
    for row in made.results().to_pylist():
        assert row["command"] == "kdsweep run"
        assert row["num_attempts"] == 1
        assert row["device"] == "cpu"
        assert 0 < row["device_seconds"] <= row["wall_seconds"]
        assert row["started_at"] < row["finished_at"]
        assert isinstance(row["git_dirty"], bool)
        assert len(row["git_commit"]) == 40
        assert set(json.loads(row["environment"])) <= {
            *("CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS"),
            *("NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "SLURM_JOB_ID"),
        }


def test_attempts_are_counted_over_interruptions(store: Store, sweep: Sweep) -> None:
    last = expand(sweep)[-1]
    work(store, [last])
    (row,) = store.results([last.fingerprint]).to_pylist()
    assert row["num_attempts"] == 2


# verify


def test_a_sound_store_has_no_findings(store: Store) -> None:
    assert verify(store) == []
    store.compact()
    assert verify(store) == []


def newer(store: Store, row: dict[str, Any]) -> None:
    table = pq.read_table(results_file(store, row))
    metadata = {VERSION_KEY: str(SCHEMA_VERSION + 1).encode()}
    put(results_file(store, row), table.replace_schema_metadata(metadata))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


BREAKAGES: list[tuple[str, str, Callable[[Store, dict[str, Any]], object]]] = [
    ("student", "not a readable Parquet file", lambda s, r: put_bytes(results_file(s, r), b"x")),
    ("student", "do not match the digest in its name", lambda s, r: flip(results_file(s, r))),
    ("student", "its learning curve says", lambda s, r: tamper(s, r, test_loss=0.123)),
    ("stddev", "its learning curve says", lambda s, r: tamper(s, r, t_stddev=0.123)),
    ("student", "newer than", newer),
    ("student", "row or trial was changed", lambda s, r: tamper(s, r, trial=r["trial"].replace('"seed":0', '"seed":7'))),
    ("student", "its trial is not one", lambda s, r: tamper(s, r, trial="{}")),
    ("student", "augmentation is 'mixup'", lambda s, r: tamper(s, r, augmentation="mixup")),
    ("student", "test_loss is None", lambda s, r: tamper(s, r, test_loss=None)),
    ("stddev", "t_stddev is inf", lambda s, r: tamper(s, r, t_stddev=float("inf"))),
    ("student", "holds a row of another fingerprint", lambda s, r: tamper(s, r, fingerprint="0" * 64)),
    ("student", "0 epochs of 1", lambda s, r: s.tables["epochs"].drop([r["fingerprint"]])),
    ("teacher", "which has no row", lambda s, r: results_file(s, r).unlink()),
    ("teacher", "damaged: its content does not match", lambda s, r: flip(weights_file(s, r))),
    ("student", "not a safetensors file", lambda s, r: weights_file(s, r).write_bytes(pickle.dumps(print))),
    ("student", "its final weights are missing", lambda s, r: weights_file(s, r).unlink()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected", "damage"), BREAKAGES, ids=[f"{b[0]}: {b[1]}" for b in BREAKAGES]
)
def test_what_is_broken_is_found_and_mended(
    kind: str,
    expected: str,
    damage: Callable[[Store, dict[str, Any]], object],
    store: Store,
    sweep: Sweep,
    complete: Store,
) -> None:
    row = of_kind(store, kind)
    had = store.finished()
    damage(store, row)
    findings = verify(store)
    assert any(expected in finding.problem for finding in findings)
    assert json.loads(json.dumps(as_json(findings)))[0].keys() == (
        {"where", "problem", "mend", "fingerprint", "is_note"}
    )
    if expected == "newer than":
        assert "update kdsweep" in findings[0].mend
        assert removals(store, ["damaged"]) == []
        return
    while found := removals(store, ["damaged"]):
        for removal in found:
            removal.carry_out()
    for finding in verify(store):
        assert finding.fingerprint is None
        if named := re.search(r"kdsweep prune STORE ([0-9a-f]{64})", finding.mend):
            prune(store, named[1])
    missing = [t for t in expand(sweep) if t.fingerprint not in store.finished()]
    assert len(had - store.finished()) == 1, "what is right stays, whatever is lost around it"
    work(store, missing)
    assert verify(store) == []
    metrics = ["fingerprint", "trial", "test_loss", "train_loss", "t_stddev"]
    assert store.results().select(metrics) == complete.results().select(metrics)


def test_a_damaged_trial_file_and_resolved_sweep_are_found_and_removed(store: Store) -> None:
    """What they say is in the row as well, and the next run of the sweep writes it again."""
    had = store.finished()
    trial_file = store.trial_folder(of_kind(store, "student")["fingerprint"]) / "trial.yaml"
    (resolved,) = (store.root / "sweeps").glob("*.json")
    for path in (trial_file, resolved):
        flip(path)
    assert {f.where for f in verify(store)} == {str(trial_file), str(resolved)}
    assert len(prune(store, "damaged")) == 2
    assert verify(store) == []
    assert store.finished() == had


def test_each_version_of_a_sweep_is_kept_and_what_none_names_can_go(
    store: Store, sweep: Sweep
) -> None:
    assert prune(store, "unnamed") == []
    changed = sweep.model_copy(update={"augmentations": ("identity", "flip")})
    work(store, [t for t in expand(changed) if t.fingerprint not in store.finished()])
    others = {t.fingerprint for t in expand(changed)} - {t.fingerprint for t in expand(sweep)}
    told = [removal.what for removal in removals(store, ["unnamed"])]
    assert {what.split()[1].rstrip(":") for what in told} == others
    assert others < store.finished(), "only told"
    store.save_sweep(changed.name, changed.model_dump(mode="json"))
    assert len(store.sweeps()) == 2
    assert removals(store, ["unnamed"]) == []
    shutil.rmtree(store.root / "sweeps")
    with pytest.raises(UserError, match="no sweep is kept here"):
        removals(store, ["unnamed"])


def test_one_bad_answer_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an object store behind a broken proxy: the second look finds the file whole."""
    path, had = results_file(store, of_kind(store, "student")), store.finished()
    content = path.read_bytes()
    flip(path)
    found = removals(store, ["damaged"])
    path.write_bytes(content)
    for removal in found:
        removal.carry_out()
    assert len(found) == 1
    assert store.finished() == had


def test_a_cell_of_two_trainers_is_noted_and_not_broken(store: Store) -> None:
    row = of_kind(store, "student")
    other = {**row, "fingerprint": "a" * 64, "trainer_sha256": "b" * 64}
    store.add_result({**other, "trial": "{}"}, [])
    notes = [finding for finding in verify(store) if finding.is_note]
    assert [note.where for note in notes] == [f"cell {row['cell']} of student trials"]
    assert "2 versions of the trainer" in notes[0].problem
    assert row["trainer_sha256"][:12] in notes[0].problem


def test_a_pickle_in_place_of_a_checkpoint_is_never_run(store: Store, sweep: Sweep) -> None:
    trap = store.root / "trap"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trap,))

    (folder,) = [p.parent for p in store.root.glob("checkpoints/*/step-*")]
    for path in folder.glob("step-*"):
        path.write_bytes(pickle.dumps(Trap()))
    buffer = io.BytesIO()
    torch.save(Trap(), buffer)
    (folder / "step-000001-00000009.safetensors").write_bytes(buffer.getvalue())
    assert len(verify(store)) == 2
    work(store, [expand(sweep)[-1]])
    assert not trap.exists()
    assert verify(store) == []


def test_one_bad_answer_is_no_damage(
    complete: Store, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short, empty, or a listing that lacks a file: each file answers so once, as a bad line to a store may."""
    read, names = LocalFolder.read, LocalFolder.names
    answered: set[Path] = set()

    def bad_at_first(folder: LocalFolder, name: str) -> bytes:
        path, content = folder.path / name, read(folder, name)
        is_first = path not in answered and path.suffix in (".parquet", ".safetensors")
        answered.add(path)
        return content[: len(content) // 2 * (len(answered) % 2)] if is_first else content

    def lacking_at_first(folder: LocalFolder) -> list[str]:
        is_first = folder.path not in answered and folder.path.parent.name == "checkpoints"
        answered.add(folder.path)
        return [] if is_first else names(folder)

    monkeypatch.setattr(LocalFolder, "read", bad_at_first)
    assert verify(complete) == []
    answered.clear()
    assert removals(complete, ["damaged"]) == []
    monkeypatch.setattr(LocalFolder, "names", lacking_at_first)
    answered.clear()
    assert verify(complete) == []


# prune


def prune(store: Store, *words: str) -> list[str]:
    found = removals(store, words)
    for removal in found:
        removal.carry_out()
    return [removal.what for removal in found]


def test_nothing_is_removed_before_it_is_carried_out(store: Store) -> None:
    before = sorted(store.root.rglob("*"))
    words = ("checkpoints", "student-weights", "teacher-weights", "failures", "damaged")
    assert len(removals(store, words)) == 1 + 3 + 1 + 1
    assert sorted(store.root.rglob("*")) == before


def test_each_word_removes_what_it_says(store: Store, sweep: Sweep) -> None:
    assert prune(store, "checkpoints") == [f"checkpoints of {expand(sweep)[-1].fingerprint}"]
    assert not list(store.root.glob("checkpoints/*/step-*"))
    assert len(prune(store, "failures")) == 1
    assert store.failures().num_rows == 0
    assert len(prune(store, "student-weights")) == 3
    assert len(list(store.root.glob("checkpoints/*/final.safetensors"))) == 1
    assert verify(store) == []
    assert prune(store, "student-weights") == []
    fingerprint = of_kind(store, "stddev")["fingerprint"]
    assert prune(store, fingerprint[:8]) == [f"everything of {fingerprint}"]
    assert fingerprint not in store.finished()
    assert fingerprint not in store.epochs()["fingerprint"].to_pylist()


@pytest.mark.parametrize("word", ["weights", "../results", "*", "0" * 64])
def test_unknown_words_are_refused(word: str, store: Store) -> None:
    with pytest.raises(UserError):
        removals(store, [word])


# export


def test_the_bundle_holds_all_that_a_claim_rests_on(store: Store, tmp_path: Path) -> None:
    (store.root / "sweeps" / "..evil.json").write_text("{}")
    (resolved,) = store.sweeps()
    names = export(store, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert bundle.testzip() is None
        assert bundle.namelist() == names
        assert set(names) == {
            *("results.parquet", "epochs.parquet", "failures.parquet", f"sweeps/{resolved}.json"),
            *("imported.parquet", "imported_epochs.parquet", "predictors.parquet"),
            *("tables.txt", "tables.json", "plots/scatter.png", "plots/scatter.svg"),
            *("environment.json", "MANIFEST.json"),
        }
        sums = json.loads(bundle.read("MANIFEST.json"))
        for name, expected in sums.items():
            assert hashlib.sha256(bundle.read(name)).hexdigest() == expected
        rows = pq.read_table(io.BytesIO(bundle.read("results.parquet")))
        assert repr(rows.to_pydict()) == repr(store.results().to_pydict())
        environment = json.loads(bundle.read("environment.json"))
        assert environment["of_the_rows"]["command"] == ["kdsweep run"]
        assert "torch" in environment["installed"]
        assert Sweep.model_validate_json(bundle.read(f"sweeps/{resolved}.json")).name == "tiny"


def test_an_empty_store_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to export"):
        export(Store(tmp_path), tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()
