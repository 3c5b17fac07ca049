"""`resume --only` and `--from-scratch`, spans of time, and the claims of two drivers."""

import time
from pathlib import Path

import pytest

from orchestrator.cli.durations import seconds
from orchestrator.driver.claims import Claims
from orchestrator.driver.run import start_over
from orchestrator.language.resources import Resources
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.scheduling import Again, Job
from orchestrator.planning.selection import only, to_start_over
from orchestrator.store.signs import Run, sign_of_life
from orchestrator.store.store import Store
from tests.orchestrator.planning.test_scheduling import finish, scheduler, start_all, trials
from trainer.problems import UserError

PAIRS = ["resnet20/resnet8", "vgg13/vgg8"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(store: Store) -> Plan:
    content = {"name": "x", "dataset": "fashion_mini", "pairs": PAIRS, "seeds": [0]}
    return make_plan(Sweep.model_validate(content), store, retry_failed=True)


# --only


def test_a_pair_brings_its_students_and_their_teacher(plan: Plan) -> None:
    chosen = only(plan, ["vgg13/vgg8"]).trials
    assert {trial.teacher for trial in chosen} == {"vgg13"}
    kinds = [trial.kind for trial in chosen]
    assert (kinds.count("teacher"), kinds.count("student"), kinds.count("stddev")) == (1, 9, 1)


def test_an_augmentation_brings_all_pairs(plan: Plan) -> None:
    chosen = only(plan, ["cutmix", "cutmixpick_s"]).trials
    assert {t.augmentation for t in chosen} == {None, "cutmix", "cutmixpick_s"}
    assert len(chosen) == 2 + 2 * 2 * 2


def test_a_fingerprint_brings_what_it_depends_on(plan: Plan) -> None:
    picking = next(t for t in plan.trials if t.kind == "stddev" and t.student)
    chosen = only(plan, [picking.fingerprint[:10]]).trials
    assert {t.fingerprint for t in chosen} == {picking.fingerprint, *picking.depends_on}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cutmx", "--only cutmx: nothing of x; did you mean 'cutmix'?"),
        ("vgg13/resnet8", "--only vgg13/resnet8: nothing of x"),
        ("0" * 64, "nothing of x"),
    ],
)
def test_a_word_that_names_nothing_is_refused(word: str, expected: str, plan: Plan) -> None:
    with pytest.raises(UserError) as caught:
        only(plan, [word])
    assert expected in str(caught.value)


# --from-scratch


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


def test_what_is_only_needed_does_not_start_over(plan: Plan) -> None:
    picking = next(t for t in plan.trials if t.kind == "stddev" and t.student)
    word = picking.fingerprint[:10]
    chosen = only(plan, [word])
    assert len(chosen.missing) == 3
    assert to_start_over(chosen, [word]) == (picking,)
    assert to_start_over(plan, ()) == plan.missing


# --deadline


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45s", 45), ("90m", 5400), ("11h", 39600), ("1h30m", 5400), ("0.5h", 1800), (" 2m ", 120)],
)
def test_spans_of_time(text: str, expected: float) -> None:
    assert seconds(text, "--deadline") == expected


@pytest.mark.parametrize("text", ["", "45", "0s", "1d", "-5m", "m", "1m1h"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(UserError, match=r"--deadline: .*: expected hours, minutes or seconds"):
        seconds(text, "--deadline")


# Claims


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


def test_a_run_whose_process_is_dead_is_no_run(store: Store) -> None:
    claims = Claims(store, "sweep")
    claims.show()
    (run,) = store.signs.runs().values()
    dead = {**vars(run), "run_id": "dead", "pid": 2**22 + 1}
    store.signs.set_run(Run(**dead))
    elsewhere = {**vars(run), "run_id": "elsewhere", "pid": 2**22 + 1, "host": "elsewhere"}
    store.signs.set_run(Run(**elsewhere))
    expired = {**elsewhere, "run_id": "expired", "expires_at": time.time() - 1}
    store.signs.set_run(Run(**expired))
    assert set(store.signs.runs()) == {claims.run_id, "elsewhere"}


# The scheduler's part


def test_what_comes_back_waits_for_its_time_and_avoids_its_node() -> None:
    queue = scheduler(trials())
    (teacher,) = start_all(queue)
    again = Again(ready_at=5.0, avoid=frozenset({"a"}))
    queue.end(teacher, again={teacher.trials[0].fingerprint: again})
    assert not queue.is_over
    assert queue.next_job(now=4.9) is None
    job = queue.next_job(now=5.0)
    assert job is not None
    assert (job.trials, job.avoid) == (teacher.trials, {"a"})


def test_a_group_comes_back_as_one_unless_its_trials_are_suspect() -> None:
    for alone, sizes in ((False, [9]), (True, [1] * 9)):
        queue = scheduler(trials(measure=["s_test_loss"]), cpus=1)
        finish(queue, start_all(queue)[0])
        (group,) = start_all(queue)
        again = Again(ready_at=1.0, alone=alone)
        queue.end(group, again={t.fingerprint: again for t in group.trials})
        found = []
        while job := queue.next_job(now=1.0):
            found.append(len(job.trials))
            finish(queue, job)
        assert found == sizes


def test_what_was_let_go_comes_back_on_the_terms_it_had() -> None:
    queue = scheduler(trials(measure=["s_test_loss"]), cpus=1)
    finish(queue, start_all(queue)[0])
    (group,) = start_all(queue)
    queue.take_back(group)
    assert not queue.is_over
    (group,) = start_all(queue)
    assert len(group.trials) == 9
    suspect = Again(ready_at=1.0, avoid=frozenset({"a"}), alone=True)
    queue.end(group, again={t.fingerprint: suspect for t in group.trials})
    for _ in range(2):
        job = queue.next_job(now=1.0)
        assert job is not None
        assert (len(job.trials), job.avoid) == (1, {"a"})
        assert queue.is_suspect(job.trials[0].fingerprint)
        queue.take_back(job)


def test_what_is_held_or_finished_elsewhere_is_not_started() -> None:
    queue = scheduler(trials())
    teacher = trials()[0].fingerprint
    queue.held = frozenset({teacher})
    assert start_all(queue) == []
    assert not queue.is_over
    queue.held = frozenset()
    queue.finish_elsewhere({teacher})
    assert teacher in queue.finished
    assert {t.kind for job in start_all(queue) for t in job.trials} == {"student", "stddev"}
