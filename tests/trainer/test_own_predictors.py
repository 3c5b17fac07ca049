"""Predictors of a researcher's own: their numbers, their identity, and that their errors are theirs alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import GOLDEN
from tests.trainer.keepers import LenientKeeper, StoppingKeeper
from tests.trainer.test_answers import KnownTeacher, stddev_trial
from trainer.datasets.dataset import Dataset
from trainer.keeper import FolderKeeper
from trainer.lockstep import run_group
from trainer.predictors.own import OwnPredictor
from trainer.problems import FileError
from trainer.trial import TRIAL, Data, OwnFile, PredictorTrial, StddevTrial, lockstep_key
from trainer.trial_file import read_trial

CPU = torch.device("cpu")
HEAD = "import torch\nfrom trainer.predictors.own import register\n"
EXAMPLE = OwnFile(
    path="own_predictors.py",
    source=(GOLDEN.parents[1] / "examples" / "own_predictors.py").read_text(),
)


def source(update: str = "pass", value: str = "1.0", state: str = "{}", more: str = "") -> OwnFile:
    """A file with the predictor `mine`."""
    text = f"""{HEAD}
@register("mine")
class Mine:
    {more or "pass"}
    def update(self, original, mixed, labels):
        {update}
    def value(self):
        return {value}
    def standard_error(self):
        return float("nan")
    def state(self):
        return {state}
    def restore(self, state):
        pass
"""
    return OwnFile(path="mine.py", source=text)


def trial(
    data: Data, file: OwnFile = EXAMPLE, name: str = "shift", **changes: Any
) -> PredictorTrial:
    given = stddev_trial(data).model_dump(exclude={"kind", "semantics", "batches_per_window"})
    return PredictorTrial(**(given | {"predictor": name, "own_predictor": file} | changes))


class LenientTeacher(LenientKeeper, KnownTeacher):
    pass


class StoppedTeacher(StoppingKeeper, KnownTeacher):
    pass


def test_the_identity_holds_the_file_and_what_acts(tiny_data: Data) -> None:
    mine = trial(tiny_data)
    assert mine.identity["own_predictor"] == EXAMPLE.sha256
    moved = EXAMPLE.model_copy(update={"path": "elsewhere.py"})
    edited = EXAMPLE.model_copy(update={"source": EXAMPLE.source + "\n"})
    assert trial(tiny_data, moved).fingerprint == mine.fingerprint
    others = [
        trial(tiny_data, edited),
        trial(tiny_data, name="margin"),
        trial(tiny_data, seed=2),
        trial(tiny_data, epochs=3),
        trial(tiny_data, batch_size=8),
        trial(tiny_data, augmentation="cutmix"),
        trial(tiny_data, pick_size=9),
        trial(tiny_data, teacher_fingerprint="1" * 64),
    ]
    assert len({t.fingerprint for t in (mine, *others)}) == 1 + len(others)
    plain = trial(tiny_data, augmentation="cutmix")
    assert trial(tiny_data, augmentation="cutmix", pick_size=9).fingerprint == plain.fingerprint
    assert "temperature" not in mine.identity
    assert TRIAL.validate_json(mine.model_dump_json()) == mine
    assert lockstep_key(mine) == lockstep_key(stddev_trial(tiny_data))


def test_it_sees_the_logits_and_labels_of_every_step(
    tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example's numbers, from what it was shown, by hand."""
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    update = OwnPredictor.update

    def recorded(self: OwnPredictor, original: Tensor, mixed: Tensor, labels: Tensor) -> None:
        seen.append((original.clone(), mixed.clone(), labels.clone()))
        update(self, original, mixed, labels)

    monkeypatch.setattr(OwnPredictor, "update", recorded)
    keeper, mine = KnownTeacher(tmp_path), trial(tiny_data)
    run_group([mine], keeper, tiny_dataset, CPU)
    assert len(seen) == 20
    assert {(o.shape[1], len(m), labels.dtype) for o, m, labels in seen} == {(10, 10, torch.int64)}
    per_step = torch.stack(
        [(o.softmax(1).mean(0) - m.softmax(1).mean(0)).abs().sum() / 2 for o, m, _ in seen]
    ).double()
    found = keeper.result(mine)["metrics"]
    assert found["predictor_value"] == pytest.approx(per_step.mean().item(), rel=1e-6)
    assert found["predictor_stderr"] == pytest.approx(per_step.std().item() / 20**0.5, rel=1e-4)
    assert found["predictor_lower_is_better"] is False


