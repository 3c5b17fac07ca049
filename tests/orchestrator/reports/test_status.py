"""The status of a sweep, read from the store alone."""

import json
from pathlib import Path

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.records import failure_row
from orchestrator.store.signs import Running
from orchestrator.store.store import Store
from tests.analysis.test_points import add
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from trainer.trial import Trial


def partly_done(folder: Path) -> tuple[Path, Store, list[Trial]]:
    """A sweep of two seeds: the teacher and seed 0 done; of seed 1 one fails and one runs."""
    sweep = write_sweep(
        folder, seeds=[0, 1], augmentations=["identity", "flip", "cutmix", "cutmixpick_s"]
    )
    store = Store(folder / "store")
    trials = expand(load_sweep(sweep))
    for trial in trials:
        if trial.kind == "teacher" or trial.seed == 0:
            add(store, trial)
    students = [t for t in trials if t.kind == "student" and t.seed == 1]
    picking = next(t for t in students if t.augmentation == "cutmixpick_s")
    store.add_failure(failure_row(picking, Failure(Cause.PROGRAM, "ValueError: no")))
    alive = next(t for t in students if t.augmentation == "flip")
    store.signs.set_running(
        Running(
            fingerprint=alive.fingerprint,
            owner="someone",
            host="elsewhere",
            device="cpu",
            epoch=1,
            epochs=2,
            step=3,
            steps_per_epoch=10,
            loss=None,
        )
    )
    return sweep, store, trials


def test_the_matrix_fits_80_columns_and_shows_every_state(tmp_path: Path) -> None:
    sweep, store, trials = partly_done(tmp_path)
    code, output = run(tmp_path, "status", sweep, "--store", store.root)
    assert code == 0, output
    lines = output.splitlines()
    row = next(line for line in lines if line.startswith("│resnet8/resnet8"))
    assert [cell.strip() for cell in row.split("│")[2:-1]] == ["●", "●·", "●◐", "●·", "●✗"]
    below = lines[lines.index(row) + 1]
    assert ", 4 of 4" in below
    assert below.startswith("│Pearson ")
    assert below.rstrip("│").endswith("●○    ")
    assert "● 9 done" in output
    assert "cutmixpick_s seed 1: ValueError: no" in output
    failed = next(t for t in trials if t.fingerprint in store.rows.last_failures())
    command = f"kdsweep logs --store {store.root} {failed.fingerprint[:12]}"
    table, _, silent = output.partition(
        "1 of those at work (elsewhere) gave no sign of life in 2 s"
    )
    assert command.split() == table.split()[-5:]
    assert "--watch" in silent


def test_what_failed_by_the_machine_is_missing_and_has_a_reason(tmp_path: Path) -> None:
    sweep, store, trials = partly_done(tmp_path)
    lost = next(t for t in trials if (t.kind, t.augmentation, t.seed) == ("student", "cutmix", 1))
    store.add_failure(failure_row(lost, Failure(Cause.NODE_DIED, "the worker's node died")))
    _, output = run(tmp_path, "status", sweep, "--store", store.root)
    assert "cutmix seed 1: the worker's node died (any run tries it again)" in output
    assert f"kdsweep logs --store {store.root} {lost.fingerprint[:12]}" in output
    assert "✗ 1 failed" in output
    _, output = run(tmp_path, "status", sweep, "--store", store.root, "--json")
    (entry,) = [t for t in json.loads(output)["trials"] if t["fingerprint"] == lost.fingerprint]
    assert (entry["state"], entry["error"]) == ("missing", "the worker's node died")


def test_the_paper_s_matrix_fits_80_columns(tmp_path: Path) -> None:
    sweep = Path(__file__).parents[3] / "sweeps" / "paper_cifar100.yaml"
    _, output = run(tmp_path, "status", sweep, "--store", tmp_path / "none")
    matrix = [line for line in output.splitlines() if line.startswith(("│", "┃"))]
    assert matrix
    assert max(map(len, matrix)) <= 80
    assert all("…" not in line for line in matrix)


def test_correlations_for_scripts(tmp_path: Path) -> None:
    sweep, store, _ = partly_done(tmp_path)
    _, output = run(tmp_path, "status", sweep, "--store", store.root, "--json")
    (found,) = json.loads(output)["correlations"]
    assert (found["pair"], found["complete"], found["planned"]) == ("resnet8/resnet8", 4, 4)
    assert found["pearson"] > 0.9


def test_a_value_per_panel_with_its_hyperparameters(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, seeds=[0], grid={"student.temperature": [2, 4]})
    store = Store(tmp_path / "store")
    for trial in expand(load_sweep(sweep)):
        add(store, trial)
    _, output = run(tmp_path, "status", sweep, "--store", store.root, "--json")
    found = json.loads(output)["correlations"]
    settings = ["student.temperature=2.0", "student.temperature=4.0"]
    assert [entry["setting"] for entry in found] == settings
    assert [e["hyperparameters"]["student.temperature"] for e in found] == ["2.0", "4.0"]
    _, output = run(tmp_path, "status", sweep, "--store", store.root)
    assert "2 settings" in output
    for entry in found:
        line = next(x for x in output.splitlines() if entry["setting"] in x)
        assert f"{entry['pearson']:.2f}" in line


def test_watching_ends_when_nothing_is_left(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    store = Store(tmp_path / "store")
    for trial in expand(load_sweep(sweep)):
        add(store, trial)
    code, output = run(tmp_path, "status", sweep, "--store", store.root, "--watch")
    assert code == 0
    assert "● 7 done" in output


def test_the_log_of_a_trial(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for fingerprint in ("ab" + "0" * 62, "ac" + "0" * 62):
        folder = store.trial_folder(fingerprint)
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(f"log of {fingerprint}\n")
    code, output = run(tmp_path, "logs", "ab", "--store", store.root)
    assert (code, output) == (0, f"log of ab{'0' * 62}\n")
    for wrong, message in (
        ("a", "several trials begin with 'a'"),
        ("b", "no trial begins with 'b'"),
    ):
        code, output = run(tmp_path, "logs", wrong, "--store", store.root)
        assert code == 2
        assert message in output
    code, output = run(tmp_path, "logs", "../ab", "--store", store.root)
    assert code == 2
