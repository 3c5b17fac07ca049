"""Architectures of one's own in a sweep: what it accepts, what its mistakes are, and what its trials cost."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.packing import write_packed
from orchestrator.language.sweep import load_sweep
from orchestrator.planning import guests
from orchestrator.planning.costs import group_loads, solo_cost
from orchestrator.planning.kept_sweeps import kept_plans
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.orchestrator.language.test_sweep import problems
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.guest_models import DROPS
from trainer.descriptions import Wanted
from trainer.problems import PlacedError, UserError
from trainer.trial import Description, GuestModel, PassSize, StudentTrial, Trial

DESCRIPTION = Description(
    parameters=100,
    tensors=4,
    multiply_adds=1_000,
    look=PassSize(launches=5, floats=50),
    training=PassSize(launches=15, floats=150),
    shapes="0" * 64,
    needs_two_images=True,
)


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    (tmp_path / "mine.py").write_text(DROPS)
    return [str(tmp_path / "mine.py")]


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """Every model is described alike, without another process; the list is what was asked for."""
    asked: list[Wanted] = []

    def described(wanted: list[Wanted]) -> list[GuestModel]:
        asked.extend(wanted)
        return [GuestModel(file=one.file, description=DESCRIPTION) for one in wanted]

    monkeypatch.setattr(guests, "described", described)
    return asked


def test_who_only_reads_runs_nothing_that_a_file_says(
    tmp_path: Path, models: list[str], pretended: list[Wanted]
) -> None:
    """A store may hold the sweeps of others; their trials are known by the same fingerprints."""
    sweep = load_sweep(write_sweep(tmp_path, models=models, pairs=["drops/drops"]))
    store = Store(tmp_path / "store")
    store.save_sweep(sweep.name, sweep.model_dump(mode="json"))
    ((_, plan),) = kept_plans(store)
    assert plan is not None
    assert not pretended
    fingerprints = [trial.fingerprint for trial in expand(sweep)]
    assert [trial.fingerprint for trial in plan.trials] == fingerprints


def students(trials: list[Trial]) -> list[StudentTrial]:
    return [trial for trial in trials if isinstance(trial, StudentTrial)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(:", "not a Python file"),
        ("x = 1", 'registers no model; expected @register("NAME")'),
        ('@register("vgg8")\ndef f(): ...', "'vgg8' is a name of kdsweep's own"),
        ('@register("timm:mine")\ndef f(): ...', "'timm:mine': expected letters"),
        ('@register("a/b")\ndef f(): ...', "'a/b': expected letters"),
    ],
)
def test_a_file_of_models_that_is_wrong_is_the_only_mistake(
    code: str, expected: str, tmp_path: Path
) -> None:
    """Not also each pair that names one of it."""
    path = tmp_path / "mine.py"
    path.write_text(code)
    (line,) = problems(write_sweep(tmp_path, models=[str(path)], pairs=["resnet8/mine"]))
    assert "models[0]" in line
    assert expected in line


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("resnet8/drop", "unknown model 'drop'; did you mean 'drops'?"),
        ("drops/resnt8", "unknown model 'resnt8'; did you mean 'resnet8'?"),
        ("timm:/drops", "unknown model 'timm:'"),
        ("timm:ResNet18/drops", "unknown model 'timm:ResNet18'"),
        ("tim:resnet18/drops", "unknown model 'tim:resnet18'"),
        ("torch:resnet18/drops", "unknown model 'torch:resnet18'"),
    ],
)
def test_a_pair_names_what_there_is(
    pair: str, expected: str, tmp_path: Path, models: list[str]
) -> None:
    path = write_sweep(tmp_path, models=models, pairs=["resnet8/resnet8", pair])
    (line,) = problems(path)
    number = 1 + path.read_text().splitlines().index(f"- {pair}")
    assert line.startswith(f"{path}:{number}:3: pairs[1]: ")
    assert expected in line


def test_a_file_is_read_but_not_run_and_goes_into_the_trials(
    tmp_path: Path, models: list[str], pretended: list[Wanted]
) -> None:
    Path(models[0]).write_text(f"{DROPS}\nraise SystemExit\n")
    sweep = load_sweep(write_sweep(tmp_path, models=models, pairs=["drops/drops", "resnet8/drops"]))
    trials = expand(sweep)
    (wanted,) = pretended
    assert (wanted.name, wanted.num_classes, wanted.image_size) == ("drops", 10, 16)
    for trial in trials:
        assert (trial.teacher_model is not None) == (trial.teacher == "drops")
    for student in students(trials):
        assert student.student_model is not None
        assert student.student_model.file == sweep.own_model("drops")
    assert sweep.own_model("resnet8") is None


def test_another_file_is_another_trial_and_nobody_else_s(tmp_path: Path, models: list[str]) -> None:
    def fingerprints(**changes: Any) -> dict[str, list[str]]:
        sweep = load_sweep(write_sweep(tmp_path, models=models, **changes))
        found: dict[str, list[str]] = {}
        for trial in expand(sweep):
            found.setdefault(str(trial.student or trial.teacher), []).append(trial.fingerprint)
        return found

    pairs = ["resnet8/drops", "resnet8/resnet14"]
    before = fingerprints(pairs=pairs)
    Path(models[0]).write_text(f"{DROPS}# changed\n")
    after = fingerprints(pairs=pairs)
    assert {name for name in before if before[name] == after[name]} == {"resnet8", "resnet14"}


def test_a_sweep_is_packed_with_its_models(tmp_path: Path, models: list[str]) -> None:
    sweep = load_sweep(write_sweep(tmp_path, models=models, pairs=["drops/drops"]))
    (tmp_path / "packed").mkdir()
    name = write_packed(sweep, tmp_path / "packed")
    Path(models[0]).unlink()
    again = load_sweep(tmp_path / "packed" / name)
    assert [t.fingerprint for t in expand(again)] == [t.fingerprint for t in expand(sweep)]


def test_names_of_libraries_need_no_file(tmp_path: Path, pretended: list[Wanted]) -> None:
    pairs = ["timm:resnet18.a1_in1k/torchvision:resnet18"]
    rule = {"where": {"student": "torchvision:resnet18"}, "set": {"student.learning_rate": 0.5}}
    trials = expand(load_sweep(write_sweep(tmp_path, pairs=pairs, overrides=[rule])))
    assert [(one.name, one.file) for one in pretended] == [
        ("timm:resnet18.a1_in1k", None),
        ("torchvision:resnet18", None),
    ]
    assert {trial.learning_rate for trial in students(trials)} == {0.5}
    assert {trial.identity["student_model"] for trial in students(trials)} == {"0" * 64}


def test_a_guest_is_priced_by_its_description(tmp_path: Path, models: list[str]) -> None:
    """Every image once to the teacher and twice to the student in training, in each epoch."""
    pairs = ["drops/drops"]
    sweep = load_sweep(
        write_sweep(tmp_path, models=models, pairs=pairs, augmentations=["identity"])
    )
    (student,) = students(expand(sweep))
    assert solo_cost(student) == 160 * (1_000 + 2 * 3 * 1_000)
    look, training, update = group_loads([student])
    assert (look.activations, look.weights, look.launches) == (160 * 50, 3 * 100, 3 * 5)
    assert (training.activations, training.launches) == (2 * 160 * 150, 2 * 3 * 15)
    assert update.weights == 3 * 14 * 100


def test_a_batch_of_one_image_is_told_before_the_run(tmp_path: Path, models: list[str]) -> None:
    pairs, dataset = ["resnet8/drops"], {"name": "fashion_mini", "train_images": 129}
    sweep = load_sweep(write_sweep(tmp_path, models=models, pairs=pairs, dataset=dataset))
    with pytest.raises(PlacedError, match="drops was tried and cannot be trained on one image"):
        expand(sweep)


def test_a_model_that_is_unfit_starts_nothing(
    tmp_path: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def described(wanted: list[Wanted]) -> list[GuestModel]:
        raise UserError(f"{wanted[0].where} answers with nothing")

    monkeypatch.setattr(guests, "described", described)
    sweep = load_sweep(write_sweep(tmp_path, models=models, pairs=["resnet8/drops"]))
    with pytest.raises(UserError, match=r"mine\.py: drops answers with nothing$"):
        expand(sweep)
