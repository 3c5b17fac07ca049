"""What differs between two trials, results or sweeps, and how the command `diff` tells it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.guests import UNKNOWN
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.upkeep.differences import compared, differences
from tests.analysis.stores import add
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from trainer.checkpoint import CheckpointFolder
from trainer.trial import Data, GuestModel, Trial

VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(MAPPINGS, MAPPINGS)
def test_they_are_those_of_the_other_way_round(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert differences(one, json.loads(json.dumps(one))) == []
    there, back = differences(one, other), differences(other, one)
    assert sorted(d.field for d in there) == sorted(d.field for d in back)


def test_one_changed_value_is_the_only_difference() -> None:
    one = {"a": {"b": [1, 2], "c": 3.0}, "d": [{"e": 1}, {"e": 2}]}
    (found,) = differences(one, one | {"d": [{"e": 1}, {"e": 5}]})
    assert (found.field, str(found)) == ("d[1].e", "d[1].e: 2 -> 5 (+3)")
    (found,) = differences(one, one | {"a": {"b": [2, 1], "c": 3.0}})
    assert str(found) == "a.b: [1, 2] -> [2, 1]"


def filled(store: Store, trials: list[Trial], **more: float) -> Store:
    for trial in trials:
        add(store, trial, test_loss=2.0, test_accuracy=0.5, **more)
        if trial.kind != "stddev":
            weights = {"a": torch.arange(3.0), "b": torch.ones(2)}
            folder = store.checkpoint_folder(trial.fingerprint)
            CheckpointFolder(folder, trial.fingerprint).keep(weights)
    return store


def test_results_are_compared_to_the_last_bit(tmp_path: Path) -> None:
    trials = expand(load_sweep(write_sweep(tmp_path)))
    one, other = (filled(Store(tmp_path / name), trials) for name in ("one", "other"))
    teacher, student = trials[0].fingerprint, trials[1].fingerprint
    same = compared(one, teacher, other, teacher)
    assert (same.has_equal_bits, same.are_weights_equal, same.greatest) == (True, True, None)
    assert compared(one, teacher, one, student).has_equal_bits

    changed = filled(Store(tmp_path / "changed"), trials[:1], train_loss=1 + 2**-52)
    found = compared(one, teacher, changed, teacher)
    assert [d.field for d in found.metrics] == ["train_loss"]
    assert not found.has_equal_bits

    folder = CheckpointFolder(other.checkpoint_folder(teacher), teacher)
    folder.keep({"a": torch.arange(3.0), "b": torch.ones(2).nextafter(torch.tensor(2.0))})
    found = compared(one, teacher, other, teacher)
    assert (found.metrics, found.are_weights_equal, found.has_equal_bits) == ((), False, False)
    other.checkpoint_folder(teacher).remove("final.safetensors")
    found = compared(one, teacher, other, teacher)
    assert (found.are_weights_equal, found.has_equal_bits) == (None, True)


def test_trials_are_told_apart_with_their_results(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    trials = expand(load_sweep(sweep))
    students = [t for t in trials if t.kind == "student"]
    store = filled(Store(tmp_path / "store"), trials[:1])
    add(store, students[0], test_loss=2.0)
    add(store, students[1], test_loss=1.5)
    store.save_sweep("tiny", load_sweep(sweep).model_dump(mode="json"))
    names = [t.fingerprint[:10] for t in students[:3]]
    at = ("--store", store.root)
    code, output = run(tmp_path, "diff", *names[:2], *at)
    assert code == 1
    assert output.splitlines()[0] == "augmentation: identity -> cutmix"
    assert "results: test_loss: 2.0 -> 1.5 (-0.5)" in output
    code, output = run(tmp_path, "diff", *names[:2], *at, "--json")
    found = json.loads(output)
    assert (code, found["has_equal_bits"], found["is_equal"]) == (1, False, False)
    assert {"field": "test_loss", "one": 2.0, "other": 1.5} in found["results"]
    code, output = run(tmp_path, "diff", names[0], names[0], *at)
    assert (code, output) == (
        0,
        "one trial: nothing of it differs\nresults: equal in every bit\n",
    )
    code, output = run(tmp_path, "diff", names[0], names[2], *at)
    assert code == 1
    assert f"results: {students[2].fingerprint[:12]} has none yet" in output


def test_sweeps_are_told_apart_with_their_trials(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("extends: sweep.yaml\nseeds: [0, 1]\nstudent: {temperature: 2}\n")
    code, output = run(tmp_path, "diff", sweep, other)
    assert code == 1
    assert output.splitlines() == [
        "seeds: [0] -> [0, 1]",
        "student.temperature: 4.0 -> 2.0 (-2)",
        "trials: 3 of both, 4 of A alone, 10 of B alone",
    ]
    code, output = run(tmp_path, "diff", "quickstart", "quickstart", "--json")
    assert (code, json.loads(output)["is_equal"]) == (0, True)


MODELS = """
from trainer.models.own import register

@register("net")
def net(num_classes, image_size):
    raise RuntimeError("it was built")
"""


def test_no_model_is_built_only_to_compare(tmp_path: Path) -> None:
    """Nor does it count where it was: of one trial it is known what the model consists of, of the other not."""
    (tmp_path / "my.py").write_text(MODELS)
    sweep = write_sweep(
        tmp_path, models=[str(tmp_path / "my.py")], pairs=["resnet8/net"], augmentations=["cutmix"]
    )
    other = tmp_path / "other.yaml"
    other.write_text("extends: sweep.yaml\nseeds: [1]\n")

    def known(sweep: Sweep, _data: Data) -> dict[str, GuestModel]:
        description = UNKNOWN.model_copy(update={"parameters": 7})
        return {"net": GuestModel(file=sweep.own_model("net"), description=description)}

    (planned,), (done,) = (
        [t for t in expand(load_sweep(path), guests=known) if t.kind == "student"]
        for path in (sweep, other)
    )
    store = Store(tmp_path / "store")
    add(store, done, test_loss=2.0)
    store.save_sweep("tiny", load_sweep(sweep).model_dump(mode="json"))
    names = [trial.fingerprint[:10] for trial in (planned, done)]
    code, output = run(tmp_path, "diff", *names, "--store", store.root)
    assert (code, output.splitlines()[:-1]) == (1, ["seed: 0 -> 1 (+1)"])
    code, output = run(tmp_path, "diff", sweep, other)
    assert (code, output.splitlines()[-1]) == (1, "trials: 1 of both, 2 of A alone, 2 of B alone")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("quickstart", "abcdef"), "quickstart and abcdef: a sweep and none; expected two sweeps"),
        (("xyz", "abcdef"), "xyz: neither a sweep nor a trial; expected a sweep file, or"),
        (("abcdef", "abcdef"), "abcdef: no trial of"),
        (
            ("quickstart", "smoke"),
            "--store store: goes with trials; quickstart and smoke are sweeps",
        ),
    ],
)
def test_mistakes_end_with_exit_code_2(
    words: tuple[str, str], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "store" / "results").mkdir(parents=True)
    code, output = run(tmp_path, "diff", *words, "--store", "store")
    assert code == 2
    assert output.startswith(expected)
    assert output.count("\n") == 1
