"""What a machine says of models that are not kdsweep's before it gets a job."""

from pathlib import Path

import pytest

from orchestrator.store.store import Store
from orchestrator.worker.keeper import Intervals, Place, StoreKeeper
from orchestrator.worker.model_libraries import model_library_versions
from orchestrator.worker.preparation import prepare, samples
from orchestrator.worker.questions import software
from tests.trainer.guest_models import guest
from tests.trainer.test_guests import own_student, own_teacher
from tests.trainer.test_lockstep import student_trial, teacher_trial
from tests.trainer.test_methods import mine
from trainer.keeper import Result
from trainer.problems import UserError
from trainer.trial import Data, GuestModel


@pytest.fixture(scope="module")
def drops(tiny_data: Data) -> GuestModel:
    return guest(tiny_data)


def test_only_the_libraries_that_trials_need_are_compared(
    tiny_data: Data, drops: GuestModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GuestModel(description=drops.description)
    of_timm = own_teacher(tiny_data, model, teacher="timm:resnet18")
    versions = {"timm": "1.2.3"}
    monkeypatch.setattr("orchestrator.worker.model_libraries.version_of", versions.get)
    assert software([of_timm]) == software() | versions
    assert software([teacher_trial(tiny_data), own_teacher(tiny_data, drops)]) == software()
    versions.clear()
    assert model_library_versions([of_timm]) == {"timm": "not installed"}


def test_each_model_is_built_once_and_must_be_the_planned_one(
    tiny_data: Data, drops: GuestModel, tmp_path: Path
) -> None:
    trials = [own_student(tiny_data, drops, name) for name in ("flip", "mixup", "cutout")]
    prepare(trials, str(tmp_path))
    other = drops.model_copy(
        update={"description": drops.description.model_copy(update={"shapes": "0" * 64})}
    )
    planned = own_student(tiny_data, drops, "flip", student="falls", student_model=other)
    assert planned in samples([*trials, planned])
    with pytest.raises(UserError) as caught:
        prepare([*trials, planned], str(tmp_path))
    assert str(caught.value).startswith("mine.py: falls: ValueError: mine.py registers no model")
    planned = own_teacher(tiny_data, other)
    with pytest.raises(UserError, match="has other parameters than the one that was planned"):
        prepare([planned], str(tmp_path))


@pytest.mark.parametrize("of_own", ["method", "model", ""])
def test_rows_tell_whose_steps_are_not_replayed(
    of_own: str, tiny_data: Data, drops: GuestModel, tmp_path: Path
) -> None:
    trial = {
        "method": student_trial(
            tiny_data, "flip", method="mine", own_method=mine("return s.mean()")
        ),
        "model": own_student(tiny_data, drops, "flip"),
        "": student_trial(tiny_data, "flip"),
    }[of_own]
    store = Store(tmp_path / "store")
    keeper = StoreKeeper(
        store,
        "run",
        "job",
        command="kdsweep run",
        place=Place("cuda", num_threads=1, share=1.0, node="", execution="graph"),
        checkpoints=Intervals(seconds=60, epochs=None),
        must_leave=lambda: False,
    )
    keeper.begin({trial.model_dump_json(): trial}, tmp_path)
    curve = ({"epoch": 1, "seconds": 1.0, "group_size": 1},)
    keeper.finish(trial, Result({"test_loss": 1.0}, curve, {}, num_teacher_passes=1))
    (row,) = store.results().to_pylist()
    assert row["execution"] == ("eager" if of_own else "graph")
