"""Sweeps with predictors of one's own: which trials they make, and with whom those run."""

import json
from pathlib import Path

import pytest

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.planning.scheduling import Capacity, Scheduler
from orchestrator.planning.selection import without_students
from orchestrator.planning.states import counts_by_kind
from orchestrator.planning.words import describe
from orchestrator.store.store import Store
from orchestrator.worker.preparation import prepare, samples
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import FileError, UserError

TWO = """
from trainer.predictors.own import register

class Constant:
    def update(self, original, mixed, labels): pass
    def value(self): return 1.0
    def standard_error(self): return 0.0
    def state(self): return {}
    def restore(self, state): pass

@register("one")
class One(Constant): pass

@register("other")
class Other(Constant): pass
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(TWO)
    return str(tmp_path / "mine.py")


def test_each_is_measured_where_t_stddev_is_and_moves_nothing_else(
    tmp_path: Path, mine: str
) -> None:
    plain = expand(load_sweep(write_sweep(tmp_path)))
    trials = expand(load_sweep(write_sweep(tmp_path, predictors=mine)))
    own = [trial for trial in trials if trial.kind == "predictor"]
    assert [t for t in trials if t.kind != "predictor"] == plain
    names = {(t.predictor, t.augmentation) for t in own}
    assert names == {
        (p, a) for p in ("one", "other") for a in ("identity", "cutmix", "cutmixpick_s")
    }
    stddevs = {t.augmentation: t for t in plain if t.kind == "stddev"}
    for trial in own:
        beside = stddevs[trial.augmentation]
        assert trial.depends_on == beside.depends_on
        assert (trial.epochs, trial.batch_size) == (beside.epochs, beside.batch_size)
    alone = expand(load_sweep(write_sweep(tmp_path, predictors=mine, measure=["s_test_loss"])))
    assert {t.fingerprint for t in own} <= {t.fingerprint for t in alone}
    assert "stddev" not in {t.kind for t in alone}


def test_they_run_in_one_job_with_t_stddev(tmp_path: Path, mine: str) -> None:
    sweep = load_sweep(write_sweep(tmp_path, predictors=mine, augmentations=["identity", "cutmix"]))
    trials = expand(sweep)
    done = {t.fingerprint for t in trials if t.kind in ("teacher", "student")}
    left = [t for t in trials if t.fingerprint not in done]
    resources = sweep.resources.model_copy(
        update={"stddev": sweep.resources.stddev.model_copy(update={"cpu": 2, "gpu": 0.0})}
    )
    scheduler = Scheduler(left, done, Capacity(2, 0), resources, lambda _: 0)
    job = scheduler.next_job()
    assert job is not None
    assert sorted(t.kind for t in job.trials) == ["predictor"] * 4 + ["stddev"] * 2
    assert job.resources.cpu == 2
    told = describe(job.trials)
    assert {"2 T. stddev", "4 predictors"} <= set(told.split(" resnet8 ")[0].split(" and "))
    one = next(t for t in job.trials if t.kind == "predictor")
    assert describe([one]).startswith(f"{one.predictor} {one.augmentation} resnet8")


def test_plans_count_them_and_rankings_measure_them(tmp_path: Path, mine: str) -> None:
    store = Store(tmp_path / "store")
    plan = make_plan(load_sweep(write_sweep(tmp_path, predictors=mine)), store, retry_failed=False)
    assert counts_by_kind(plan, {})["predictor"]["missing"] == 6
    measured = without_students(plan).trials
    assert sorted(t.kind for t in measured) == ["predictor"] * 4 + ["stddev"] * 2 + ["teacher"]
    plain = make_plan(load_sweep(write_sweep(tmp_path)), store, retry_failed=False)
    assert "predictor" not in counts_by_kind(plain, {})


def test_a_name_of_kdsweep_s_own_and_one_registered_twice_are_refused(tmp_path: Path) -> None:
    path, copy = tmp_path / "mine.py", tmp_path / "copy.py"
    path.write_text(TWO.replace('"one"', '"entropy"'))
    with pytest.raises(FileError, match="'entropy' is a name of kdsweep's own"):
        load_sweep(write_sweep(tmp_path, predictors=[str(path)]))
    for file in (path, copy):
        file.write_text(TWO)
    with pytest.raises(FileError, match="one stands here twice"):
        load_sweep(write_sweep(tmp_path, predictors=[str(path), str(copy)]))
    path.write_text("x = 1")
    with pytest.raises(FileError, match=r"registers no predictor; expected @register"):
        load_sweep(write_sweep(tmp_path, predictors=str(path)))


def test_what_is_no_predictor_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TWO.replace("def value", "def worth"))
    trials = expand(load_sweep(write_sweep(tmp_path, predictors=str(path))))
    assert {t.predictor for t in samples(trials) if t.kind == "predictor"} == {"one", "other"}
    with pytest.raises(UserError, match=r"^[^:]*mine\.py: one has no value$"):
        prepare([t for t in trials if t.kind == "predictor"], str(tmp_path))


def test_a_resolved_sweep_holds_the_file(tmp_path: Path, mine: str) -> None:
    from orchestrator.language.sweep import Sweep

    sweep = load_sweep(write_sweep(tmp_path, predictors=mine))
    kept = json.loads(sweep.model_dump_json())
    Path(mine).unlink()
    again = Sweep.model_validate(kept)
    assert [t.fingerprint for t in expand(again)] == [t.fingerprint for t in expand(sweep)]
