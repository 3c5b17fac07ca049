"""Drivers beside each other on one store, and what starts over."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.driver.claims import Claims
from orchestrator.driver.run import start_over
from orchestrator.language.resources import Resources
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.scheduling import Job
from orchestrator.store.signs import sign_of_life
from orchestrator.store.store import Store
from tests.orchestrator.planning.test_scheduling import trials


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(store: Store) -> Plan:
    pairs = ["resnet20/resnet8", "vgg13/vgg8"]
    content = {"name": "x", "dataset": "fashion_mini", "pairs": pairs, "seeds": [0]}
    return make_plan(Sweep.model_validate(content), store, retry_failed=True)


def test_starting_over_forgets_what_is_missing_and_nobody_works_on(
    plan: Plan, store: Store
) -> None:
    finished, cut_off, at_work = plan.trials[:3]
    for trial in (finished, cut_off, at_work):
        store.checkpoint_folder(trial.fingerprint).write("step-000001-00000001.safetensors", b"x")
    store.add_result({"fingerprint": finished.fingerprint}, [])
    store.signs.set_running(sign_of_life(at_work, "another run"))
    fresh = make_plan(plan.sweep, store, retry_failed=True)
    assert start_over(fresh.missing, store) == 1
    assert not store.checkpoint_folder(cut_off.fingerprint).names()
    assert store.checkpoint_folder(at_work.fingerprint).names()
    assert store.checkpoint_folder(finished.fingerprint).names()


def test_what_another_run_claims_is_held_until_it_is_finished_or_let_go(store: Store) -> None:
    one, other = Claims(store, "sweep"), Claims(store, "sweep")
    first, second = trials()[:2]
    job = Job(0, (first, second), Resources())
    one.show()
    assert [run.run_id for run in other.other_runs()] == [one.run_id]
    assert one.other_runs() == []
    one.claim(job)
    assert other.others(store.signs.running()) == (
        frozenset({first.fingerprint, second.fingerprint}),
        frozenset(),
    )
    assert one.others(store.signs.running()) == (frozenset(), frozenset())
    assert set(one.own(store.signs.running())) == {first.fingerprint, second.fingerprint}
    store.add_result({"fingerprint": first.fingerprint}, [])
    other.release(job)
    assert len(store.signs.running()) == 2
    one.release(job)
    assert other.others(store.signs.running()) == (frozenset(), frozenset({first.fingerprint}))
    one.end()
    assert other.other_runs() == []


def test_what_was_finished_elsewhere_is_found_once_the_store_can_be_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Claims(store, "sweep"), Claims(store, "sweep")
    job = Job(0, trials()[:1], Resources())
    one.claim(job)
    other.others(store.signs.running())
    fingerprint = job.trials[0].fingerprint
    store.add_result({"fingerprint": fingerprint}, [])
    one.release(job)

    def refuse() -> frozenset[str]:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(store, "finished", refuse)
        with pytest.raises(OSError, match="Stale"):
            other.others(store.signs.running())
    assert other.others(store.signs.running()) == (frozenset(), frozenset({fingerprint}))


def test_a_run_whose_process_is_dead_is_no_run(store: Store) -> None:
    claims = Claims(store, "sweep")
    claims.show()
    (run,) = store.signs.runs().values()
    ended = replace(run.process, pid=2**22 + 1)
    store.signs.set_run(replace(run, run_id="dead", process=ended))
    reused = replace(run.process, started_at=run.process.started_at + 1)
    store.signs.set_run(replace(run, run_id="reused", process=reused))
    elsewhere = replace(ended, space="another machine of the same name")
    store.signs.set_run(replace(run, run_id="elsewhere", process=elsewhere))
    assert set(store.signs.runs()) == {claims.run_id, "elsewhere"}
    assert set(store.signs.doubtful_runs()) == {"elsewhere"}