@pytest.mark.parametrize("stops", [(1,), (10,), (7, 4)])
def test_in_a_group_of_t_stddev_and_stopped_anywhere_the_bits_are_those_of_one_alone(
    stops: tuple[int, ...], tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    group = [stddev_trial(tiny_data), trial(tiny_data), trial(tiny_data, name="margin")]
    for one in group:
        run_group([one], KnownTeacher(tmp_path / "alone"), tiny_dataset, CPU)
    for steps in stops:
        run_group(group, StoppedTeacher(tmp_path / "together", steps), tiny_dataset, CPU)
    run_group(group, KnownTeacher(tmp_path / "together"), tiny_dataset, CPU)
    for one in group:
        first, second = (
            FolderKeeper(tmp_path / name).result(one)["metrics"] for name in ("alone", "together")
        )
        assert repr(first) == repr(second)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (source(update="1 / 0"), "division by zero"),
        (source(update="raise SystemExit"), r"mine\.py: mine would end the whole process"),
        (source(value="float('inf')"), r"mine\.py: mine\.value\(\) is inf: not finite"),
        (source(value="'many'"), r"mine\.value\(\) must return a number, not str"),
        (source(more="lower_is_better = 3"), r"mine\.lower_is_better must be true or false"),
        (
            OwnFile(path="mine.py", source=f"{HEAD}\n@register('mine')\nclass Mine: ..."),
            "mine has no update, value, standard_error, state, restore",
        ),
        (source(update="torch.empty(1 << 50)"), "can't allocate memory"),
        (
            source(update="original.zero_(); mixed.zero_(); labels.zero_(); 1 / 0"),
            "division by zero",
        ),
    ],
)
def test_one_that_raises_fails_alone(
    file: OwnFile, problem: str, tmp_path: Path, tiny_data: Data, tiny_dataset: Dataset
) -> None:
    bad, good = trial(tiny_data, file, "mine"), trial(tiny_data)
    keeper = LenientTeacher(tmp_path / "together")
    run_group([bad, stddev_trial(tiny_data), good], keeper, tiny_dataset, CPU)
    assert tuple(keeper.failures) == (bad.fingerprint,)
    error = keeper.failures[bad.fingerprint]
    with pytest.raises(type(error), match=problem):
        raise error
    for one in (stddev_trial(tiny_data), good):
        run_group([one], KnownTeacher(tmp_path / "alone"), tiny_dataset, CPU)
        assert_equal_metrics(tmp_path, one)


def assert_equal_metrics(folder: Path, one: StddevTrial | PredictorTrial) -> None:
    first, second = (FolderKeeper(folder / name).result(one) for name in ("alone", "together"))
    assert repr(first["metrics"]) == repr(second["metrics"])


def test_a_state_that_is_none_is_told_when_it_is_saved() -> None:
    predictor = OwnPredictor(source(state="{'count': 3}"), "mine")
    with pytest.raises(ValueError, match=r"mine\.py: mine\.state\(\) must return tensors by name"):
        predictor.state()
    with pytest.raises(ValueError, match=r"registers no predictor 'other', but \['mine'\]"):
        OwnPredictor(source(), "other")


def test_one_can_be_run_by_hand(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(EXAMPLE.source)
    file = tmp_path / "trial.yaml"
    file.write_text(
        f"""kind: predictor
dataset: fashion_mini
teacher: resnet8
teacher_fingerprint: {"0" * 64}
augmentation: cutmix
seed: 0
predictor: shift
predictor_file: {tmp_path / "mine.py"}
"""
    )
    read = read_trial(file)
    assert isinstance(read, PredictorTrial)
    assert (read.predictor, read.own_predictor.sha256) == ("shift", EXAMPLE.sha256)
    file.write_text(file.read_text().replace("mine.py", "none.py"))
    with pytest.raises(FileError, match=r"none\.py: cannot be read"):
        read_trial(file)
