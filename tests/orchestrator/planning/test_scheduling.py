"""The scheduler, without Ray: what starts when, and with whom."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.language.resources import AllResources, Resources
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import expand
from orchestrator.planning.ready_groups import ReadyGroups
from orchestrator.planning.scheduling import Again, Capacity, Job, Scheduler
from trainer.trial import Trial, lockstep_key

ONE_CPU = AllResources(**dict.fromkeys(("teacher", "student", "stddev"), Resources(cpu=1, gpu=0)))


def trials(**changes: Any) -> list[Trial]:
    content = {"name": "x", "dataset": "fashion_mini", "pairs": ["resnet20/resnet8"], "seeds": [0]}
    return expand(Sweep.model_validate(content | changes))


def scheduler(
    wanted: list[Trial], cpus: float = 2, gpus: float = 0, resources: AllResources = ONE_CPU
) -> Scheduler:
    return Scheduler(wanted, (), Capacity(cpus, gpus), resources, lambda trial: None)


def finish(queue: Scheduler, job: Job) -> None:
    queue.end(job, {trial.fingerprint for trial in job.trials}, ())


def start_all(queue: Scheduler) -> list[Job]:
    started = []
    while job := queue.next_job():
        started.append(job)
    return started


def test_everything_waits_for_the_teacher_and_nothing_for_anything_else() -> None:
    queue = scheduler(trials(), cpus=3)
    (teacher,) = start_all(queue)
    assert [t.kind for t in teacher.trials] == ["teacher"]
    finish(queue, teacher)
    started = start_all(queue)
    assert sorted(j.trials[0].kind for j in started) == ["stddev", "student", "student"]
    assert sum(len(job.trials) for job in started) == 17
    picking = next(j for j in started if "cutmixpick_s" in {t.augmentation for t in j.trials})
    assert picking.trials[0].kind == "student"
    finish(queue, picking)
    (stddev,) = start_all(queue)
    assert [t.augmentation for t in stddev.trials] == ["cutmixpick_s"]
    for job in queue.running:
        finish(queue, job)
    assert queue.is_over


def test_few_places_take_large_groups() -> None:
    queue = scheduler(trials(seeds=[0, 1]), cpus=2)
    finish(queue, start_all(queue)[0])
    started = start_all(queue)
    assert [len(job.trials) for job in started] == [9, 9]
    assert [job.trials[0].seed for job in started] == [0, 1]


def test_many_places_split_groups_until_none_is_empty() -> None:
    queue = scheduler(trials(), cpus=100)
    finish(queue, start_all(queue)[0])
    started = start_all(queue)
    assert len(started) == 17
    assert {len(job.trials) for job in started} == {1}


def test_work_goes_seed_by_seed() -> None:
    queue = scheduler(trials(seeds=[2, 0, 1]), cpus=1)
    finish(queue, start_all(queue)[0])
    order = []
    while started := start_all(queue):
        order += [(job.trials[0].kind, job.trials[0].seed) for job in started]
        finish(queue, started[0])
    students = [seed for kind, seed in order if kind == "student"]
    assert students == [0, 1, 2]


def test_the_longest_chain_goes_first() -> None:
    queue = scheduler(trials(pairs=["resnet20/resnet8", "resnet110/resnet56"]), cpus=1)
    (first,) = start_all(queue)
    assert first.trials[0].teacher == "resnet110"


def test_a_job_that_does_not_fit_lets_others_pass() -> None:
    big = AllResources(
        teacher=Resources(cpu=1, gpu=0),
        student=Resources(cpu=1, gpu=1),
        stddev=Resources(cpu=1, gpu=0),
    )
    queue = scheduler(trials(seeds=[0, 1]), cpus=8, gpus=1, resources=big)
    finish(queue, start_all(queue)[0])
    started = start_all(queue)
    on_gpu = [job for job in started if job.resources.gpu]
    assert len(on_gpu) == 1
    assert len(started) > 2


def test_shares_of_gpus_add_up() -> None:
    shared = AllResources(student=Resources(cpu=1, gpu=0.1), teacher=Resources(gpu=0))
    wanted = trials(measure=["s_test_loss"])
    queue = scheduler(wanted, cpus=100, gpus=1, resources=shared)
    finish(queue, start_all(queue)[0])
    assert len(start_all(queue)) == 9


def test_only_trials_at_the_same_step_share_a_group() -> None:
    wanted = trials(measure=["s_test_loss"])
    ahead = {wanted[2].fingerprint, wanted[5].fingerprint}
    done = (wanted[0].fingerprint,)
    queue = Scheduler(
        wanted[1:], done, Capacity(1, 0), ONE_CPU, lambda trial: trial.fingerprint in ahead
    )
    sizes = []
    while started := start_all(queue):
        sizes.append(len(started[0].trials))
        finish(queue, started[0])
    assert sorted(sizes) == [2, 7]


def test_what_depends_on_a_failed_trial_never_starts() -> None:
    queue = scheduler(trials())
    (teacher,) = start_all(queue)
    queue.end(teacher, (), {teacher.trials[0].fingerprint})
    assert start_all(queue) == []
    assert queue.is_over


def test_stopping() -> None:
    queue = scheduler(trials())
    (teacher,) = start_all(queue)
    queue.stopping = True
    assert not queue.is_over
    queue.end(teacher, (), ())
    assert queue.is_over
    assert queue.next_job() is None


@given(
    st.randoms(use_true_random=False),
    st.integers(1, 12),
    st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
    st.floats(0, 0.4),
)
@settings(deadline=None, max_examples=40)
def test_every_trial_runs_exactly_once_after_its_dependencies(
    chance: random.Random, cpus: int, seeds: list[int], failing: float
) -> None:
    pairs = ["resnet20/resnet8", "resnet20/resnet14", "vgg8/resnet8"]
    wanted = trials(pairs=pairs, seeds=seeds)
    queue = scheduler(wanted, cpus=cpus)
    ran: list[str] = []
    while not queue.is_over:
        for job in start_all(queue):
            assert len({lockstep_key(trial) for trial in job.trials}) == 1
            for trial in job.trials:
                assert queue.finished.issuperset(trial.depends_on)
                ran.append(trial.fingerprint)
        assert sum(job.resources.cpu for job in queue.running) <= cpus
        assert queue.running, (
            "a scheduler that hands out nothing while nothing runs would hang Tune"
        )
        job = chance.choice(queue.running)
        failed = {t.fingerprint for t in job.trials if chance.random() < failing}
        queue.end(job, {t.fingerprint for t in job.trials} - failed, failed)
    assert len(ran) == len(set(ran))
    if not queue.failed:
        assert len(ran) == len(wanted)
    with pytest.raises(KeyError):
        queue.end(job, (), ())


@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_the_group_that_goes_first_is_the_one_of_smallest_rank(number: int, steps: int) -> None:
    """Against a search through all groups, after any additions and removals."""
    chance = random.Random(number)
    pool = [t for t in trials(seeds=[0, 1, 2]) if t.kind != "teacher"]
    ranks = {t.fingerprint: (float(chance.randint(0, 3)), t.seed) for t in pool}
    groups = ReadyGroups(lambda trial: ranks[trial.fingerprint])
    plain: dict[tuple[str, int], list[Trial]] = {}
    """As a person would keep them: by key, the oldest group first."""
    for _ in range(steps):
        inside = {t.fingerprint for group in plain.values() for t in group}
        outside = [t for t in pool if t.fingerprint not in inside]
        if outside and (not plain or chance.random() < 0.6):
            trial = chance.choice(outside)
            plain.setdefault((trial.kind, trial.seed), []).append(trial)
            groups.add((trial.kind, trial.seed), trial)
        else:
            key = chance.choice(list(plain))
            taken = set(chance.sample([t.fingerprint for t in plain[key]], 1))
            plain[key] = [t for t in plain[key] if t.fingerprint not in taken]
            if not plain[key]:
                del plain[key]
            groups.remove(key, taken)
        held = {t.fingerprint for t in pool if chance.random() < 0.2}
        kinds = chance.sample(["student", "stddev"], chance.randint(1, 2))
        free = {
            key: [t for t in group if t.fingerprint not in held] for key, group in plain.items()
        }
        places = {
            key: min(ranks[t.fingerprint] for t in plain[key])
            for key in plain
            if free[key] and key[0] in kinds
        }
        found = groups.first(kinds, held)
        assert (found is None) == (not places)
        if found:
            assert found[0] == min(places, key=lambda key: places[key])
            assert {t.fingerprint for t in found[1]} == {t.fingerprint for t in free[found[0]]}
        assert bool(groups) == bool(plain)


def test_a_node_that_is_lost_while_its_jobs_run_leaves_the_others_their_work() -> None:
    """Fewer places than are in use: nothing starts, and nothing breaks, until some are free again."""
    queue = scheduler(trials(seeds=[0, 1, 2]), cpus=3)
    finish(queue, start_all(queue)[0])
    assert len(start_all(queue)) == 3
    queue.capacity = Capacity(2, 0)
    assert queue.next_job() is None
    for job in queue.running[:2]:
        finish(queue, job)
    assert len(start_all(queue)) == 1


def test_places_without_end_give_each_trial_its_own() -> None:
    queue = scheduler(trials(seeds=list(range(20))), cpus=1e6)
    finish(queue, start_all(queue)[0])
    assert {len(job.trials) for job in start_all(queue)} == {1}


# Trials that come back


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
