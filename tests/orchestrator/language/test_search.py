"""Random and quasi-random search: points within bounds, the same ones again, and the same as a store has kept."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.language.search import MOST_SAMPLES, Distribution
from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.store.store import Store
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

SEARCH: dict[str, Any] = {
    "student.temperature": {"uniform": [1, 8]},
    "student.learning_rate": {"loguniform": [0.01, 0.2]},
    "samples": 5,
}
METHODS = st.sampled_from(["sobol", "halton", "lhs", "random"])


def sweep_of(search: dict[str, Any], **more: Any) -> Sweep:
    return Sweep.model_validate(
        {
            "name": "x",
            "dataset": "fashion_mini",
            "pairs": ["resnet8/resnet8"],
            "augmentations": ["identity", "cutmix"],
            "seeds": [0],
            "search": search,
            **more,
        }
    )


def points(search: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    made = sweep_of(search).search
    assert made is not None
    return made.points


@settings(max_examples=60, deadline=None)
@given(
    METHODS,
    st.integers(0, 2**63 - 1),
    st.integers(1, 40),
    st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=2, unique=True).map(sorted),
    st.lists(st.integers(1, 300), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_points_lie_within_bounds_and_are_drawn_again(
    method: str, seed: int, samples: int, bounds: list[float], epochs: list[int]
) -> None:
    search = {
        "student.temperature": {"uniform": bounds},
        "student.learning_rate": {"loguniform": bounds},
        "student.epochs": {"int": epochs},
        "student.precision": {"choice": ["fp32", "bf16"]},
        "samples": samples,
        "method": method,
        "seed": seed,
    }
    drawn = points(search)
    assert len(drawn) == samples
    for point in drawn:
        for key in ("student.temperature", "student.learning_rate"):
            value = point[key]
            assert bounds[0] <= value <= bounds[1]
            assert value in (*bounds, float(f"{value:.6g}"))
        assert epochs[0] <= point["student.epochs"] <= epochs[1]
        assert isinstance(point["student.epochs"], int)
        assert point["student.precision"] in ("fp32", "bf16")
    assert points(search) == drawn


@given(st.sampled_from(["uniform", "loguniform"]), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_is_no_smaller_value(kind: str, one: float, other: float) -> None:
    axis = Distribution.of("student.temperature", {kind: [0.5, 7]})
    assert (axis.at(one) <= axis.at(other)) or one > other
    assert (axis.at(0), axis.at(1)) == (0.5, 7)


@given(st.sampled_from(["sobol", "halton", "random"]), st.integers(1, 20), st.integers(1, 20))
def test_more_samples_of_a_sequence_begin_with_the_same(method: str, few: int, more: int) -> None:
    search = SEARCH | {"method": method}
    many = points(search | {"samples": few + more})
    assert points(search | {"samples": few}) == many[:few]


def test_a_latin_hypercube_has_one_value_in_each_layer() -> None:
    drawn = points({"student.temperature": {"uniform": [0.5, 8.5]}, "samples": 8, "method": "lhs"})
    assert sorted(int(p["student.temperature"] - 0.5) for p in drawn) == list(range(8))


def test_every_point_is_tried_with_every_value_of_the_grid() -> None:
    sweep = sweep_of(SEARCH, grid={"student.epochs": [2, 3]})
    students = [t for t in expand(sweep) if t.kind == "student"]
    found = {(t.learning_rate, t.temperature, t.epochs, t.augmentation) for t in students}
    assert sweep.search is not None
    wanted = {
        (p["student.learning_rate"], p["student.temperature"], epochs, augmentation)
        for p, epochs, augmentation in itertools.product(
            sweep.search.points, (2, 3), ("identity", "cutmix")
        )
    }
    assert found == wanted
    assert sweep.num_variations == 10
    assert set(sweep.varied) == {"student.epochs", "student.temperature", "student.learning_rate"}


def test_a_resolved_sweep_has_its_points() -> None:
    sweep = sweep_of(SEARCH | {"student.milestones": {"choice": [[1], [2, 3]]}})
    content = json.loads(sweep.model_dump_json())
    assert len(content["search"]["points"]) == 5
    assert Sweep.model_validate(content) == sweep
    content["search"]["points"][0]["student.temperature"] = 2.5
    assert Sweep.model_validate(content) != sweep


def test_a_store_keeps_to_the_points_of_a_search(tmp_path: Path) -> None:
    """As of another scipy: what is kept has other points than would be drawn now."""
    path, store = write_sweep(tmp_path, search=SEARCH), Store(tmp_path / "store")
    now = load_sweep(path)
    before = make_plan(now, store, retry_failed=False)
    assert before.sweep == now
    assert before.ignored == ()
    content = json.loads(now.model_dump_json())
    for index, point in enumerate(content["search"]["points"]):
        point["student.temperature"] = 1.5 + index
    kept = Sweep.model_validate(content)
    store.save_sweep(kept.name, content)
    store.save_sweep("damaged", {"search": {"samples": 5}})
    plan = make_plan(now, store, retry_failed=False)
    assert plan.sweep == kept
    assert plan.trials == tuple(expand(kept))
    assert plan.trials != before.trials
    assert plan.ignored == (
        "search: the points are those that the store has kept of it, not those that were drawn now",
    )
    assert make_plan(kept, store, retry_failed=False).ignored == ()
    content["search"]["points"][0] = {"student.temperature": 2.0}
    store.save_sweep("a", content)
    assert make_plan(kept.model_copy(update={"name": "a"}), store, retry_failed=False).ignored == ()
    other = load_sweep(path, ["search.seed=1"])
    assert make_plan(other, store, retry_failed=False).sweep == other


def test_points_that_were_kept_are_known_again_whatever_is_searched(tmp_path: Path) -> None:
    search = SEARCH | {"student.milestones": {"choice": [[1], [2, 3]]}}
    sweep, store = sweep_of(search), Store(tmp_path / "store")
    store.save_sweep(sweep.name, json.loads(sweep.model_dump_json()))
    assert make_plan(sweep, store, retry_failed=False).ignored == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("search.sample=3", "search.sample: unknown key; did you mean 'samples'?"),
        ("search.samples=0", "search.samples: expected greater than or equal to 1, not 0"),
        (f"search.samples={MOST_SAMPLES + 1}", "expected less than or equal to 4096"),
        ("search.samples=null", "search.samples: this key is missing"),
        ("search.method=sobl", "did you mean 'sobol'?"),
        ("search={samples: 3}", "search: expected a hyper-parameter, as in"),
        ("search=3", "search: expected hyper-parameters with distributions, and samples"),
        ("search.student.temp={uniform: [1, 8]}", "did you mean 'student.temperature'?"),
        ("search.student.lr={uniform: [1, 8]}", "did you mean 'student.learning_rate'?"),
        ("search.student.temperature=3", "expected one of uniform, loguniform, int, choice, as in"),
        ("search.student.temperature={unform: [1, 8]}", "distribution; did you mean 'uniform'?"),
        ("search.student.temperature={uniform: 3}", "uniform: expected a list, as in [1, 8]"),
        ("search.student.temperature={uniform: [1]}", "expected two numbers, the least and the"),
        ("search.student.temperature={uniform: [8, 1]}", "the smaller of two numbers first, not"),
        ("search.student.temperature={uniform: [-1, 1]}", "uniform[0]: expected greater than 0"),
        ("search.student.temperature={loguniform: [0, 1]}", "not 0: it has no logarithm"),
        ("search.student.epochs={int: [1, 2.5]}", "int: expected two whole numbers"),
        ("search.student.epochs={uniform: [1, 9]}", "search.student.epochs: expected a valid int"),
        ("search.student.precision={choice: [fp3]}", "choice[0]: expected 'fp32', 'tf32' or"),
        ("search.points=[{student.temperature: 2}]", "search.points: 1 points; samples is 5"),
        ("grid.student.temperature=[2]", "search.student.temperature: stands in grid already"),
        (
            "most_points=14",
            "search: 15 points (5 samples x 3 augmentations); most_points allows 14",
        ),
    ],
)
def test_each_mistake_is_named(change: str, expected: str, tmp_path: Path) -> None:
    path = write_sweep(tmp_path, search=SEARCH)
    with pytest.raises(UserError) as caught:
        load_sweep(path, [change])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: x\ndataset: fashion_mini\npairs: [resnet8/resnet8]\nseeds: [0]\nsearch:\n"
        "  samples: 4\n  student.temperature: {uniform: [8, 1]}\n"
    )
    with pytest.raises(UserError, match=r":7:25: search\.student\.temperature\.uniform: expected"):
        load_sweep(path)
